// Runs in a worker: a picture file in, a smaller one out, or null where this browser cannot read it.

//: Pixels of the longest side: the network sees 32 × 32, a person on the result page about 500.
const LONGEST = 512;
const QUALITY = 0.85;

addEventListener("message", async ({ data: { file, port } }) => port.postMessage(await scaled(file).catch(() => null)));

async function scaled(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const share = LONGEST / Math.max(bitmap.width, bitmap.height);
  if (share >= 1) return null; // never enlarged
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * share)));
  return shrunk(bitmap, width, height).convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

/** Halved until the rest is less than a half: browsers' own filters leave pixels out when they shrink by more. */
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
  context.fillStyle = "white"; // behind what is transparent, as the service does
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}
