"""Bytes per second of each kernel beside those of a parallel copy, for arrays past the caches.

    python -m benchmarks.kernels [--device cuda] [--mib 128] [--threads 2] [--rounds 9] [--json kernels.json]

All run in turn within one process, each with so many threads, into memory that is there; a share is the
median over rounds of paired ratios, by the clock and, for busy machines, by the processor's time.  A kernel's
bytes are those that it must read and write once.  Targets: 0.60 of a copy on a CPU, 0.70 of one on a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from benchmarks.timing import PAUSE, write_json
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.kernels import cuda, cuda_batches, has_core, operators_library
from onnxplain.kernels.device_array import put, zeros
from onnxplain.runtime.device import must_run_on, providers, resolve
from onnxplain.runtime.operators import register

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS = {"cpu": 0.60, "cuda": 0.70}
STEPS, ROWS = 16, 2
#: A quotient with a stabiliser: is z >= 0, which epsilon, their sum, the quotient.
QUOTIENT = {"program": [12, 1, 2, -1, 18, 5, 3, 4, 0, 1, 6, -1, 3, 0, 7, -1], "constants": [0.0, 1e-6, -1e-6]}
#: The gradient where the activation is positive.
MASK = {"program": [10, 1, 2, -1, 18, 3, 0, 2], "constants": [0.0]}
PRODUCT = {"program": [2, 0, 1, -1], "constants": [0.0]}


@dataclass(frozen=True)
class Case:
    """A job, and the bytes that it must read and write."""

    job: Callable[[], object]
    size: int


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=list(TARGETS), default="cpu")
    parser.add_argument("--mib", type=int, default=128, help="of the largest array")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=240.0, help="no round begins that would end later")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not has_core() or operators_library() is None:
        raise SystemExit("the compiled kernels are not there: install onnxplain with a C++ compiler")
    resolve(given.device)
    os.environ["ONNXPLAIN_NUM_THREADS"] = str(given.threads)  # read when a kernel runs first
    count = given.mib * 2**18
    if given.device == "cpu":
        cases = {"copy": copied(count, given.threads), **batches(count)}
    else:
        cases = {"copy": operator("Identity", {"x": drawn(count)}, (count,), 1, "cuda"), **on_gpu(count)}
    cases |= operators(count, given.threads, given.device)
    times = measured(cases, given.rounds, given.seconds)
    print(f"{given.device}, {given.threads} threads, arrays up to {given.mib} MiB")
    print(f"target: {TARGETS[given.device]:.2f} of a copy")
    print("| kernel | ms | GB/s | share of a copy | by the processor's time |\n|---|---|---|---|---|")
    rows = []
    for name, case in cases.items():
        clock, busy = (share(case, cases["copy"], times[name], times["copy"], which) for which in (0, 1))
        seconds = statistics.median(wall for wall, _ in times[name])
        row = {
            "kernel": name,
            "ms": 1e3 * seconds,
            "gb_s": case.size / seconds / 1e9,
            "share": clock,
            "busy": busy,
        }
        rows.append(row)
        print(f"| {name} | {row['ms']:.1f} | {row['gb_s']:.1f} | {clock:.2f} | {busy:.2f} |")
    write_json(given.json, {"device": given.device, "threads": given.threads, "mib": given.mib, "rows": rows})


def measured(cases: dict[str, Case], rounds: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Return each round's seconds of every job, by the clock and by the processor."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    begin = time.perf_counter()
    for number in range(rounds):
        if number and (time.perf_counter() - begin) * (number + 1) / number > seconds:
            break
        for name, case in cases.items():
            time.sleep(PAUSE)
            case.job()  # threads and clocks rest in the pause
            wall, busy = time.perf_counter(), time.process_time()
            case.job()
            taken[name].append((time.perf_counter() - wall, time.process_time() - busy))
    return taken


def share(case: Case, unit: Case, taken: Any, of_unit: Any, which: int) -> float:
    """Return the median, over rounds, of a job's bytes per second as a share of another one's."""
    pairs = zip(taken, of_unit, strict=True)
    return statistics.median(case.size * b[which] / (unit.size * max(a[which], 1e-9)) for a, b in pairs)


def drawn(*shape: int, dtype: Any = np.float32) -> Any:
    """Draw numbers from 0.5 to 1.5."""
    return (np.random.default_rng(0).random(shape, np.float32) + np.float32(0.5)).astype(dtype)


def copied(count: int, threads: int) -> Case:
    """Copy in as many threads."""
    source, target = drawn(count), np.zeros(count, np.float32)
    pool = ThreadPoolExecutor(threads)
    pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    return Case(lambda: list(pool.map(lambda piece: np.copyto(*piece), pieces)), 2 * source.nbytes)


def batches(count: int) -> dict[str, Case]:
    """Kernels of paths."""
    from onnxplain.kernels import _core

    cols = count // (STEPS * ROWS)
    start, end, alphas = drawn(ROWS, cols), 2 * drawn(ROWS, cols), drawn(STEPS)
    batch, wide = np.zeros((STEPS * ROWS, cols), np.float32), np.zeros((ROWS, cols))
    acc, weights, stdev = np.zeros_like(start), drawn(STEPS, dtype=np.float64), np.ones(ROWS)
    return {
        "interpolate": Case(
            lambda: _core.interpolate(start, end, alphas, batch), 2 * start.nbytes + batch.nbytes
        ),
        "accumulate": Case(lambda: _core.accumulate(acc, batch, alphas), batch.nbytes + 2 * acc.nbytes),
        "accumulate in float64": Case(
            lambda: _core.accumulate(wide, batch, weights), batch.nbytes + 2 * wide.nbytes
        ),
        "noise (bound by arithmetic)": Case(
            lambda: _core.noise(start, stdev, 0, 0, 0, 0, False, batch), start.nbytes + batch.nbytes
        ),
    }


def on_gpu(count: int) -> dict[str, Case]:
    """Kernels of paths and masks in CUDA; each waits for its end."""
    cols, stream = count // (STEPS * ROWS), cuda.Stream()
    given = (
        drawn(ROWS, cols),
        drawn(ROWS, cols),
        drawn(STEPS),
        drawn(STEPS * ROWS, cols),
        drawn(STEPS, cols),
    )
    start, end, alphas, batch, masks = (put(array, stream) for array in given)
    acc, stdev = put(np.zeros((ROWS, cols), np.float32), stream), np.ones(ROWS)
    ids, kept = np.arange(cols, dtype=np.int64)[None] % 64, np.ones((STEPS, 1, 64), bool)
    where = np.arange(STEPS, dtype=np.int64)[:, None]
    linear, square = zeros((1 + ROWS, cols), masks), zeros((1 + 2 * ROWS, cols), masks)
    scores, powers = put(drawn(STEPS, ROWS, dtype=np.float64), stream), zeros((4, cols), masks)
    first, wide = zeros((cols,), masks), masks.reshape(STEPS, 1, cols)
    size = 4 * ROWS * cols

    def waited(job: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            job()
            stream.synchronize()

        return run

    b: Any = cuda_batches
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "interpolate": (lambda: b.interpolate(start, end, alphas, batch), (STEPS + 2) * size),
        "accumulate": (lambda: b.accumulate(acc, batch, alphas), (STEPS + 2) * size),
        "noise": (lambda: b.noise(start, stdev, 0, 0, STEPS, 0, True, batch), (STEPS + 1) * size),
        "choose": (lambda: b.choose(start, end, ids, kept, batch, None), (STEPS + 2) * size + 8 * cols),
        "cover": (lambda: b.cover(start, end, where, (cols // 8,), batch), (STEPS + 2) * size),
        "fade": (lambda: b.fade(start, end, wide, 1, batch), (STEPS + 2) * size + 4 * STEPS * cols),
        "sum_masks": (
            lambda: b.sum_masks(linear, square, masks, scores, 0.5),
            4 * STEPS * cols + 16 * (2 + 3 * ROWS) * cols,
        ),
        "add_powers": (lambda: b.add_powers(powers, first, masks, False), (4 * STEPS + 72) * cols),
    }
    return {name: Case(waited(job), moved) for name, (job, moved) in jobs.items()}


#: Along both axes of a picture.
POOLS = {
    "3 x 3 / 2": {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [1, 1], "begins": [1, 1]},
    "2 x 2 / 2": {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [1, 1], "begins": [0, 0]},
}
PARTS = {"strides": [2, 2], "begins": [0, 0, 0, 1, 1, 0, 1, 1], "ends": [1, 1]}


def operators(count: int, threads: int, device: str) -> dict[str, Case]:
    """Operators of our own, as onnxruntime runs them."""
    half, wide = count // 2, 1024
    table = (half // wide, wide)
    image, long = (8, 256, half // 2048), (64, half // 64)
    given: dict[str, tuple[str, dict[str, Any], tuple[int, ...], dict[str, Any]]] = {
        "Elementwise, quotient": ("Elementwise", {"r": drawn(half), "z": drawn(half)}, (half,), QUOTIENT),
        "Elementwise, mask": ("Elementwise", {"g": drawn(half), "y": drawn(half)}, (half,), MASK),
        "Elementwise, by channel": (
            "Elementwise", {"g": drawn(*image), "w": drawn(256, 1)}, image, PRODUCT
        ),
        "GeluBackward": ("GeluBackward", {"x": drawn(half), "g": drawn(half)}, (half,), {"factor": [1.0]}),
        "SoftmaxBackward": ("SoftmaxBackward", {"y": drawn(*table), "g": drawn(*table)}, table, {}),
        "NormBackward": (
            "NormBackward", {"x": drawn(*table), "g": drawn(*table), "s": drawn(wide)}, table,
            {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1e-5]},
        ),
    }  # fmt: skip
    given |= {
        f"SumCopies, {what}": (
            "SumCopies",
            {"g": drawn(64, 512, count // 2**15), "lengths": np.array(lengths)},
            made,
            {},
        )
        for what, lengths, made in (
            ("over the batch", [1], (1, 512, count // 2**15)),
            ("to channels", [1, 512, 1], (1, 512, 1)),
            ("to rows", [64, 512, 1], (64, 512, 1)),
        )
    }
    given |= {
        f"GiveAll, {what}": (
            "GiveAll",
            {"r": drawn(*shape), "g": drawn(*shape)},
            shape,
            {"above": [1], "below": [1]},
        )
        for what, shape in (("short rows", table), ("long rows", long), ("across", image))
    }
    samples = max(half // (64 * 112 * 112), 1)
    picture, fourth = (samples, 64, 112, 112), (samples, 64, 56, 56)
    given |= {
        f"MaxPoolGrad, {what}": ("MaxPoolGrad", pooling(picture, about), picture, about)
        for what, about in POOLS.items()
    }
    given["Interleave"] = ("Interleave", {f"part{k}": drawn(*fourth) for k in range(4)}, picture, PARTS)
    cases = {name: operator(*about[:3], threads, device, **about[3]) for name, about in given.items()}
    if device == "cpu":
        for name in ("Elementwise, quotient", *(n for n in given if not n.startswith("Elementwise"))):
            kind, takes, made, about = given[name]
            halves = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in takes.items()}
            cases[f"{name}, float16"] = operator(f"{kind}Float16", halves, made, threads, device, **about)
    return cases


def pooling(picture: tuple[int, ...], about: dict[str, Any]) -> dict[str, Any]:
    """Return what was pooled, the maxima, and a number for each of them."""
    rng = np.random.default_rng(1)
    x = np.maximum(rng.standard_normal(picture, np.float32), 0)  # as behind a rectifier
    (kernel, _), (pad, _) = about["kernel_shape"], about["begins"]
    wide = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], constant_values=-np.inf)
    side = picture[2] // 2
    y = np.full((*picture[:2], side, side), -np.inf, np.float32)
    for i, j in itertools.product(range(kernel), repeat=2):
        np.maximum(y, wide[:, :, i : i + 2 * side : 2, j : j + 2 * side : 2], out=y)
    return {"x": x, "y": y, "g": drawn(*y.shape)}


def operator(
    name: str, given: dict[str, Any], made: tuple[int, ...], threads: int, device: str, **attributes: Any
) -> Case:
    """Return an operator in a session, with bound memory."""
    own = name != "Identity"
    node = helper.make_node(name, list(given), ["made"], domain=DOMAIN if own else "", **attributes)
    kinds = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64}
    dtype = np.dtype(np.float16 if name.endswith("Float16") else np.float32)
    infos = [helper.make_tensor_value_info(k, kinds[v.dtype.name], v.shape) for k, v in given.items()]
    result = helper.make_tensor_value_info("made", kinds[dtype.name], made)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)][: 2 if own else 1]
    graph = helper.make_graph([node], name, infos, [result])
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if own:
        register(options)
    session = ort.InferenceSession(content, options, providers=providers(device))
    must_run_on(session, device)
    binding = session.io_binding()
    for key, array in given.items():
        where = device if array.dtype == np.float32 else "cpu"  # lengths
        binding.bind_ortvalue_input(key, _value(array, where))
    binding.bind_ortvalue_output("made", _value(np.zeros(made, dtype), device))
    size = sum(v.nbytes for v in given.values()) + dtype.itemsize * int(np.prod(made))
    return Case(lambda: session.run_with_iobinding(binding), size)


def _value(array: Any, device: str) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(array, device, 0)


if __name__ == "__main__":
    main()
