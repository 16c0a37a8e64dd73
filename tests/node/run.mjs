// Runs an ONNX file in onnxruntime-node: node run.mjs MODULES MODEL FEEDS.json OUTPUTS.json
// FEEDS: {name: {type, dims, data}}; int64 data as decimal strings. OUTPUTS: a list, one entry per feed.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, model, feedsFile, outputsFile] = process.argv.slice(2);
const ort = createRequire(`${modules}/`)("onnxruntime-node");

function tensor({ type, dims, data }) {
  const content = type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
  return new ort.Tensor(type, content, dims);
}

const session = await ort.InferenceSession.create(model);
const results = [];
for (const feeds of JSON.parse(readFileSync(feedsFile, "utf8"))) {
  const given = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, tensor(value)]));
  const made = await session.run(given);
  results.push(
    Object.fromEntries(Object.entries(made).map(([name, t]) => [name, { dims: t.dims, data: Array.from(t.data, Number) }])),
  );
}
writeFileSync(outputsFile, JSON.stringify(results));
