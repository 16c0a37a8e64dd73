"""Bandwidth of our operators on one device beside a copy there, as the share of the copy's that they reach.

    python -m benchmarks.device_operators --device cuda --megabytes 1024

Inputs and results stay on the device.  Operator and copy (onnxruntime's Identity) run in turn; medians of
the paired ratios count.  Rows are printed as they are measured.  Each run waits for its end, some tens of
microseconds on a GPU: take tensors much larger than its cache.  Target: 0.70 of a copy on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import helper

from benchmarks.kernels import PARTS, POOLS, pooling
from benchmarks.timing import PAUSE, options, write_json
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
    "gelu": ("GeluBackward", "float32", [FULL, FULL], {"factor": [1.0]}),
    "shares, short rows": ("GiveAll", "float32", [FULL, FULL], {"above": [1], "below": [1]}),
    "shares, across": ("GiveAll", "float32", [FULL, FULL], {"above": [0], "below": [0]}),
}  # fmt: skip

Work = tuple[str, dict[str, Any], tuple[int, ...], dict[str, Any]]


def others(megabytes: int) -> dict[str, Callable[[], Work]]:
    """Return works whose result has a shape of its own: operator, inputs, that shape, attributes."""
    count = megabytes * 250_000
    samples, long = max(count // (64 * 112 * 112), 1), (64, 512, max(count // 2**15, 1))
    picture, fourth = (samples, 64, 112, 112), (samples, 64, 56, 56)

    def sums(lengths: Sequence[int]) -> Work:
        made = tuple(1 if k < len(lengths) and lengths[k] == 1 else d for k, d in enumerate(long))
        return "SumCopies", {"x": drawn(long), "lengths": np.array(lengths, np.int64)}, made, {}

    def shares() -> Work:
        row = (64, long[1] * long[2])
        return "GiveAll", {"r": drawn(row), "g": drawn(row)}, row, {"above": [1], "below": [1]}

    def pool(about: dict[str, Any]) -> Work:
        return "MaxPoolGrad", pooling(picture, about), picture, about

    def parts() -> Work:
        return "Interleave", {f"x{k}": drawn(fourth) for k in range(4)}, picture, PARTS

    return {
        "sums over the batch": lambda: sums([1]),
        "sums to channels": lambda: sums([1, 512, 1]),
        "sums to rows": lambda: sums([64, 512, 1]),
        "sum of all": lambda: sums([1, 1, 1]),
        "shares, long rows": shares,
        **{f"max pooling, {what}": partial(pool, about) for what, about in POOLS.items()},
        "parts put together": parts,
    }


def drawn(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    """Draw numbers from 0.5 to 1.5."""
    return (np.random.default_rng(0).random(shape, np.float32) + np.float32(0.5)).astype(dtype)


class Job:
    """A node with its tensors on the device."""

    def __init__(self, work: Work, device: Any, threads: int) -> None:
        operator, arrays, made, attributes = work
        kinds = {name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in arrays.items()}
        dtype = next(iter(arrays.values())).dtype
        domain = "" if operator == "Identity" else DOMAIN
        node = helper.make_node(operator, list(arrays), ["made"], domain=domain, **attributes)
        infos = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
        result = helper.make_tensor_value_info("made", helper.np_dtype_to_tensor_dtype(dtype), None)
        graph = helper.make_graph([node], "g", infos, [result])
        imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
        content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
        session = ort.InferenceSession(
            content, options(threads, operators.register), providers=providers(device)
        )
        self.bytes = sum(a.nbytes for a in arrays.values()) + int(np.prod(made)) * dtype.itemsize
        self._session, self._binding = session, session.io_binding()
        for name, array in arrays.items():
            where = "cpu" if array.dtype == np.int64 else device  # lengths
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, where, 0))
        held = ort.OrtValue.ortvalue_from_shape_and_type(list(made), dtype, device, 0)
        self._binding.bind_ortvalue_output("made", held)

    def rate(self) -> float:
        """Run once; return the bytes that crossed memory in a second."""
        begin = time.perf_counter()
        self._session.run_with_iobinding(self._binding)
        return self.bytes / (time.perf_counter() - begin)


def work_of(name: str, megabytes: int) -> Work:
    """Return the work of this name, with inputs of so many megabytes."""
    if name not in WORKS:
        return others(megabytes)[name]()
    operator, dtype, shapes, attributes = WORKS[name]
    rows = megabytes * 1_000_000 // (WIDTH * np.dtype(dtype).itemsize)
    full = [tuple(rows if d == "N" else d for d in shape) for shape in shapes]
    inputs = {f"x{k}": drawn(shape, dtype) for k, shape in enumerate(full)}
    return operator, inputs, np.broadcast_shapes(*full), attributes


def measured(name: str, device: Any, megabytes: int, rounds: int, threads: int) -> dict[str, Any]:
    """Measure one kind of work beside a copy of one of its tensors."""
    given = work_of(name, megabytes)
    first = next(iter(given[1].values()))
    work = Job(given, device, threads)
    copy = Job(("Identity", {"x": first}, first.shape, {}), device, threads)
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
    for name in [*WORKS, *others(given.megabytes)]:
        row = measured(name, device, given.megabytes, given.rounds, given.threads)
        rows.append(row)
        print(
            f"| {name} | {row['gigabytes_per_second']:.1f} | {row['copy']:.1f} | {row['share']:.0%} |",
            flush=True,
        )
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
