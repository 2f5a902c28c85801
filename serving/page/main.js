/* The listening page: a recording comes in, the service codes it, and both are heard and seen. */

import { apiKey, getJson } from "./api.js";
import * as audio from "./audio.js";
import { isContainer, nominalKbps } from "./container.js";
import * as conversions from "./conversions.js";
import { EXAMPLES } from "./example.js";
import { showFacts } from "./facts.js";
import { bytes, clock, hertz, kbps, saving, span } from "./format.js";
import { Listening } from "./listening.js";
import { complain, forgive, say, showProgress } from "./notices.js";
import { startRecording } from "./recorder.js";
import { Results } from "./results.js";

const HEAD_BYTES = 4096;
const RECORDING_S = 60;

const $ = (id) => document.getElementById(id);
const listening = new Listening();
const results = new Results($("results"), $("result"), (result) => choose(result));

let models = [];
let limits = {};
let source = null; // { blob, name, stem, rate, container }
let shown = null; // the result on side B
let choosing = null; // the result that is about to be on side B
let working = null; // the AbortController of what is being done
let withKey = null; // what to do again with an API key
let stopRecording = null;

/* ---- one thing at a time ---- */

/* Do `task(signal)` with its progress shown and its errors told; it can be cancelled. */
async function work(task, doing = "Working…") {
  working?.abort();
  const mine = (working = new AbortController());
  const focused = document.activeElement;
  forgive();
  say(doing);
  showProgress(null);
  update();
  if (focused === $("encode")) $("cancel").focus();
  try {
    await task(mine.signal);
  } catch (error) {
    if (working === mine) say(error.name === "AbortError" ? "Cancelled." : "");
    if (error.name !== "AbortError") refuse(error, () => work(task, doing));
  }
  if (working !== mine) return;
  const lost = [$("cancel"), document.body].includes(document.activeElement);
  working = null;
  update();
  if (lost) (focused === $("encode") && shown ? $("play") : focused).focus();
}

/* Return what to tell while `doing`: how far the upload is, then that the service works. */
const telling = (doing) => (share) => {
  showProgress(share === 1 ? null : share);
  say(share === null || share === 1 ? `${doing}…` : `Uploading, ${Math.round(100 * share)} %`);
};

/* Tell an error; where it is that a key is missing, ask for one, and do it again with that. */
function refuse(error, again) {
  if (error.status !== 401 || apiKey.get()) complain(error);
  if (error.status !== 401) return;
  withKey = again;
  $("key-form").hidden = false;
  $("key").focus();
}

function update() {
  const busy = working !== null;
  const recording = stopRecording !== null;
  $("encode").hidden = busy;
  $("encode").disabled = busy || recording || !models.length || !source || Boolean(source.container);
  $("working").hidden = !busy;
  $("model").disabled = $("bitrate").disabled = $("denoise").disabled = busy || !models.length;
  $("record").disabled = busy;
  $("record").setAttribute("aria-pressed", String(recording));
  for (const button of [$("choose"), ...document.querySelectorAll("[data-example]")]) button.disabled = busy || recording;
  $("save-container").disabled = $("save-wav").disabled = !shown;
}

/* ---- the service ---- */

async function loadService() {
  try {
    ({ models } = await getJson("/v1/models"));
    limits = await getJson("/v1/limits");
  } catch (error) {
    if (error.status === 503) {
      say("The model is still loading…");
      return setTimeout(loadService, 1000 * Math.max(1, error.retrySeconds));
    }
    return refuse(error, loadService);
  }
  say("");
  $("model").replaceChildren(...models.map(({ name }) => new Option(name)));
  showModel();
}

const model = () => models[$("model").selectedIndex];
const bitrates = () => model().bitrates_kbps.toSorted((a, b) => a - b);

function showModel() {
  const rates = bitrates();
  const { version, sample_rate: rate, channels, can_denoise: canDenoise } = model();
  const facts = [version && `version ${version}`, hertz(rate), channels === 1 ? "mono" : "stereo"];
  $("model-facts").textContent = facts.filter(Boolean).join(", ");
  $("bitrate").max = rates.length - 1;
  $("bitrate").value = rates.length - 1;
  $("lowest").textContent = kbps(rates[0]);
  $("highest").textContent = kbps(rates.at(-1));
  $("denoise-field").hidden = !canDenoise;
  if (!canDenoise) $("denoise").checked = false;
  showBitrate();
  update();
}

function showBitrate() {
  const chosen = kbps(bitrates()[$("bitrate").value]);
  $("bitrate-text").textContent = chosen;
  $("bitrate").setAttribute("aria-valuetext", chosen);
}

/* ---- what comes in ---- */

function open(blob, name) {
  if (blob) work((signal) => load(blob, name, signal), `Opening ${name}…`);
}

async function load(blob, name, signal) {
  const { max_body_bytes: maxBytes = Infinity, max_seconds: maxSeconds = Infinity } = limits;
  if (blob.size > maxBytes) {
    throw new Error(`${name} has ${bytes(blob.size)}; the service takes up to ${bytes(maxBytes)} at once.`);
  }
  const head = await blob.slice(0, HEAD_BYTES).arrayBuffer();
  const stem = name.replace(/\.[^.]*$/, "");
  if (isContainer(head) || /\.nac$/i.test(name)) return loadContainer({ blob, name, stem, head }, signal);
  const seconds = await audio.probeSeconds(blob);
  if (seconds > maxSeconds) {
    throw new Error(`${name} lasts ${clock(seconds, 0)}; the service takes up to ${clock(maxSeconds, 0)} at once.`);
  }
  const rate = audio.playingRate(head);
  const decoded = seconds === null ? null : await audio.decode(blob, rate).catch(() => null);
  signal.throwIfAborted();
  setSource({ blob, name, stem, rate, container: false }, decoded?.duration);
  listening.open(decoded && { ...decoded, name }, "This browser can't play this format");
  say(decoded ? "Ready to encode." : "This browser can't play this format; the service may still read it.");
}

async function loadContainer({ blob, name, stem, head }, signal) {
  const decoded = await conversions.decode(blob, { signal, onProgress: telling("Decoding") });
  setSource({ blob, name, stem, rate: audio.playingRate(decoded.head), container: true }, decoded.seconds);
  listening.open(null, "A container holds only what was coded");
  const measuredKbps = (8 * blob.size) / decoded.seconds / 1000;
  const nominal = nominalKbps(head);
  const coded = { container: blob, measuredKbps, nominalKbps: nominal, title: kbps(nominal) };
  await add({ ...coded, ...decoded }, signal);
  say("Decoded.");
}

function setSource(opened, seconds) {
  source = opened;
  shown = choosing = null;
  results.clear();
  $("name").textContent = source.name;
  $("name-facts").textContent = [bytes(source.blob.size), seconds && span(seconds)].filter(Boolean).join(", ");
  showFacts(null, source);
}

async function record() {
  if (stopRecording) {
    const stop = stopRecording;
    stopRecording = null;
    $("record-text").textContent = "Record";
    open(await stop(), "Recording.wav");
    return;
  }
  forgive();
  listening.pause();
  $("record").disabled = true;
  try {
    stopRecording = await startRecording((seconds, level) => {
      if (!stopRecording) return;
      $("record-text").textContent = `Stop, ${clock(seconds, 0)}`;
      $("record").style.setProperty("--level", level);
      if (seconds >= Math.min(RECORDING_S, limits.max_seconds ?? RECORDING_S)) record();
    });
    $("record-text").textContent = "Stop, 0:00";
    say("Recording. Press Stop when you are done.");
  } catch (error) {
    complain(error);
  }
  update();
  $("record").focus();
}

/* ---- coding ---- */

function encodeSource() {
  const bitrateKbps = bitrates()[$("bitrate").value];
  const denoise = $("denoise").checked;
  const named = models.length > 1 ? model().name : null;
  work(async (signal) => {
    const choices = { model: named, bitrateKbps, denoise };
    const coded = await conversions.encode(source, choices, { signal, onProgress: telling("Encoding") });
    const decoded = await conversions.decode(coded.container, { signal, onProgress: telling("Decoding") });
    const title = [kbps(bitrateKbps), named, denoise && "without noise"].filter(Boolean).join(", ");
    const suffix = title.replace(/[^A-Za-z0-9.]+/g, "_");
    await add({ ...coded, ...decoded, title, suffix: `_${suffix}` }, signal);
    const saved = saving(coded.container.size, decoded.pcmBytes);
    say(`Encoded to ${bytes(coded.container.size)}${saved ? `, ${saved} smaller than PCM` : ""}.`);
  }, "Uploading…");
}

async function add(result, signal) {
  await choose(result, signal);
  results.add(result);
  results.check(result);
}

/* Put a result on side B, unless another is asked for meanwhile. */
async function choose(result, signal = null) {
  choosing = result;
  const decoded = await audio.decode(result.wav, source.rate);
  signal?.throwIfAborted();
  if (choosing !== result) return;
  shown = result;
  listening.compare(decoded, result.title);
  showFacts(result, source);
  say(`B is ${result.title}.`);
}

function save(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${source.stem}${shown.suffix ?? ""}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* ---- clicks and drops ---- */

$("theme").addEventListener("click", () => globalThis.theme.toggle());
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  open(file, file?.name);
  $("file").value = "";
});
$("record").addEventListener("click", record);
$("model").addEventListener("change", showModel);
$("bitrate").addEventListener("input", showBitrate);
$("cancel").addEventListener("click", () => working?.abort());
$("save-container").addEventListener("click", () => save(shown.container, "nac"));
$("save-wav").addEventListener("click", () => save(shown.wav, "wav"));
$("coding").addEventListener("submit", (event) => {
  event.preventDefault();
  encodeSource();
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set($("key").value.trim());
  $("key-form").hidden = true;
  forgive();
  withKey();
});
for (const button of document.querySelectorAll("[data-example]")) {
  const { name, make } = EXAMPLES[button.dataset.example];
  button.addEventListener("click", () => work(async (signal) => load(await make(), name, signal), "Making the example…"));
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (!stopRecording) open(file, file?.name);
});

update();
loadService();
