/* What the header of a container says (docs/container.md). */

const MAGIC = 0x894e4143;

export const isContainer = (head) => head.byteLength >= 4 && new DataView(head).getUint32(0) === MAGIC;

/* Return the nominal bitrate of a container from its beginning, all streams together. */
export function nominalKbps(head) {
  const view = new DataView(head);
  const codecRate = view.getUint32(16, true);
  const bitsPerCode = Math.ceil(Math.log2(view.getUint32(24, true)));
  const codesPerFrame = view.getUint8(31) * view.getUint8(32);
  return (codesPerFrame * bitsPerCode * codecRate) / view.getUint16(28, true) / 1000;
}
