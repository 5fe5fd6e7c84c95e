// A web worker that scales a picture file down. It answers null if the browser cannot read the file.

//: Longest side in pixels. The networks use 32 or 224; the result page shows about 500.
const LONGEST = 512;
const QUALITY = 0.85;

addEventListener("message", async ({ data: { file, port } }) => port.postMessage(await scaled(file).catch(() => null)));

async function scaled(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const share = LONGEST / Math.max(bitmap.width, bitmap.height);
  if (share >= 1) return null; // never enlarge
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * share)));
  return shrunk(bitmap, width, height).convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** Scale in steps of at most a half, since browsers skip pixels in larger steps. */
function shrunk(source, width, height) {
  let now = source;
  while (now.width > width || now.height > height) {
    const next = drawn(now, Math.max(width, Math.ceil(now.width / 2)), Math.max(height, Math.ceil(now.height / 2)));
    now.close?.();
    now = next;
  }
  return now;
}

function drawn(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind transparent pixels, as in the service
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}
