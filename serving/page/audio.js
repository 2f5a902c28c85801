/* Audio in memory: decoded by the browser, mixed for pictures, and brought to one level. */

import { readWavHeader } from "./wav.js";

const USUAL_RATE = 48000;
const MIN_RATE = 8000;
const MAX_RATE = 96000;
const BLOCK_S = 0.1;
const QUIET = 0.01; // blocks 20 dB below the loudest don't count for the level
const MAX_DIFFERENCE_DB = 12;

/* The rate to decode and play at: the file's own where its header tells, so that nothing is resampled. */
export function playingRate(head) {
  const rate = headerRate(head);
  return rate >= MIN_RATE && rate <= MAX_RATE ? rate : USUAL_RATE;
}

function headerRate(head) {
  const view = new DataView(head);
  if (view.byteLength < 44) return 0;
  if (view.getUint32(0) === 0x52494646) return readWavHeader(head).rate;
  if (view.getUint32(0) === 0x664c6143) return view.getUint32(18) >>> 12; // fLaC
  return 0;
}

/* Return { buffer, samples, rate, duration }: an AudioBuffer, and the mean of its channels. */
export async function decode(blob, rate) {
  const buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await blob.arrayBuffer());
  return { buffer, samples: mono(buffer), rate, duration: buffer.duration };
}

/* Return a file's seconds without decoding it; 0 where it doesn't tell, null where the browser can't read it. */
export function probeSeconds(blob) {
  const url = URL.createObjectURL(blob);
  const audio = new Audio();
  audio.preload = "metadata";
  return new Promise((resolve) => {
    audio.onloadedmetadata = () => resolve(Number.isFinite(audio.duration) ? audio.duration : 0);
    audio.onerror = () => resolve(null);
    audio.src = url;
  }).finally(() => {
    audio.removeAttribute("src");
    URL.revokeObjectURL(url);
  });
}

/* Of one channel, the channel itself and no copy. */
function mono(buffer) {
  const first = buffer.getChannelData(0);
  if (buffer.numberOfChannels === 1) return first;
  const second = buffer.getChannelData(1);
  return first.map((sample, i) => (sample + second[i]) / 2);
}

export function peak(samples) {
  let found = 0;
  for (let i = 0; i < samples.length; i++) found = Math.max(found, Math.abs(samples[i]));
  return found;
}

/* Return by how many dB `b` is louder than `a` where `a` sounds, both mono and of one rate. */
export function levelDifference(a, b, rate) {
  const [ofA, ofB] = [a, b].map((samples) => blockEnergies(samples, Math.round(BLOCK_S * rate)));
  const enough = QUIET * Math.max(...ofA);
  let [energyA, energyB] = [0, 0];
  for (let i = 0; i < Math.min(ofA.length, ofB.length); i++) {
    if (ofA[i] < enough) continue;
    energyA += ofA[i];
    energyB += ofB[i];
  }
  if (!energyA || !energyB) return 0;
  const difference = 10 * Math.log10(energyB / energyA);
  return Math.max(-MAX_DIFFERENCE_DB, Math.min(MAX_DIFFERENCE_DB, difference));
}

function blockEnergies(samples, length) {
  const energies = new Float64Array(Math.ceil(samples.length / length));
  for (let i = 0; i < samples.length; i++) energies[Math.floor(i / length)] += samples[i] ** 2;
  return energies;
}
