// The worker that computes, from the page's side.
import { Told } from "./dom.js";

export class Stopped extends Error {}

export class Engine {
  #worker = null;
  #waiting = new Map();
  #next = 1;

  /** @param {(share: number) => void} progress told how much of the weights is there, 0 to 1. */
  constructor(progress) {
    this.progress = progress;
    this.#start();
  }

  // A worker made of a blob obeys the content policy of this page; one from a file would have none.
  #start() {
    const begin = new Blob([`import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`], { type: "text/javascript" });
    const url = URL.createObjectURL(begin);
    this.ready = new Promise((resolve, reject) => this.#waiting.set(0, { resolve, reject }));
    this.ready.catch(() => {}); // told to whoever waits for a job
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Told(`The part that computes cannot start or broke down: ${event.message || "it could not be loaded"}.`));
    };
  }

  #take({ id, progress, answer, error }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (progress !== undefined) return this.progress(progress);
    this.#waiting.delete(id);
    if (error === undefined) waiting.resolve(answer);
    else waiting.reject(new Told(`The model could not be run: ${error}`));
  }

  #end(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** Do a job, and return its answer. */
  async call(job, given, transfer = []) {
    await this.ready;
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, job, ...given }, transfer);
    });
  }

  /** End whatever is computed; the next job begins anew. */
  stop() {
    this.#worker.terminate();
    this.#end(new Stopped());
    this.#start();
  }
}
