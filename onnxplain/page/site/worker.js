// Runs the models; the page stays free meanwhile.  It asks for nothing but the files beside it.
import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

ort.env.logLevel = "error";

const WEIGHTS = "models/weights.bin";
const ROOM = 4e8; // bytes of weights in sessions that are kept
const kept = new Map();
let weights = null;
let current = null; // the model's inputs

/** Fetch a file, and tell how much of it is there. */
async function fetched(file, size, id) {
  const answer = await fetch(new URL(file, import.meta.url));
  if (!answer.ok) throw new Error(`${file} is not there (${answer.status})`);
  const parts = [];
  let there = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    there += value.length;
    if (size) self.postMessage({ id, progress: there / size });
  }
  const whole = new Uint8Array(there);
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

/** Put a file together of its rest and the weights that it shares with others. */
async function whole(name, { pieces, weights: size }, id) {
  const rest = await fetched(`models/${name}.rest`, 0, id);
  weights ??= await fetched(WEIGHTS, size, id);
  const file = new Uint8Array(pieces[name].reduce((sum, [, length]) => sum + length, 0));
  let to = 0;
  let next = 0; // in the rest
  for (const [start, length] of pieces[name]) {
    file.set(start < 0 ? rest.subarray(next, next + length) : weights.subarray(start, start + length), to);
    if (start < 0) next += length;
    to += length;
  }
  return file;
}

/** Open a model, or take the one that is open. */
async function session(name, site, id) {
  if (kept.has(name)) return kept.get(name);
  const file = await whole(name, site, id);
  for (const [other, open] of kept) {
    if ((kept.size + 1) * site.weights <= ROOM) break;
    kept.delete(other);
    await open.release();
  }
  const made = await ort.InferenceSession.create(file, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  kept.set(name, made);
  return made;
}

function tensor({ type, dims, data }) {
  return new ort.Tensor(type, data, dims);
}

async function run(name, site, id, feeds, names) {
  const open = await session(name, site, id);
  const begin = performance.now();
  const made = await open.run(feeds, names);
  const took = performance.now() - begin;
  const found = {};
  for (const output of names) {
    found[output] = { dims: [...made[output].dims], data: Float64Array.from(made[output].data) };
    made[output].dispose();
  }
  return { found, took };
}

const jobs = {
  /** Make the model's input of a picture. */
  async prepare({ input, picture, site }, id) {
    const open = await session("prepare", site, id);
    const made = await open.run({ [input]: tensor(picture) });
    current = { [input]: Object.values(made)[0] };
    return {};
  },
  /** Take the model's inputs as they are. */
  async take({ feeds }) {
    current = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, tensor(value)]));
    return {};
  },
  async predict({ output, site }, id) {
    return run("model", site, id, current, [output]);
  },
  async explain({ name, target, outputs, site }, id) {
    const feeds = target ? { ...current, [target.name]: tensor(target) } : current;
    return run(name, site, id, feeds, outputs);
  },
};

async function done({ id, job, ...given }) {
  try {
    self.postMessage({ id, answer: await jobs[job](given, id) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
}

let last = Promise.resolve(); // one job after the other
self.onmessage = ({ data }) => {
  last = last.then(() => done(data));
};
self.postMessage({ id: 0, answer: { threads: ort.env.wasm.numThreads } });
