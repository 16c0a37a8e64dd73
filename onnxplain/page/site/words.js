// Texts and token ids; the answer as coloured words.
import { $, make, signed, Told } from "./dom.js";
import { colour, limitOf } from "./heat.js";
import { tensorOf } from "./tensors.js";

export class WordsInput {
  #shown = [];

  constructor(form, give, words) {
    this.form = form;
    this.give = give;
    this.words = words;
    this.numbers = words && new Map(words.map((word, k) => [word, k]));
    if (form.examples.length) this.#examples();
    $("give").addEventListener("submit", () => this.#send());
  }

  begin() {
    if (!this.form.examples.length) return;
    $("text").value = this.form.examples[0];
    this.#send();
  }

  #examples() {
    const short = (text) => (text.length > 60 ? `${text.slice(0, 58)}\u2026` : text);
    const choice = make("select", { id: "example" }, ...this.form.examples.map((text, k) => make("option", { value: k }, short(text))));
    choice.addEventListener("change", () => {
      $("text").value = this.form.examples[choice.value];
      this.#send();
    });
    $("chooser").append(make("label", { htmlFor: "example" }, "Example"), choice);
  }

  #send() {
    this.give(async () => {
      const { ids, unknown } = this.words ? this.#looked() : this.#typed();
      const { length, dtype, input } = this.form;
      if (!ids.length) throw new Told(this.words ? "The text is empty." : "There are no token ids.");
      if (length !== null && ids.length !== length) {
        throw new Told(`The model takes exactly ${length} tokens, and these are ${ids.length}.`);
      }
      const note = unknown.length ? `Not in the vocabulary: ${[...new Set(unknown)].join(", ")}.` : "";
      return { job: "take", given: { feeds: { [input]: tensorOf(dtype, [1, ids.length], ids) } }, note };
    });
  }

  /** Look words and marks up. */
  #looked() {
    const { lower, unknown: instead } = this.form;
    const text = lower ? $("text").value.toLowerCase() : $("text").value;
    this.#shown = text.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
    const unknown = this.#shown.filter((word) => !this.numbers.has(word));
    if (unknown.length && instead === null) {
      throw new Told(`Not in the vocabulary, which has no entry for unknown words: ${[...new Set(unknown)].join(", ")}.`);
    }
    return { ids: this.#shown.map((word) => this.numbers.get(word) ?? instead), unknown };
  }

  /** Read numbers. */
  #typed() {
    this.#shown = $("text").value.split(/[\s,]+/).filter(Boolean);
    const ids = this.#shown.map(Number);
    const wrong = ids.findIndex((id) => !Number.isSafeInteger(id) || id < 0 || (this.form.rows !== null && id >= this.form.rows));
    if (wrong >= 0) {
      const range = this.form.rows === null ? "a whole number from 0 on" : `a whole number from 0 to ${this.form.rows - 1}`;
      throw new Told(`"${this.#shown[wrong]}" is no token id: give ${range}.`);
    }
    return { ids, unknown: [] };
  }

  show(values, method, target) {
    const { data } = values[this.form.input];
    const limit = limitOf(data);
    const line = make("p", { className: "words" });
    this.#shown.forEach((word, k) => {
      const [red, green, blue] = colour(0.8 * Math.max(-1, Math.min(1, data[k] / limit)));
      const dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140;
      const span = make("span", { title: signed(data[k]) }, word);
      span.style.backgroundColor = `rgb(${red}, ${green}, ${blue})`;
      span.style.color = dark ? "#fff" : "#111";
      line.append(span, " ");
    });
    const order = [...data.keys()].sort((a, b) => Math.abs(data[b]) - Math.abs(data[a])).slice(0, 5);
    $("drawn").replaceChildren(line);
    const sides = method.sums ? `Red speaks for ${target}, blue against it.` : "Red is positive, blue negative.";
    $("said").textContent = `${sides} Strongest: ${order.map((k) => `${this.#shown[k]} ${signed(data[k])}`).join(", ")}.`;
  }
}
