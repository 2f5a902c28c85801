/* The player on the page: its buttons and keys, the two lanes, and the one position that all share. */

import { levelDifference, peak } from "./audio.js";
import { clock, decibels } from "./format.js";
import { onKeys } from "./keys.js";
import { Lane, Position } from "./lanes.js";
import { say } from "./notices.js";
import { Player } from "./player.js";

const STEP_S = 1;
const MIN_STRETCH_S = 0.1;
const SAME_DB = 0.05;

const $ = (id) => document.getElementById(id);

export class Listening {
  #player = new Player();
  #lanes = { a: new Lane($("lane-a")), b: new Lane($("lane-b")) };
  #position = new Position({
    slider: $("position"),
    axis: $("axis"),
    seek: (seconds) => this.#player.seek(seconds),
    choose: (stretch) => this.#loop(stretch),
  });
  #original = null;
  #titleOfB = "";
  #frame = 0;

  constructor() {
    const player = this.#player;
    player.addEventListener("change", () => this.#update());
    document.addEventListener("themechange", () => Object.values(this.#lanes).forEach((lane) => lane.draw()));
    const toggle = () => (player.playing ? player.pause() : player.play());
    const toggleLoop = () => player.setLoop(!player.loop);
    const buttons = { play: toggle, "use-a": () => this.#use("a"), "use-b": () => this.#use("b"), loop: toggleLoop };
    for (const [id, act] of Object.entries(buttons)) {
      $(id).addEventListener("click", act);
      $(id).addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays, and Space goes on to play
    }
    onKeys({
      " ": toggle,
      a: buttons["use-a"],
      b: buttons["use-b"],
      l: toggleLoop,
      "[": () => this.#loop({ ...this.#whole(), start: player.position }),
      "]": () => this.#loop({ ...this.#whole(), end: player.position }),
      Escape: () => this.#loop(null),
      ArrowLeft: () => player.seek(player.position - STEP_S),
      ArrowRight: () => player.seek(player.position + STEP_S),
      Home: () => player.seek(0),
      End: () => player.seek(player.duration),
    });
    this.#update();
  }

  /* Begin with a recording: { buffer, samples, rate, name }, or none that can be heard, and why. */
  open(original, why = "") {
    this.#original = original && { ...original, peak: peak(original.samples) };
    this.#player.open(original?.buffer ?? null, null);
    if (original) this.#lanes.a.show(this.#original);
    else this.#lanes.a.clear();
    this.#lanes.b.clear();
    this.#titleOfB = "";
    $("lane-a-note").textContent = original?.name ?? "";
    $("lane-a-empty").textContent = why;
    $("lane-b-note").textContent = "";
    $("use-b-text").textContent = "Decoded";
  }

  /* Put a decoded version on side B, at the level of A, and hear it. */
  compare({ buffer, samples, rate }, title) {
    const excessDb = this.#original ? levelDifference(this.#original.samples, samples, rate) : 0;
    this.#player.compare(buffer, excessDb);
    this.#player.use("b");
    this.#lanes.b.show({ samples, rate, peak: this.#original?.peak ?? peak(samples) });
    this.#titleOfB = title;
    const matched = `, level matched: ${excessDb > 0 ? "B" : "A"} lowered by ${decibels(excessDb)}`;
    $("lane-b-note").textContent = Math.abs(excessDb) < SAME_DB ? title : title + matched;
    $("use-b-text").textContent = title;
    this.#follow();
  }

  pause() { this.#player.pause(); }

  #use(side) {
    if (!this.#player.has(side)) return;
    this.#player.use(side);
    say(side === "a" ? "A, the original." : `B, ${this.#titleOfB}.`);
  }

  #whole() { return this.#player.stretch ?? { start: 0, end: this.#player.duration }; }

  /* Loop a stretch; nothing, or one that is too short, gives the whole back. */
  #loop(stretch) {
    const heard = stretch && stretch.end - stretch.start >= MIN_STRETCH_S;
    this.#player.setStretch(heard ? stretch : null);
    if (heard) this.#player.setLoop(true);
  }

  #update() {
    const { playing, side, duration, loop, stretch, position } = this.#player;
    $("play").disabled = $("loop").disabled = !duration;
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    $("player").classList.toggle("is-playing", playing);
    $("loop").setAttribute("aria-pressed", String(loop));
    for (const each of ["a", "b"]) {
      const heard = this.#player.has(each) && side === each;
      $(`use-${each}`).disabled = !this.#player.has(each);
      $(`use-${each}`).setAttribute("aria-pressed", String(heard));
      $(`lane-${each}`).classList.toggle("heard", heard);
    }
    $("length").textContent = clock(duration);
    this.#position.setDuration(duration);
    this.#position.mark(stretch);
    this.#position.tell(position);
    this.#follow();
    cancelAnimationFrame(this.#frame);
    if (playing) this.#frame = requestAnimationFrame(() => this.#run());
  }

  #run() {
    this.#follow();
    this.#frame = requestAnimationFrame(() => this.#run());
  }

  /* Bring the cursor, the clock and the waves to where the player is. */
  #follow() {
    const { position } = this.#player;
    this.#position.move(position);
    $("clock").textContent = clock(position);
    for (const lane of Object.values(this.#lanes)) lane.progress(position);
  }
}
