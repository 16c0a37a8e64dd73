// Numbers and texts as the tensors that a model takes.
import { Told } from "./dom.js";

const KINDS = {
  float32: [Float32Array, Number], float64: [Float64Array, Number], int64: [BigInt64Array, BigInt], uint64: [BigUint64Array, BigInt],
  int32: [Int32Array, Number], uint32: [Uint32Array, Number], int16: [Int16Array, Number], uint16: [Uint16Array, Number],
  int8: [Int8Array, Number], uint8: [Uint8Array, Number], bool: [Uint8Array, Number],
};

/** Make what the worker makes a tensor of; dtype as NumPy writes it. */
export function tensorOf(dtype, dims, values) {
  if (dtype === "object") return { type: "string", dims, data: values.map(String) };
  const kind = KINDS[dtype];
  if (!kind) throw new Told(`The model takes ${dtype}, which browsers do not have.`);
  const data = kind[0].from(values, kind[1]);
  const most = dtype === "bool" ? 1 : Infinity;
  const unfit = dtype.startsWith("float") ? -1 : values.findIndex((v, k) => Number(data[k]) !== v || v > most);
  if (unfit >= 0) throw new Told(`${values[unfit]} is no number that the model takes there (${dtype}).`);
  return { type: dtype, dims, data };
}
