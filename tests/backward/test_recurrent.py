"""LSTM, GRU, RNN: the decomposition against onnxruntime's kernels, gradients against central differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper

from onnxplain.backward.adjoint import SEED_PREFIX
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph.passes.prepare import DecomposeRecurrent
from onnxplain.graph.recurrent import RECURRENT
from onnxplain.testing import GradientProblem

if TYPE_CHECKING:
    from onnxplain._types import Arrays

N_IN, H, B = 3, 4, 2


def session(model: ir.Model) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])


def run(model: ir.Model, feeds: Arrays) -> list[np.ndarray]:
    made = session(model)
    return made.run(None, {i.name: feeds[i.name] for i in made.get_inputs()})


def recurrent(
    kind: str,
    *,
    steps: int = 5,
    weights: str = "constant",
    lens: list[int] | None = None,
    start: bool = False,
    peepholes: bool = False,
    bias: bool = True,
    static: bool = False,
    **attributes: Any,
) -> tuple[onnx.ModelProto, Arrays]:
    """A model of one node, and float32 feeds for it."""
    rng = np.random.default_rng(0)
    gates, d = RECURRENT[kind], 2 if attributes.get("direction") == "bidirectional" else 1
    batch_first = bool(attributes.get("layout", 0))
    shapes: dict[str, tuple[int, ...]] = {
        "X": (B, steps, N_IN) if batch_first else (steps, B, N_IN),
        "W": (d, gates * H, N_IN),
        "R": (d, gates * H, H),
        "B": (d, 2 * gates * H) if bias else (),
        "lens": (B,) if lens else (),
        "h": ((B, d, H) if batch_first else (d, B, H)) if start else (),
        "c": ((B, d, H) if batch_first else (d, B, H)) if start and kind == "LSTM" else (),
        "P": (d, 3 * H) if peepholes else (),
    }
    feeds = {k: (rng.standard_normal(s) * 0.7).astype(np.float32) for k, s in shapes.items() if s}
    if lens:
        feeds["lens"] = np.array(lens, np.int32)
    names = [k if k in feeds else "" for k in shapes]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(kind, names, outputs, name="cell", hidden_size=H, **attributes)
    held = {"W", "R", "B", "P"} if weights == "constant" else set()
    dims = {"X": ["B", "T", N_IN] if batch_first else ["T", "B", N_IN]}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(
                k, 6 if k == "lens" else 1, v.shape if static else dims.get(k, v.shape)
            )
            for k, v in feeds.items()
            if k not in held
        ],
        [helper.make_tensor_value_info(k, 1, [None] * (4 if k == "Y" else 3)) for k in outputs],
        [onnx.numpy_helper.from_array(v, k) for k, v in feeds.items() if k in held],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model, {k: v for k, v in feeds.items() if k not in held}


def error(model: onnx.ModelProto, feeds: Arrays) -> float:
    """Relative error of a directional derivative in float64, which the kernel lacks: it is written out."""
    problem = GradientProblem.of(model)
    for graph in (problem.forward.model, problem.adjoint):
        DecomposeRecurrent()(graph)
    point = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    rng = np.random.default_rng(1)
    forward = session(problem.forward.model)
    values = forward.run(None, {i.name: point[i.name] for i in forward.get_inputs()})
    weights = [rng.standard_normal(v.shape) for v in values]
    direction = {k: rng.standard_normal(point[k].shape) for k in problem.wrt}

    def value(step: float) -> float:
        moved = point | {k: point[k] + step * d for k, d in direction.items()}
        found = forward.run(None, {i.name: moved[i.name] for i in forward.get_inputs()})
        return sum(float((w * v).sum()) for w, v in zip(weights, found, strict=True))

    seeds = {SEED_PREFIX + k: w for k, w in zip(problem.outputs, weights, strict=True)}
    found = dict(zip(problem.wrt, run(problem.adjoint, point | seeds)[len(values) :], strict=True))
    terms = [found[k] * direction[k] for k in problem.wrt]
    numeric = (value(1e-5) - value(-1e-5)) / 2e-5
    return abs(sum(float(t.sum()) for t in terms) - numeric) / sum(float(np.abs(t).sum()) for t in terms)


KINDS = sorted(RECURRENT)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"bias": False},
    "reverse": {"direction": "reverse"},
    "bidirectional": {"direction": "bidirectional"},
    "initial state": {"start": True},
    "lengths": {"lens": [2, 5]},
    "lengths, reverse": {"lens": [3, 5], "direction": "reverse"},
    "lengths, both ways": {"lens": [5, 1], "direction": "bidirectional", "start": True},
    "one step": {"steps": 1, "static": True, "start": True},
    "three steps": {"steps": 3, "static": True, "direction": "bidirectional", "lens": [3, 1]},
    "clip": {"clip": 0.4},
    "everything": {"direction": "bidirectional", "start": True, "lens": [4, 5], "weights": "inputs"},
}
CASES = [(kind, name) for kind in KINDS for name in VARIANTS]
SPECIAL: dict[str, tuple[str, dict[str, Any]]] = {
    "peepholes": ("LSTM", {"peepholes": True, "start": True}),
    "peepholes, both ways": ("LSTM", {"peepholes": True, "direction": "bidirectional", "weights": "inputs"}),
    "coupled gates": ("LSTM", {"input_forget": 1}),
    "linear before reset": ("GRU", {"linear_before_reset": 1}),
    "linear before reset, both ways": (
        "GRU",
        {"linear_before_reset": 1, "direction": "bidirectional", "start": True, "weights": "inputs"},
    ),
    "linear before reset, no bias": ("GRU", {"linear_before_reset": 1, "bias": False}),
    "activations": (
        "LSTM",
        {
            "activations": ["HardSigmoid", "ScaledTanh", "Softsign"],
            "activation_alpha": [0.3, 1.2],
            "activation_beta": [0.4, 0.8],
        },
    ),
    "two sets": (
        "GRU",
        {"direction": "bidirectional", "activations": ["Sigmoid", "Softsign", "Sigmoid", "Tanh"]},
    ),
    "affine": ("RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
    "relu": ("RNN", {"activations": ["Relu"]}),
    "elu": ("RNN", {"activations": ["Elu"], "activation_alpha": [0.7]}),
    "softplus": ("RNN", {"activations": ["Softplus"]}),
}
ALL = [pytest.param(k, VARIANTS[n], id=f"{k} {n}") for k, n in CASES]
ALL += [pytest.param(k, v, id=f"{k} {n}") for n, (k, v) in SPECIAL.items()]


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_the_decomposition_equals_the_kernel(kind: str, options: dict[str, Any]) -> None:
    model, feeds = recurrent(kind, **options)
    plain = ir.from_proto(model)
    expected = run(plain, feeds)
    DecomposeRecurrent()(plain)
    assert not any(n.op_type in RECURRENT for n in plain.graph.all_nodes())
    for a, b in zip(run(plain, feeds), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_gradient(kind: str, options: dict[str, Any]) -> None:
    assert error(*recurrent(kind, **options)) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first(kind: str) -> None:
    """No kernel here has layout=1: compared with layout=0."""
    options: dict[str, Any] = {"direction": "bidirectional", "start": True, "lens": [3, 5]}
    model, feeds = recurrent(kind, **options, layout=1)
    other, _ = recurrent(kind, **options)
    first, plain = ir.from_proto(model), ir.from_proto(other)
    DecomposeRecurrent()(first)
    turned = {k: np.swapaxes(v, 0, 1) if v.ndim == 3 else v for k, v in feeds.items()}
    for k, (a, b) in enumerate(zip(run(first, feeds), run(plain, turned), strict=True)):
        np.testing.assert_allclose(
            a, b.transpose(2, 0, 1, 3) if k == 0 else b.swapaxes(0, 1), rtol=2e-5, atol=2e-6
        )
    assert error(model, feeds) < 1e-6


@pytest.mark.parametrize("output", [0, 1, 2])
def test_each_output_alone(output: int) -> None:
    model, feeds = recurrent("LSTM", start=True)
    kept = model.graph.output[output]
    del model.graph.output[:]
    model.graph.output.append(kept)
    assert error(model, feeds) < 1e-6


def test_float32_on_the_kernel() -> None:
    """The graph that users run: the fused kernel's prediction beside the written gradient."""
    model, feeds = recurrent("LSTM", direction="bidirectional", lens=[4, 5])
    double = GradientProblem.of(model)
    DecomposeRecurrent()(double.adjoint)
    single = GradientProblem.of(model, dtype="float32")
    rng = np.random.default_rng(0)
    seeds = {
        SEED_PREFIX + k: rng.standard_normal(s).astype(np.float32)
        for k, s in {"Y": (5, 2, B, H), "Y_h": (2, B, H), "Y_c": (2, B, H)}.items()
    }
    a = run(single.adjoint, feeds | seeds)
    b = run(
        double.adjoint,
        {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in (feeds | seeds).items()},
    )
    assert any(n.op_type == "LSTM" for n in single.adjoint.graph)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_an_unknown_activation_is_refused_with_the_way_out() -> None:
    model, _ = recurrent("RNN", activations=["Cubic"])
    with pytest.raises(UnsupportedOperatorError, match=r"RNN node 'cell'.*'Cubic'.*export"):
        GradientProblem.of(model)
