// Pictures to play with: shapes in random colours, sizes and places, drawn here.

//: Side of a picture in pixels, and pictures of each shape.
const SIDE = 160;
const EACH = 20;
const QUALITY = 0.85;

/** Each shape draws itself into a square around (0, 0) with sides of 2. */
const SHAPES = {
  circle: (pen) => pen.arc(0, 0, 1, 0, 2 * Math.PI),
  square: (pen) => pen.rect(-0.9, -0.9, 1.8, 1.8),
  star: (pen) => corners(10, (turn) => (turn % 2 ? 0.42 : 1.1)).forEach(([x, y]) => pen.lineTo(x, y)),
};

/** Return the corners of a star or polygon. @param {number} count @param {(turn: number) => number} reach of each corner */
export const corners = (count, reach) =>
  Array.from({ length: count }, (_, turn) => [reach(turn) * Math.sin((turn / count) * 2 * Math.PI), -reach(turn) * Math.cos((turn / count) * 2 * Math.PI)]);

/** Return the pictures, each in a folder that is its label. @returns {Promise<{file: File, name: string}[]>} */
export const drawnSamples = () =>
  Promise.all(Object.entries(SHAPES).flatMap(([label, shape]) => Array.from({ length: EACH }, (_, place) => drawn(label, shape, place))));

async function drawn(label, shape, place) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour(20, 45);
  pen.fillRect(0, 0, SIDE, SIDE);
  for (let dots = 0; dots < 30; dots++) {
    pen.fillStyle = colour(15, 55);
    pen.fillRect(between(0, SIDE), between(0, SIDE), between(4, 26), between(4, 26));
  }
  pen.translate(between(0.35, 0.65) * SIDE, between(0.35, 0.65) * SIDE);
  pen.rotate(between(-0.4, 0.4));
  pen.scale(between(0.2, 0.34) * SIDE, between(0.2, 0.34) * SIDE);
  pen.beginPath();
  shape(pen);
  pen.closePath();
  pen.fillStyle = colour(65, 90);
  pen.fill();
  const content = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
  const name = `${String(place + 1).padStart(2, "0")}.jpg`;
  return { file: new File([content], name, { type: "image/jpeg" }), name: `${label}/${name}` };
}

const between = (low, high) => low + Math.random() * (high - low);
const colour = (dark, light) => `hsl(${between(0, 360)} ${between(30, 90)}% ${between(dark, light)}%)`;
