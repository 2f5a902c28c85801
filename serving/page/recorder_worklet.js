/* Hands the microphone's samples on, in pieces of a few hundredths of a second. */

const PIECE = 2048;

class Recorder extends AudioWorkletProcessor {
  #piece = new Float32Array(PIECE);
  #filled = 0;

  process([[channel]]) {
    if (!channel) return true;
    this.#piece.set(channel, this.#filled);
    this.#filled += channel.length;
    if (this.#filled + channel.length > PIECE) {
      this.port.postMessage(this.#piece.slice(0, this.#filled));
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
