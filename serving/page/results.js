/* What was coded so far, to compare: a list of which one is on side B. */

import { bytes, kbps, saving } from "./format.js";

const KEPT = 8;
const KEPT_BYTES = 256e6;

export class Results {
  #list;
  #template;
  #results = [];
  #choose;

  constructor(list, template, choose) {
    this.#list = list;
    this.#template = template;
    this.#choose = choose;
  }

  clear() {
    this.#results = [];
    this.#list.replaceChildren();
  }

  /* Add a result, in place of one of the same title; the oldest go when it is too much. */
  add(result) {
    this.#results = [...this.#results.filter((each) => each.title !== result.title), result];
    while (this.#results.length > 1 && this.#isTooMuch()) this.#results.shift();
    const rows = this.#results.toSorted((a, b) => a.container.size - b.container.size).map((each) => this.#row(each));
    this.#list.replaceChildren(...rows);
  }

  /* Check the one on side B. */
  check(result) {
    for (const input of this.#list.querySelectorAll("input")) input.checked = input.value === result.title;
  }

  #isTooMuch() {
    return this.#results.length > KEPT || this.#results.reduce((sum, { wav }) => sum + wav.size, 0) > KEPT_BYTES;
  }

  #row(result) {
    const row = this.#template.content.cloneNode(true);
    const most = Math.max(...this.#results.map((each) => each.container.size));
    const input = row.querySelector("input");
    input.value = result.title;
    input.addEventListener("change", () => this.#choose(result));
    row.querySelector(".title").textContent = result.title;
    row.querySelector(".size").textContent = bytes(result.container.size);
    row.querySelector(".measured").textContent = kbps(result.measuredKbps);
    row.querySelector(".saved").textContent = saving(result.container.size, result.pcmBytes) ?? "none";
    row.querySelector(".bar").style.setProperty("--share", result.container.size / most);
    return row;
  }
}
