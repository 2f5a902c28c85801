/* The two conversions of the service, with what the page tells about them. */

import { request } from "./api.js";
import { nominalKbps } from "./container.js";
import { readWavHeader } from "./wav.js";

const CONTAINER_TYPE = "application/vnd.nacre";
const HEAD_BYTES = 4096;

/* Encode a recording; resolve with what a result knows before it is decoded. */
export async function encode(source, { model, bitrateKbps, denoise }, options) {
  const query = new URLSearchParams({ bitrate_kbps: bitrateKbps });
  if (model) query.set("model", model);
  if (denoise) query.set("denoise", "true");
  const type = source.blob.type.startsWith("audio/") ? source.blob.type : "application/octet-stream";
  const answer = await request("POST", `/v1/encode?${query}`, { body: source.blob, type, ...options });
  return {
    container: new Blob([answer.data], { type: CONTAINER_TYPE }),
    encodeSeconds: answer.seconds,
    nominalKbps: nominalKbps(answer.data),
    measuredKbps: Number(answer.header("X-Nacre-Measured-Kbps")),
    ...modelOf(answer),
  };
}

/* Decode a container; resolve with the WAV and what it tells. */
export async function decode(container, options) {
  const answer = await request("POST", "/v1/decode", { body: container, type: CONTAINER_TYPE, ...options });
  const { rate, channels, frames } = readWavHeader(answer.data);
  return {
    wav: new Blob([answer.data], { type: "audio/wav" }),
    head: answer.data.slice(0, HEAD_BYTES),
    decodeSeconds: answer.seconds,
    rate,
    channels,
    seconds: frames / rate,
    pcmBytes: 2 * channels * frames,
    ...modelOf(answer),
  };
}

function modelOf({ header }) {
  return { model: decodeURIComponent(header("X-Nacre-Model")), fingerprint: header("X-Nacre-Fingerprint") };
}
