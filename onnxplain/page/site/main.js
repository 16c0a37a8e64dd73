// The page: what is given goes to the worker, what comes back is shown.
import { $, make, Told, written } from "./dom.js";
import { Engine, Stopped } from "./engine.js";
import { ImageInput } from "./image.js";
import { RowInput } from "./row.js";
import { highest, nameOf, showScores } from "./scores.js";
import { WordsInput } from "./words.js";

const KINDS = { image: ImageInput, row: RowInput, tokens: WordsInput };

/** Read a file of the site. */
async function read(file) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Told(`${file} is missing beside this page (${answer.status}).`);
  return answer.json();
}

class Page {
  latest = null; // what is shown, for scripts
  #source = null; // makes what the worker is given
  #scores = null;
  #target = 0;
  #results = new Map();
  #turn = 0; // what was asked for last is what counts

  constructor(site, words) {
    this.site = site;
    this.method = site.methods[0];
    this.files = { pieces: site.pieces, weights: site.weights };
    this.engine = new Engine((share) => this.#busy(`Loading the model: ${Math.round(100 * share)} %`, share));
    this.input = new KINDS[site.kind](site.form, (source) => this.#given(source), words);
    $("give").addEventListener("submit", (event) => event.preventDefault());
    $("stop").addEventListener("click", () => this.#stop());
    this.#offer();
    $("boot").hidden = true;
    $("desk").hidden = false;
    this.input.begin();
  }

  /** Offer the methods. */
  #offer() {
    for (const method of this.site.methods) {
      const radio = make("input", { type: "radio", name: "method", value: method.name, className: "unseen", checked: method === this.method });
      radio.addEventListener("change", () => {
        this.method = method;
        this.#describe();
        this.#explain();
      });
      const small = this.site.kind === "image" ? [make("canvas", { width: 92, height: 92, id: `small-${method.name}`, ariaHidden: "true" })] : [];
      $("methods").append(make("label", { className: "method" }, radio, ...small, method.title));
    }
    this.#describe();
  }

  #describe() {
    $("about").textContent = this.method.about;
  }

  /** Take something new: predict, then explain. */
  async #given(source) {
    this.#source = source;
    this.#scores = null;
    this.#results = new Map();
    await this.#attempt(async (turn) => {
      const { found, took } = await this.#predicted();
      if (turn !== this.#turn) return;
      const { data } = found[this.site.output];
      if (!data.every(Number.isFinite)) throw new Told("The model gives no finite numbers for this.");
      this.#scores = [...data];
      this.#target = highest(this.#scores);
      this.predicted = took;
      this.#say();
      await this.#explained(turn);
    });
  }

  async #predicted() {
    const { job, given, note } = await this.#source();
    this.note = note;
    await this.engine.call(job, { ...given, site: this.files });
    return this.engine.call("predict", { output: this.site.output, site: this.files });
  }

  #say() {
    showScores(this.#scores, this.site.labels, this.#target, (target) => {
      this.#target = target;
      this.#say();
      document.querySelector('#scores input[name="target"]:checked')?.focus();
      this.#explain();
    });
  }

  /** Explain what was given by the method and for the class that are chosen. */
  #explain() {
    if (this.#source) return this.#attempt((turn) => (this.#scores ? this.#explained(turn) : this.#given(this.#source)));
  }

  async #explained(turn) {
    const { method } = this;
    const target = this.#target;
    const key = `${method.name} ${target}`;
    if (!this.#results.has(key)) {
      this.#busy(`Computing ${method.title}\u2026`);
      const results = this.#results;
      const answer = await this.engine.call("explain", {
        name: method.name, target: this.#asTarget(method, target), outputs: Object.values(method.values), site: this.files,
      });
      results.set(key, answer);
      if (turn !== this.#turn) return;
    }
    this.#show(method, target, this.#results.get(key));
  }

  /** Return the target as a method's file takes it: where all is one sample, an index of the whole output. */
  #asTarget(method, target) {
    if (!method.target) return null;
    const { name, length } = method.target;
    const data = new BigInt64Array(length);
    data[length - 1] = BigInt(target);
    return { name, type: "int64", dims: length > 1 ? [1, length] : [1], data };
  }

  #show(method, target, { found, took }) {
    const values = Object.fromEntries(Object.entries(method.values).map(([input, name]) => [input, found[name]]));
    if (!Object.values(values).every(({ data }) => data.every(Number.isFinite))) {
      throw new Told(`${method.title} gives numbers here that are not finite.`);
    }
    const name = this.#scores.length > 1 ? nameOf(target, this.site.labels) : "a higher number";
    this.latest = { method: method.name, target, scores: this.#scores, values };
    $("empty").hidden = true;
    $("figure").hidden = false;
    this.input.show(values, method, name);
    const small = $(`small-${method.name}`);
    if (small) this.input.thumb(small, values);
    const total = Object.values(values).reduce((sum, { data }) => sum + data.reduce((a, b) => a + b, 0), 0);
    const facts = [["Method", method.written], ["Time", `${written(took / 1000)} s (prediction ${written(this.predicted / 1000)} s)`]];
    if (method.sums) facts.push(["Sum", `${written(total)}, of: ${method.sums}`]);
    if (method.against) facts.push(["Compared with", method.against]);
    if (this.note) facts.push(["Note", this.note]);
    $("facts").replaceChildren(...facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
    document.body.dataset.done = `${method.name} ${target}`;
  }

  /** Do something; show what goes wrong. */
  async #attempt(work) {
    const turn = ++this.#turn;
    $("trouble").hidden = true;
    delete document.body.dataset.done;
    this.#busy("Reading\u2026");
    try {
      await work(turn);
      if (turn === this.#turn) this.#idle("Done.");
    } catch (error) {
      if (turn !== this.#turn || error instanceof Stopped) return;
      this.#idle("");
      complain(error);
    }
  }

  #stop() {
    this.#turn++;
    this.#scores = null; // the worker forgets what it was given
    this.engine.stop();
    this.#idle("Stopped.");
  }

  #busy(text, share) {
    $("status").textContent = text;
    $("progress").hidden = $("stop").hidden = false;
    if (share === undefined) $("progress").removeAttribute("value");
    else $("progress").value = share;
  }

  #idle(text) {
    $("status").textContent = text;
    $("progress").hidden = $("stop").hidden = true;
  }
}

/** Tell what went wrong. */
function complain(error) {
  $("trouble").textContent = error instanceof Told ? error.message : `Something went wrong: ${error?.message ?? error}`;
  $("trouble").hidden = false;
}

export let page = null;
try {
  const site = await read("page.json");
  page = new Page(site, site.form.words ? await read("words.json") : null);
} catch (error) {
  $("boot").hidden = true;
  complain(error);
}
