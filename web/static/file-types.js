// Detects pictures and archives by their first bytes, with the signatures of shared/images/formats.py.

const HEAD_BYTES = 265; // a tar archive has its signature at byte 257
//: Files that are read at the same time.
const AT_A_TIME = 64;

const PICTURES = ["\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF87a", "GIF89a", "II*\0", "MM\0*", "II+\0", "MM\0+", "BM"];
const ARCHIVES = ["PK\x03\x04", "PK\x05\x06", "PK\x07\x08", "\x1f\x8b\x08", "BZh", "\xfd7zXZ\0", "\x28\xb5\x2f\xfd"];
//: Brands of ISO base media files that are pictures: AVIF and HEIC.
const BRANDS = /^(avi[fs]|he[iv][cmsx]|m[is]f1)/;

/** Return the kind of a file that begins with these bytes, as Latin-1 text. @param {string} head @returns {"picture" | "archive" | null} */
export function kindOf(head) {
  if (PICTURES.some((mark) => head.startsWith(mark))) return "picture";
  if (head.startsWith("RIFF") && head.startsWith("WEBP", 8)) return "picture";
  if (head.startsWith("ftyp", 4) && BRANDS.test(head.slice(8))) return "picture";
  return ARCHIVES.some((mark) => head.startsWith(mark)) || head.startsWith("ustar", 257) ? "archive" : null;
}

/**
 * Return the kind of each file, in order; "unreadable" if it is null or cannot be read.
 * @param {(File | null)[]} files @param {(done: number) => void} onDone reports progress
 */
export async function kindsOf(files, onDone) {
  const kinds = [];
  while (kinds.length < files.length) {
    const some = files.slice(kinds.length, kinds.length + AT_A_TIME);
    kinds.push(...(await Promise.all(some.map((file) => headOf(file).then(kindOf, () => "unreadable")))));
    onDone(kinds.length);
  }
  return kinds;
}

const headOf = async (file) => String.fromCharCode(...new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
