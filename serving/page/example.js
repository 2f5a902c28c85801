/* Two examples made on the spot, so that there is something to hear with nothing at hand. */

import { peak } from "./audio.js";
import { writeWav } from "./wav.js";

const RATE = 24000;
const PEAK = 0.7;

/* Formants of a, e, i, o, u, in Hz, as an adult speaks them; Peterson and Barney, 1952, rounded. */
const FORMANTS = { a: [730, 1090, 2440], e: [530, 1840, 2480], i: [270, 2290, 3010], o: [570, 840, 2410], u: [300, 870, 2240] };
const BANDWIDTHS = [80, 110, 160];
const LOUDNESS = [1, 0.5, 0.25];
/* Onset in seconds, vowel, length, pitch in Hz, and whether a hiss goes before. */
const SYLLABLES = [
  [0.1, "a", 0.24, 128, false], [0.42, "i", 0.2, 142, true], [0.7, "o", 0.3, 133, false], [1.18, "e", 0.2, 138, true],
  [1.46, "u", 0.22, 126, false], [1.76, "a", 0.26, 121, true], [2.14, "i", 0.22, 112, false], [2.44, "o", 0.4, 98, true],
];
/* Onset in seconds, and frequency in Hz: C, E, G, B, D, C. */
const CHIMES = [[0.05, 261.6], [0.4, 329.6], [0.75, 392], [1.1, 493.9], [1.45, 587.3], [1.8, 523.3]];
const PARTIALS = [[1, 0.5, 1.6], [2, 0.22, 1.1], [3, 0.12, 0.8], [4.2, 0.08, 0.45], [5.4, 0.05, 0.3]];

export const EXAMPLES = {
  voice: { name: "Speech-like example.wav", make: () => render(3.1, voice) },
  chimes: { name: "Chimes example.wav", make: () => render(3.6, chimes) },
};

async function render(seconds, score) {
  const context = new OfflineAudioContext(1, Math.round(seconds * RATE), RATE);
  score(context);
  const samples = (await context.startRendering()).getChannelData(0);
  const loudness = PEAK / peak(samples);
  return writeWav(samples.map((sample) => loudness * sample), RATE);
}

function voice(context) {
  const throat = new OscillatorNode(context, { type: "sawtooth", frequency: SYLLABLES[0][3] });
  const opening = new GainNode(context, { gain: 0 });
  const mouth = LOUDNESS.map((gain) => {
    const filter = new BiquadFilterNode(context, { type: "bandpass" });
    throat.connect(filter).connect(new GainNode(context, { gain: 1.6 * gain })).connect(opening);
    return filter;
  });
  opening.connect(context.destination);
  const hiss = new AudioBufferSourceNode(context, { buffer: noise(context) });
  const teeth = new GainNode(context, { gain: 0 });
  hiss.connect(new BiquadFilterNode(context, { type: "highpass", frequency: 4200 })).connect(teeth).connect(context.destination);
  for (const [at, vowel, length, pitch, hissed] of SYLLABLES) {
    throat.frequency.setTargetAtTime(pitch, at, 0.04);
    throat.frequency.setTargetAtTime(0.9 * pitch, at + 0.6 * length, 0.09);
    mouth.forEach((filter, i) => {
      filter.frequency.setTargetAtTime(FORMANTS[vowel][i], at, 0.025);
      filter.Q.setTargetAtTime(FORMANTS[vowel][i] / BANDWIDTHS[i], at, 0.025);
    });
    opening.gain.setTargetAtTime(0.55, at, 0.018);
    opening.gain.setTargetAtTime(0, at + 0.75 * length, 0.022);
    if (!hissed) continue;
    teeth.gain.setTargetAtTime(0.16, at - 0.1, 0.012);
    teeth.gain.setTargetAtTime(0, at - 0.02, 0.012);
  }
  throat.start();
  hiss.start();
}

function chimes(context) {
  const room = new GainNode(context, { gain: 0.42 });
  room.connect(context.destination);
  for (const [at, frequency] of CHIMES) {
    for (const [ratio, loudness, decay] of PARTIALS) {
      const tone = new OscillatorNode(context, { frequency: ratio * frequency });
      const envelope = new GainNode(context, { gain: 0 });
      envelope.gain.setTargetAtTime(loudness, at, 0.004);
      envelope.gain.setTargetAtTime(0, at + 0.03, decay / 3);
      tone.connect(envelope).connect(room);
      tone.start(at);
    }
  }
}

/* The same noise each time: a linear congruential generator (Numerical Recipes). */
function noise(context) {
  const buffer = new AudioBuffer({ length: context.length, sampleRate: context.sampleRate });
  let state = 1;
  buffer.getChannelData(0).forEach((_, i, samples) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    samples[i] = state / 2 ** 31 - 1;
  });
  return buffer;
}
