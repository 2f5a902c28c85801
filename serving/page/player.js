/* Plays two versions of one recording at once, of which one is heard.

   Both start at the same instant and run on together, so that a switch keeps the position to the sample; it is a fade
   of a few milliseconds between two gains. Every change is told by a "change" event. */

const FADE_S = 0.008;
const LEAD_S = 0.03;
const SIDES = ["a", "b"];

export class Player extends EventTarget {
  #context = null;
  #buffers = { a: null, b: null };
  #levels = { a: 1, b: 1 };
  #side = "a";
  #position = 0;
  #loop = false;
  #stretch = null;
  #run = null;

  get side() { return this.#side; }
  get playing() { return this.#run !== null; }
  get loop() { return this.#loop; }
  get stretch() { return this.#stretch; }

  has(side) { return this.#buffers[side] !== null; }

  /* Seconds of what both have. */
  get duration() {
    const lengths = SIDES.filter((side) => this.has(side)).map((side) => this.#buffers[side].duration);
    return lengths.length ? Math.min(...lengths) : 0;
  }

  get position() {
    if (!this.#run) return this.#position;
    const { at, from, bounds } = this.#run;
    const now = from + Math.max(0, this.#context.currentTime - at);
    if (!bounds) return Math.min(now, this.duration);
    return now < bounds.end ? now : bounds.start + ((now - bounds.start) % (bounds.end - bounds.start));
  }

  /* Begin anew with AudioBuffers, or null for a side that there isn't. */
  open(a, b) {
    this.#halt();
    this.#buffers = { a, b };
    this.#levels = { a: 1, b: 1 };
    this.#position = 0;
    this.#stretch = null;
    this.#side = a ? "a" : "b";
    this.#changed();
  }

  /* Put another version on side B, heard from where A is; `excessDb` is by how much it is louder, which is taken off. */
  compare(b, excessDb) {
    const quieter = 10 ** (-Math.abs(excessDb) / 20);
    this.#levels = excessDb > 0 ? { a: 1, b: quieter } : { a: quieter, b: 1 };
    this.#buffers.b = b;
    this.#again(this.position);
  }

  /* Hear this side. */
  use(side) {
    if (!this.has(side)) return;
    this.#side = side;
    for (const [each, { gain }] of this.#run?.gains ?? []) {
      const now = this.#context.currentTime;
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(this.#gainOf(each), now + FADE_S);
    }
    this.#changed();
  }

  play() {
    if (!this.duration || this.playing) return;
    this.#start(this.#position >= this.duration ? 0 : this.#position);
    this.#changed();
  }

  pause() {
    this.#halt();
    this.#changed();
  }

  seek(seconds) { this.#again(seconds); }

  setLoop(loop) {
    this.#loop = loop;
    this.#again(this.position);
  }

  /* Loop { start, end } only, or everything with null. */
  setStretch(stretch) {
    this.#stretch = stretch;
    this.#again(this.position);
  }

  #again(position) {
    const playing = this.playing;
    this.#halt();
    this.#position = Math.max(0, Math.min(position, this.duration));
    if (playing) this.#start(this.#position);
    this.#changed();
  }

  #gainOf(side) { return side === this.#side ? this.#levels[side] : 0; }

  #start(position) {
    const context = this.#ready();
    const bounds = this.#loop ? (this.#stretch ?? { start: 0, end: this.duration }) : null;
    const from = bounds && (position < bounds.start || position >= bounds.end) ? bounds.start : position;
    const at = context.currentTime + LEAD_S;
    const bus = context.createGain();
    bus.gain.setValueAtTime(0, at);
    bus.gain.linearRampToValueAtTime(1, at + FADE_S);
    bus.connect(context.destination);
    const run = { at, from, bounds, bus, gains: new Map(), sources: [] };
    for (const side of SIDES.filter((each) => this.has(each))) {
      const source = new AudioBufferSourceNode(context, { buffer: this.#buffers[side], loop: bounds !== null });
      if (bounds) Object.assign(source, { loopStart: bounds.start, loopEnd: bounds.end });
      const gain = new GainNode(context, { gain: this.#gainOf(side) });
      source.connect(gain).connect(bus);
      source.start(at, from);
      run.gains.set(side, gain);
      run.sources.push(source);
    }
    run.sources[0].onended = () => this.#run === run && this.#end();
    this.#run = run;
  }

  /* The whole was heard. */
  #end() {
    this.#halt();
    this.#position = this.duration;
    this.#changed();
  }

  #halt() {
    if (!this.#run) return;
    const { bus, sources } = this.#run;
    const now = this.#context.currentTime;
    this.#position = this.position;
    this.#run = null;
    bus.gain.cancelScheduledValues(now);
    bus.gain.setValueAtTime(bus.gain.value, now);
    bus.gain.linearRampToValueAtTime(0, now + FADE_S);
    for (const source of sources) source.stop(now + FADE_S);
    sources[0].onended = () => bus.disconnect();
  }

  /* Return a running context of the buffers' rate. */
  #ready() {
    const rate = (this.#buffers.a ?? this.#buffers.b).sampleRate;
    if (this.#context?.sampleRate !== rate) {
      this.#context?.close();
      this.#context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    }
    if (this.#context.state !== "running") this.#context.resume();
    return this.#context;
  }

  #changed() { this.dispatchEvent(new Event("change")); }
}
