"""The operators for GPUs, on one that is on the host: from onnxruntime to the threads, the CPU's bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import host_gpu
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from native import needs_compiler
from operator_cases import OperatorCase, normal, operator_cases, registered

import onnxplain as ox
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime import operators

pytestmark = needs_compiler

ON_CUDA = {name for name, devices in registered().items() if "cuda" in devices}
NORM = {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1e-5]}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return host_gpu.operators(tmp_path_factory.getbasetemp().parent)


def on_gpu(library: Path) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(str(library))
    return options


def on_cpu() -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    operators.register(options)
    return options


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that all bits are the same, but of what is not a number."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    bits = np.uint16 if found.dtype == np.float16 else np.uint32
    wrong = (found.view(bits) != expected.view(bits)) & ~(np.isnan(found) & np.isnan(expected))
    assert not wrong.any(), (found[wrong][:5], expected[wrong][:5])


@pytest.mark.parametrize("case", [c for c in operator_cases() if c.operator in ON_CUDA], ids=str)
def test_every_operator(case, library) -> None:
    same(case.run(on_gpu(library)), case.run(on_cpu()))


def rows() -> list[OperatorCase]:
    """Rows whose gradient is repeated, and is scaled; with centres or without."""
    made = []
    for dtype, ending in ((np.float32, ""), (np.float16, "Float16")):
        x = normal((2, 3, 37), 0, dtype)
        for own in ((3, 1), (37,), (1, 1), (2, 1, 37), ()):
            g = normal(own, 1, dtype)
            made.append(OperatorCase(f"SoftmaxBackward{ending}", [x, g], {}))
            made.append(OperatorCase(f"GeluBackward{ending}", [x, g], {"factor": [0.5], "tanh": 1}))
            made += [OperatorCase(f"NormBackward{ending}", [x, g], NORM | {"axes": [n]}) for n in (1, 2)]
        for scale in ((37,), (1,)):
            arrays = [x, normal(x.shape, 1, dtype), normal(scale, 2, dtype)]
            others = (NORM | more for more in ({"centred": [0]}, {"constant": [1]}))
            made += [OperatorCase(f"NormBackward{ending}", arrays, about) for about in others]
    return made


@pytest.mark.parametrize("case", rows(), ids=str)
def test_rows(case, library) -> None:
    same(case.run(on_gpu(library)), case.run(on_cpu()))


@pytest.mark.parametrize("kind", sorted(k for k in ON_CUDA if k.endswith("Float16")))
def test_any_number_of_float16(kind, library) -> None:
    """Infinities, what is no number, denormal numbers, the largest ones."""
    rng = np.random.default_rng(0)
    for case in (c for c in operator_cases() if c.operator == kind and c.arrays[0].size < 10_000):
        arrays = [
            rng.integers(0, 1 << 16, a.shape).astype(np.uint16).view(np.float16)
            if a.dtype == np.float16
            else a
            for a in case.arrays
        ]
        drawn = case._replace(arrays=arrays)
        same(drawn.run(on_gpu(library)), drawn.run(on_cpu()))


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes", "says"),
    [
        ("SoftmaxBackward", [(3, 4), (3, 5)], {}, "the gradient has no shape that fits the values"),
        ("GeluBackward", [(1, 2) * 9, (1, 2, 1, 1) * 4 + (1, 2)], {"factor": [1.0]}, None),
        ("GeluBackward", [(2,) * 18, (1, 2) * 9], {"factor": [1.0]}, "too many axes for a GPU"),
        ("NormBackwardFloat16", [(2,) * 18, (1, 2) * 9], NORM, "too many axes for a GPU"),
        ("NormBackward", [(3, 4), (3, 4), (5,)], NORM, "the scale has 5 numbers, and a row 4"),
        (
            "Interleave",
            [(1, 1, 1, 1)] * 65,
            {"strides": [1, 65], "begins": [n for k in range(65) for n in (0, k)], "ends": [0, 0]},
            "65 parts, and on a GPU at most 64",
        ),
    ],
)
def test_what_a_gpu_refuses(operator, shapes, attributes, says, library) -> None:
    dtype = np.float16 if operator.endswith("Float16") else np.float32
    arrays = [normal(shape, k, dtype) for k, shape in enumerate(shapes)]
    case = OperatorCase(operator, arrays, attributes)
    if says is None:
        same(case.run(on_gpu(library)), case.run(on_cpu()))
        return
    with pytest.raises(Exception, match=says):  # onnxruntime raises many kinds
        case.run(on_gpu(library))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_sums_over_too_many_axes(dtype, library) -> None:
    x, lengths = normal((2,) * 18, 0, dtype), np.array([1, 2] * 9)
    case = OperatorCase("SumCopies" + ("Float16" if dtype == np.float16 else ""), [x, lengths], {})
    with pytest.raises(Exception, match="SumCopies: there are too many axes for a GPU"):
        case.run(on_gpu(library))


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "lrp", ox.LRP("epsilon", bias="scale")], ids=str)
def test_files_for_a_gpu(method, models, library, tmp_path) -> None:
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method, form="accelerated_cuda").path
    own = {n.op_type for n in onnx.load(path).graph.node if n.domain == DOMAIN}
    assert own
    assert own <= ON_CUDA
    feeds = {"x": models.random(3, 2, 8, 8), "target": np.array([0, 1, 2])}
    sessions = [
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for options in (on_gpu(library), on_cpu())
    ]
    found, expected = (session.run(["attribution/x"], feeds)[0] for session in sessions)
    assert found.any()
    same(found, expected)
