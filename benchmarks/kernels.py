"""Bytes per second of each kernel beside those of a parallel copy, for arrays past the cache.

    python -m benchmarks.kernels [--device cuda] [--mib 128] [--rounds 7] [--json kernels.json]

All run in turn within one process, with as many threads each; a ratio is the median over rounds of paired
ratios. A kernel's bytes are what it must read and write once. The target is 0.60 of a copy's on a CPU (``--device
cuda``: 0.70 of a copy's on the GPU).
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from benchmarks.compare.racing import raced
from benchmarks.timing import session, write_json
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.kernels import _core, built_with_cuda, cuda_device_count
from onnxplain.runtime.operators import register

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS, ROWS = 16, 2
TARGETS = {"cpu": 0.60, "cuda": 0.70}


@dataclass(frozen=True)
class Case:
    """A job, and the bytes that it must read and write."""

    job: Callable[[], object]
    size: int


def drawn(*shape: int, dtype: Any = np.float32) -> Any:
    """Draw numbers from 0.5 to 1.5."""
    return (np.random.default_rng(0).random(shape, np.float32) + np.float32(0.5)).astype(dtype)


def copy(count: int, threads: int) -> Case:
    """Copy in as many threads, into memory that is there."""
    source, target = drawn(count), np.zeros(count, np.float32)
    pool = ThreadPoolExecutor(threads)
    pieces = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    return Case(lambda: list(pool.map(lambda p: np.copyto(p[1], p[0]), pieces)), 2 * source.nbytes)


def batches(count: int) -> dict[str, Case]:
    """Kernels of paths, into memory that is there."""
    cols = count // (STEPS * ROWS)
    start, end, alphas = drawn(ROWS, cols), drawn(ROWS, cols) * 2, drawn(STEPS)
    batch, wide = np.zeros((STEPS * ROWS, cols), np.float32), np.zeros((ROWS, cols))
    acc, weights = np.zeros_like(start), drawn(STEPS, dtype=np.float64)
    stdev = np.ones(ROWS)
    return {
        "interpolate": Case(
            lambda: _core.interpolate(start, end, alphas, batch), 2 * start.nbytes + batch.nbytes
        ),
        "accumulate": Case(lambda: _core.accumulate(acc, batch, alphas), batch.nbytes + 2 * acc.nbytes),
        "accumulate, float64 sum": Case(
            lambda: _core.accumulate(wide, batch, weights), batch.nbytes + 2 * wide.nbytes
        ),
        "noise": Case(lambda: _core.noise(start, stdev, 0, 0, 0, 0, batch), start.nbytes + batch.nbytes),
    }


def operator(name: str, given: dict[str, Any], made: tuple[int, ...], threads: int, device: str, **more: Any) -> Case:
    """Return an operator of onnxruntime, with bound memory."""
    node = helper.make_node(name, list(given), ["made"], domain=DOMAIN, **more)
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    infos = [helper.make_tensor_value_info(k, kinds[v.dtype.name], v.shape) for k, v in given.items()]
    result = helper.make_tensor_value_info("made", TensorProto.FLOAT, made)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph([node], name, infos, [result])
    model = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    run = session(model, threads, register=register)
    binding = run.io_binding()
    out = ort.OrtValue.ortvalue_from_numpy(np.zeros(made, np.float32), device, 0)
    for key, array in given.items():
        binding.bind_ortvalue_input(key, ort.OrtValue.ortvalue_from_numpy(array, device, 0))
    binding.bind_ortvalue_output("made", out)
    size = sum(v.nbytes for v in given.values()) + 4 * int(np.prod(made))
    return Case(lambda: run.run_with_iobinding(binding), size)
