/* The two lanes, original above decoded: a waveform and a spectrogram each, drawn by wavesurfer.js, on one time axis.

   One cursor runs through both. Above the drawings lies a slider, which is the position to the keyboard and to screen
   readers, and which takes clicks (a new position) and drags (the stretch to loop). */

import Spectrogram from "./vendor/wavesurfer/spectrogram.esm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";
import { clock, hertz } from "./format.js";

/* A spectrum is of about this long, in a power of two samples. */
const FFT_S = 0.03;
/* A longer recording is looked at in this many places, so that a picture costs the same whatever its length. */
const MAX_COLUMNS = 6000;
const RANGE_DB = 85;
const DRAG_PX = 6;
const TICK_PX = 72;
const LABEL_PX = 44;
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
/* Colours from silence to the loudest: mother-of-pearl on paper, and at night. */
const PEARL = {
  light: ["#fbfaf8", "#e9e4f2", "#c3cfe8", "#86bfcb", "#3f8f9c", "#2c5f80", "#2b3163", "#1d1638"],
  dark: ["#12161b", "#1c2138", "#2a3560", "#2f6380", "#4d9c9f", "#9cc3b8", "#e3c9cf", "#fff4ea"],
};

/* A side's drawings. */
export class Lane {
  #root;
  #surfer = null;
  #shown = null;

  constructor(root) { this.#root = root; }

  /* Draw `samples` (mono); `peak` fills the height, and is the same for both lanes so that they compare. */
  show(shown) {
    this.#shown = shown;
    this.draw();
  }

  clear() {
    this.#shown = null;
    this.draw();
  }

  /* Draw again, as after a change of theme. */
  draw() {
    this.#surfer?.destroy();
    this.#surfer = null;
    this.#root.classList.toggle("empty", this.#shown === null);
    if (!this.#shown) return;
    const { samples, rate, peak } = this.#shown;
    const wave = this.#root.querySelector(".wave");
    const spectrum = this.#root.querySelector(".spectrum");
    this.#root.querySelector(".top-hz").textContent = hertz(rate / 2);
    this.#surfer = WaveSurfer.create({
      container: wave,
      height: wave.clientHeight,
      peaks: [samples],
      duration: samples.length / rate,
      normalize: true,
      maxPeak: 1.05 * Math.max(peak, 0.02), // of silence, not the noise
      waveColor: colour("--wave"),
      progressColor: colour("--played"),
      cursorWidth: 0,
      interact: false,
      hideScrollbar: true,
      plugins: [
        Spectrogram.create({
          container: spectrum,
          height: spectrum.clientHeight,
          ...spectra(samples.length, rate, spectrum.clientWidth),
          scale: "mel",
          rangeDB: RANGE_DB,
          gainDB: 22,
          colorMap: colourMap(PEARL[globalThis.theme.isDark() ? "dark" : "light"]),
          useWebWorker: true,
        }),
      ],
    });
  }

  progress(seconds) { this.#surfer?.setTime(seconds); }
}

/* The cursor, the stretch, the axis, and the slider that moves them. `seek(seconds)` and `choose(stretch)` are called. */
export class Position {
  #slider;
  #cursor;
  #band;
  #axis;
  #duration = 0;
  #stretch = null;

  constructor({ slider, axis, seek, choose }) {
    this.#slider = slider;
    this.#cursor = slider.querySelector(".cursor");
    this.#band = slider.querySelector(".stretch");
    this.#axis = axis;
    new ResizeObserver(() => this.#ticks()).observe(axis);
    this.#listen(seek, choose);
  }

  setDuration(seconds) {
    if (seconds === this.#duration) return;
    this.#duration = seconds;
    this.#slider.setAttribute("aria-valuemax", seconds.toFixed(2));
    this.#slider.setAttribute("aria-disabled", String(!seconds));
    this.#ticks();
  }

  /* Move the cursor. */
  move(seconds) { this.#cursor.style.left = `${this.#share(seconds)}%`; }

  /* Tell the position; not for every frame, or a screen reader would never end. */
  tell(seconds) {
    this.#slider.setAttribute("aria-valuenow", seconds.toFixed(2));
    this.#slider.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.#duration)}`);
  }

  /* Show the stretch that is looped, or none. */
  mark(stretch) {
    this.#stretch = stretch;
    this.#draw(stretch);
  }

  #draw(stretch) {
    this.#band.hidden = !stretch;
    if (stretch) this.#band.style.inset = `0 ${100 - this.#share(stretch.end)}% 0 ${this.#share(stretch.start)}%`;
  }

  #share(seconds) { return this.#duration ? (100 * seconds) / this.#duration : 0; }

  #listen(seek, choose) {
    const slider = this.#slider;
    let from = null;
    const at = (event) => {
      const { left, width } = slider.getBoundingClientRect();
      return Math.max(0, Math.min(1, (event.clientX - left) / width)) * this.#duration;
    };
    const dragged = (event) => Math.abs(event.clientX - from.x) > DRAG_PX;
    const stretch = (event) => ({ start: Math.min(from.at, at(event)), end: Math.max(from.at, at(event)) });
    slider.addEventListener("pointerdown", (event) => {
      if (!this.#duration || event.button) return;
      from = { x: event.clientX, at: at(event) };
      slider.setPointerCapture(event.pointerId);
    });
    slider.addEventListener("pointermove", (event) => from && dragged(event) && this.#draw(stretch(event)));
    slider.addEventListener("pointercancel", () => {
      from = null;
      this.#draw(this.#stretch);
    });
    slider.addEventListener("pointerup", (event) => {
      if (!from) return;
      if (dragged(event)) choose(stretch(event));
      else seek(at(event));
      from = null;
    });
  }

  #ticks() {
    const most = Math.max(1, this.#axis.clientWidth / TICK_PX);
    const step = TICKS_S.find((each) => this.#duration / each <= most) ?? TICKS_S.at(-1);
    const marks = [];
    const last = this.#duration * (1 - LABEL_PX / this.#axis.clientWidth);
    for (let i = 0; this.#duration && i * step <= last; i++) {
      const mark = document.createElement("span");
      mark.textContent = clock(i * step, step < 1 ? 1 : 0);
      mark.style.left = `${this.#share(i * step)}%`;
      marks.push(mark);
    }
    this.#axis.replaceChildren(...marks);
  }
}

/* The length of a spectrum, and the samples it shares with the next; fewer than none where there are gaps between them. */
function spectra(count, rate, width) {
  const fftSamples = 2 ** Math.round(Math.log2(FFT_S * rate));
  const hop = Math.max(1, Math.min(Math.floor(count / Math.max(width, 1)), fftSamples / 2), Math.ceil(count / MAX_COLUMNS));
  return { fftSamples, noverlap: fftSamples - hop || 1 }; // 0 would mean a choice of the plugin's
}

function colour(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function colourMap(stops) {
  const parts = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16) / 255));
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (parts.length - 1);
    const below = Math.min(Math.floor(place), parts.length - 2);
    return [...parts[below].map((part, k) => part + (parts[below + 1][k] - part) * (place - below)), 1];
  });
}
