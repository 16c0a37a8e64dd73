"""Bandwidth of our operators on one device beside a copy there, as the share of the copy's that they reach.

    python benchmarks/device_operators.py --device cuda --megabytes 1024

Inputs and results stay on the device.  Operator and copy (onnxruntime's Identity) run in turn; medians of
the paired ratios count.  Rows are printed as they are measured.  Each run waits for its end, some tens of
microseconds on a GPU: take tensors much larger than its cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import helper
from timing import PAUSE, options, write_json

from onnxplain.errors import RuntimeUnavailableError
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.fuse_elementwise import KINDS
from onnxplain.runtime import operators
from onnxplain.runtime.device import providers, resolve

WIDTH = 1024
FULL, ROW, COLUMN = ("N", WIDTH), (WIDTH,), ("N", 1)


def steps(*given: tuple[str, int, int, int]) -> dict[str, Any]:
    """Return the attributes of a program: kinds with their operands; one constant, 0.001."""
    return {"program": [n for kind, *takes in given for n in (KINDS[kind], *takes)], "constants": [1e-3]}


#: By name: operator, type, shapes of inputs, attributes.
WORKS: dict[str, tuple[str, str, list[tuple[Any, ...]], dict[str, Any]]] = {
    "mask": (
        "Elementwise", "float32", [FULL, FULL], steps(("Greater", 1, 2, -1), ("Mul", 3, 0, -1)),
    ),
    "stabilised division": (
        "Elementwise", "float32", [FULL, FULL],
        steps(
            ("Greater", 1, 2, -1), ("Add", 1, 2, -1), ("Sub", 1, 2, -1), ("Where", 3, 4, 5),
            ("Div", 0, 6, -1),
        ),
    ),
    "sum of two and a mask": (
        "Elementwise", "float32", [FULL, FULL, FULL],
        steps(("Add", 0, 1, -1), ("Greater", 2, 3, -1), ("Mul", 4, 5, -1)),
    ),
    "a row and a column repeated": (
        "Elementwise", "float32", [FULL, ROW, COLUMN], steps(("Mul", 0, 1, -1), ("Sub", 4, 2, -1)),
    ),
    "mask, float16": (
        "ElementwiseFloat16", "float16", [FULL, FULL], steps(("Greater", 1, 2, -1), ("Mul", 3, 0, -1)),
    ),
    "softmax": ("SoftmaxBackward", "float32", [FULL, FULL], {}),
    "layer normalisation": (
        "NormBackward", "float32", [FULL, FULL, ROW],
        {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1e-5]},
    ),
}  # fmt: skip


class Job:
    """A node with its tensors on the device."""

    def __init__(
        self, node: Any, shapes: list[tuple[int, ...]], dtype: str, device: Any, threads: int
    ) -> None:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        infos = [helper.make_tensor_value_info(name, kind, None) for name in [*node.input, *node.output]]
        graph = helper.make_graph([node], "g", infos[:-1], infos[-1:])
        imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
        content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
        session = ort.InferenceSession(
            content, options(threads, operators.register), providers=providers(device)
        )
        rng = np.random.default_rng(0)
        arrays = [(rng.random(shape, np.float32) + 0.5).astype(dtype) for shape in shapes]
        made = np.broadcast_shapes(*shapes)
        self.bytes = sum(a.nbytes for a in arrays) + int(np.prod(made)) * np.dtype(dtype).itemsize
        self._session, self._binding = session, session.io_binding()
        self._values = [ort.OrtValue.ortvalue_from_numpy(a, device, 0) for a in arrays]
        self._values.append(ort.OrtValue.ortvalue_from_shape_and_type(list(made), np.dtype(dtype), device, 0))
        for name, value in zip(node.input, self._values, strict=False):
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(node.output[0], self._values[-1])

    def rate(self) -> float:
        """Run once; return the bytes that crossed memory in a second."""
        begin = time.perf_counter()
        self._session.run_with_iobinding(self._binding)
        return self.bytes / (time.perf_counter() - begin)


def measured(name: str, device: Any, megabytes: int, rounds: int, threads: int) -> dict[str, Any]:
    """Measure one kind of work beside a copy of one of its tensors."""
    operator, dtype, shapes, attributes = WORKS[name]
    rows = megabytes * 1_000_000 // (WIDTH * np.dtype(dtype).itemsize)
    full = [tuple(rows if d == "N" else d for d in shape) for shape in shapes]
    names = [f"x{k}" for k in range(len(full))]
    node = helper.make_node(operator, names, ["made"], domain=DOMAIN, **attributes)
    work = Job(node, full, dtype, device, threads)
    copy = Job(helper.make_node("Identity", ["x"], ["made"]), full[:1], dtype, device, threads)
    rates: list[tuple[float, float]] = []
    for _ in range(rounds + 1):  # the first warms up
        time.sleep(PAUSE)
        rates.append((work.rate(), copy.rate()))
    return {
        "work": name,
        "device": device,
        "threads": threads,
        "megabytes": megabytes,
        "gigabytes_per_second": statistics.median(a for a, _ in rates[1:]) / 1e9,
        "copy": statistics.median(b for _, b in rates[1:]) / 1e9,
        "share": statistics.median(a / b for a, b in rates[1:]),
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--megabytes", type=int, default=128, help="of a whole tensor")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        device = resolve(given.device)
    except RuntimeUnavailableError as error:
        raise SystemExit(str(error)) from None
    reason = operators.why_not(device)
    if reason is not None:
        raise SystemExit(f"nothing to measure: {reason}")
    print(f"{device}, tensors of {given.megabytes} MB")
    print("| work | GB/s | copy, GB/s | share of the copy's |")
    print("|---|---|---|---|")
    rows = []
    for name in WORKS:
        row = measured(name, device, given.megabytes, given.rounds, given.threads)
        rows.append(row)
        print(
            f"| {name} | {row['gigabytes_per_second']:.1f} | {row['copy']:.1f} | {row['share']:.0%} |",
            flush=True,
        )
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
