/* What a result takes: its facts, each a value and what to hold it against. */

import { bytes, hertz, kbps, saving, span } from "./format.js";

const NOTHING = ["–", ""];

/* Show the facts of a result of `source`, or of none. */
export function showFacts(result, source) {
  const facts = result ? factsOf(result, source) : {};
  for (const tile of document.querySelectorAll("[data-fact]")) {
    const [value, against] = tile.querySelectorAll("dd");
    [value.textContent, against.textContent] = facts[tile.dataset.fact] ?? NOTHING;
  }
}

function factsOf(result, source) {
  const size = result.container.size;
  const smaller = (whole, name) => [saving(size, whole) ?? "not smaller", `${name}: ${bytes(whole)}`];
  const timed = (seconds) => [span(seconds), `${times(result.seconds / seconds)} real time`];
  return {
    size: [bytes(size), `${times(result.pcmBytes / size)} smaller than PCM`],
    kbps: [kbps(result.measuredKbps), `nominal: ${kbps(result.nominalKbps)}`],
    pcm: smaller(result.pcmBytes, "16-bit PCM"),
    file: source.container ? NOTHING : smaller(source.blob.size, "file"),
    seconds: [span(result.seconds), `${hertz(result.rate)}, ${result.channels === 1 ? "mono" : "stereo"}`],
    encode: result.encodeSeconds ? timed(result.encodeSeconds) : NOTHING,
    decode: timed(result.decodeSeconds),
    model: [result.model, result.fingerprint.slice(0, 16)],
  };
}

const times = (ratio) => `${Number(ratio.toPrecision(ratio < 100 ? 2 : 3))}×`;
