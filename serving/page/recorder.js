/* The microphone, recorded to WAV: samples as they are, with none of the browser's processing or compression. */

import { writeWav } from "./wav.js";

const REASONS = {
  NotAllowedError: "The browser refused the microphone. Allow it for this page, then record again.",
  NotFoundError: "No microphone was found. Connect one, then record again.",
  NotReadableError: "The microphone is in use elsewhere. Free it, then record again.",
};

/* Begin to record; `onAudio(seconds, level)` is called as it comes in. Resolves with stop(), which resolves with the WAV.

   Throws an Error whose message is for people where there is no microphone to be had. */
export async function startRecording(onAudio) {
  const stream = await microphone();
  const context = new AudioContext();
  const pieces = [];
  let count = 0;
  await context.audioWorklet.addModule(new URL("recorder_worklet.js", import.meta.url));
  const worklet = new AudioWorkletNode(context, "recorder");
  worklet.port.onmessage = ({ data }) => {
    pieces.push(data);
    count += data.length;
    onAudio(count / context.sampleRate, data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
  };
  context.createMediaStreamSource(stream).connect(worklet).connect(context.destination); // which hears silence
  return async () => {
    const rate = context.sampleRate;
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
    const samples = new Float32Array(count);
    pieces.reduce((at, piece) => (samples.set(piece, at), at + piece.length), 0);
    return writeWav(samples, rate);
  };
}

async function microphone() {
  if (!navigator.mediaDevices) {
    const reason = isSecureContext
      ? "This browser has no microphone to offer."
      : "Browsers give the microphone only to https pages and localhost.";
    throw new Error(`${reason} Choose a file instead.`);
  }
  const raw = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: raw });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The microphone can't be used (${error.name}).`);
  }
}
