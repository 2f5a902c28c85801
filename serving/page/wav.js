/* WAV files: written from samples, and what the header of one says. */

const HEADER_BYTES = 44;

/* Return mono samples as a 16-bit WAV. */
export function writeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) {
    const sample = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(HEADER_BYTES + 2 * i, Math.round(sample * 32767), true);
  }
  return new Blob([view], { type: "audio/wav" });
}

/* Return { rate, channels, frames } of a WAV's bytes; frames are 0 where only the beginning is given. */
export function readWavHeader(bytes) {
  const view = new DataView(bytes);
  const facts = { rate: 0, channels: 0, frames: 0 };
  let frameBytes = 0;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = view.getUint32(at);
    const length = view.getUint32(at + 4, true);
    if (name === 0x666d7420 && at + 22 <= view.byteLength) {
      facts.channels = view.getUint16(at + 10, true);
      facts.rate = view.getUint32(at + 12, true);
      frameBytes = view.getUint16(at + 20, true);
    } else if (name === 0x64617461 && frameBytes) {
      facts.frames = Math.floor(Math.min(length, view.byteLength - at - 8) / frameBytes);
    }
    at += 8 + length + (length % 2);
  }
  return facts;
}
