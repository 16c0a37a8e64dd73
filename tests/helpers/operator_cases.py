"""Inputs of every operator of our own, of which all devices and any number of threads make the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from native import ROOT
from onnx import helper
from planes import pooled

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.sparse_convs import packed
from onnxplain.graph.passes.lower.winograd_convs import in_blocks

__all__ = ["OperatorCase", "operator_cases", "registered"]

F = np.float32
QUOTIENT = [12, 1, 2, -1, 18, 5, 3, 4, 0, 1, 6, -1, 3, 0, 7, -1]
ROWS = [(5,), (1, 1), (3, 16), (2, 3, 100), (0, 4), (3, 0), (70, 130), (2, 20001)]
SUMS = [  # the shape of what arrives, and the lengths of its first axes
    ((), ()),
    ((3, 4), (3, 4)),
    ((3, 4), (1,)),
    ((3, 4), ()),
    ((2, 3, 4, 5), (2, 1, 4, 1)),
    ((2, 3, 1, 5), (1, 1, 1, 5)),
    ((0, 4), (1, 4)),
    ((3, 0), (1, 1)),
    ((5, 70001), (1, 70001)),
    ((70001, 5), (1, 5)),
    ((300, 300, 2), (1, 300, 1)),
    ((2, 100003), (2, 1)),
    ((600000,), (1,)),
]
SHARES = [  # shapes of relevance and of what is given, axes of a row in both
    ((3, 4), (3, 5), [1], [1]),
    ((4, 3), (5, 3), [0], [0]),
    ((2, 3, 4, 5), (2, 2, 6, 7), [1, 2, 3], [1, 2, 3]),
    ((2, 3, 2, 700), (2, 4, 5, 700), [1, 2], [1, 2]),
    ((300, 5), (9000, 5), [0], [0]),
    ((2, 40000), (2, 30), [1], [1]),
    ((70000,), (35000,), [0], [0]),
    ((700, 1000), (700, 900), [1], [1]),
    ((3, 0), (3, 5), [1], [1]),
    ((3, 4), (3, 0), [1], [1]),
]
POOLS = [  # kernel, stride, dilation, begin: along both axes; and the windows
    ((3, 3), (2, 2), (1, 1), (1, 1), (28, 28)),
    ((2, 2), (2, 2), (1, 1), (0, 0), (7, 5)),
    ((2, 1), (3, 2), (1, 1), (0, 0), (3, 4)),
    ((3, 2), (1, 1), (1, 2), (1, 0), (5, 9)),
    ((2, 3), (1, 2), (3, 2), (1, 2), (4, 3)),
    ((7, 7), (1, 1), (1, 1), (0, 0), (1, 1)),
]
FAR = 2**63 - 1
#: Samples and planes of patches and wholes, and the result's; where patches, and where results begin.
AROUND = [
    ((4, 2, (2, 3), (5, 6), [4, 5]), [0, 0, 3, 3, -1, 2, 1, 5], [0, 0, 1, 1, -1, 0, 2, 2]),
    ((6, 3, (4, 4), (9, 7), [9, 7]), [1, 2, -3, 5, 8, -2], [0, 0]),
    ((2, 2, (3, 3), (4, 4), [3, 2]), [FAR, 0, -FAR - 1, 1], [FAR, 0, 1, -FAR]),
    ((2, 1, (0, 3), (4, 4), [2, 2]), [0, 0], [-1, 3]),
    ((2, 1, (2, 2), (0, 4), [2, 3]), [1, 1], [0, 0]),
    ((2, 2, (2, 2), (4, 4), [0, 3]), [1, 1], [0, 0]),
    ((0, 0, (2, 2), (4, 4), [2, 3]), [], []),
    ((0, 2, (2, 2), (4, 4), [2, 3]), [], []),
    ((50, 5, (31, 17), (40, 40), [33, 19]), [3, 9, 0, 40, -7, 2], [2, 8, -3, 38, -9, 0]),
]
#: Height, width, strides and samples of what is put together.
PARTS = [(5, 7, (2, 2), 2), (1, 1, (1, 3), 1), (9, 4, (3, 2), 3), (56, 57, (2, 2), 2), (3, 3, (2, 2), 0)]


class OperatorCase(NamedTuple):
    """One operator with its inputs."""

    operator: str
    arrays: list[np.ndarray]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        """Name it for pytest."""
        return f"{self.operator}-{'-'.join('x'.join(map(str, a.shape)) for a in self.arrays)}"

    def run(self, options: Any) -> np.ndarray:
        """Compute it on the CPU, in a session whose options have the library."""
        names = [f"x{k}" for k in range(len(self.arrays))]
        infos = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in zip(names, self.arrays, strict=True)
        ]
        made = helper.make_tensor_value_info("made", infos[0].type.tensor_type.elem_type, None)
        node = helper.make_node(self.operator, names, ["made"], domain=DOMAIN, **self.attributes)
        graph = helper.make_graph([node], "g", infos, [made])
        imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
        content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
        options.log_severity_level = 4
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found: np.ndarray = session.run(None, dict(zip(names, self.arrays, strict=True)))[0]
        return found


def registered() -> dict[str, set[str]]:
    """Return which devices the library has each operator for, by the list that registers them."""
    text = (ROOT / "csrc" / "ort_ops" / "operators.hpp").read_text("utf-8")
    found: dict[str, set[str]] = {}
    for name, cuda in re.findall(r"&(\w+?)(_cuda)?_op\(\)", text):
        operator = "".join(part.title() for part in name.split("_"))
        operator = operator.replace("ThinTransposedConv", "ThinConvTranspose")
        found.setdefault(operator, set()).add("cuda" if cuda else "cpu")
    return found


def operator_cases() -> Iterator[OperatorCase]:
    """Draw inputs for all of them; those of float16 have the others' inputs, rounded."""
    for case in _cases():
        yield case
        name = f"{case.operator}Float16"
        if name in registered() and not case.operator.startswith("Elementwise"):
            halves = [a.astype(np.float16) if a.dtype == F else a for a in case.arrays]
            yield OperatorCase(name, halves, case.attributes)


def _cases() -> Iterator[OperatorCase]:
    for operator, dtype in (("Elementwise", F), ("ElementwiseFloat16", np.float16)):
        for shapes in (((3, 4, 5), (4, 1)), ((0, 4), (1, 4)), ((), ()), ((70001,), (1,))):
            program = {"program": QUOTIENT, "constants": [0.0, 1e-6, -1e-6]}
            yield OperatorCase(operator, [normal(s, k, dtype) for k, s in enumerate(shapes)], program)
    for shape in ROWS:
        x, g, column = normal(shape, 0), normal(shape, 1), normal((*shape[:-1], 1), 2)
        for arriving in (g, column):
            yield OperatorCase("GeluBackward", [x, arriving], {"factor": [1.5]})
            yield OperatorCase("SoftmaxBackward", [x, arriving], {})
        norm = {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1e-5]}
        yield OperatorCase("NormBackward", [x, g, normal(shape[-1:], 3)], norm)
    for shape, own in SUMS:
        yield OperatorCase("SumCopies", [normal(shape, 0), np.array(own, np.int64)], {})
    for arrives, shape, above, below in SHARES:
        given = normal(shape, 1)
        given[:1] = 0  # a row that got nothing
        yield OperatorCase("GiveAll", [normal(arrives, 0), given], {"above": above, "below": below})
    for *window, out in POOLS:
        yield _pool(dict(zip(("kernel_shape", "strides", "dilations", "begins"), window, strict=True)), out)
    for height, width, (down, across), samples in PARTS:
        starts = [(i, j) for i in range(down) for j in range(across)][: max(down * across - 1, 1)]
        about = {
            "strides": [down, across],
            "begins": [b for start in starts for b in start],
            "ends": [down - 1, 1],
        }
        shapes = [(samples, 3, height + k % 2, width) for k in range(len(starts))]
        yield OperatorCase("Interleave", [normal(s, k) for k, s in enumerate(shapes)], about)

    g = normal((2, 4, 5, 6), 0) * (np.random.default_rng(1).random((2, 4, 5, 6)) < 0.3)  # mostly zeros
    about = {"channels": 3, "kernel_shape": [3, 2], "strides": [2, 1], "begins": [1, 0], "ends": [0, 0]}
    yield OperatorCase("SparseConvTranspose", [g.astype(F), packed(normal((4, 3, 3, 2), 2))], about)
    for (samples, wholes, patch, whole, size), at, start in AROUND:
        places = [np.resize(np.array(p, np.int64), (samples, 2)) for p in (at, start)]
        patches = [normal((samples, 3, *patch), 0), normal((wholes, 3, *whole), 1)]
        yield OperatorCase("Surround", [*patches, *places], {"size": size, "fill": [0.5]})
    about = {"channels": 48, "begins": [1, 0], "ends": [1, 2]}
    for n, h, w in ((2, 5, 9), (1, 40, 33), (0, 3, 3)):
        points = in_blocks(normal((48, 32, 3, 3), 2))
        yield OperatorCase("WinogradConv", [normal((n, 32, h, w), 0), points], about)
    about = {"strides": [2, 2], "begins": [1, 1], "ends": [1, 1], "more": [1, 1]}
    yield OperatorCase("ThinConvTranspose", [normal((1, 3, 5, 6), 0), normal((3, 2, 3, 3), 1)], about)


def _pool(about: dict[str, Any], out: tuple[int, int]) -> OperatorCase:
    about = {name: list(values) for name, values in about.items()}
    side = [(out[k] - 1) * about["strides"][k] + about["kernel_shape"][k] for k in range(2)]
    x = np.random.default_rng(0).integers(0, 4, (2, 3, *side)).astype(F)  # many are as large as others
    return OperatorCase("MaxPoolGrad", [x, pooled(x, out, about), normal((2, 3, *out), 1)], about)


def normal(shape: tuple[int, ...], seed: int, dtype: type = F) -> np.ndarray:
    """Draw numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)
