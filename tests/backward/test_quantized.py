"""Quantised models: predictions as by the integer kernels, gradients of the real numbers behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from onnxplain.backward.adjoint import SEED_PREFIX, add_adjoint, needs_body
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.measured import measured_ranges

if TYPE_CHECKING:
    from onnxplain._types import Array, Arrays

F, I8, U8, I32 = np.float32, np.int8, np.uint8, np.int32


def run(model: ir.Model | onnx.ModelProto, feeds: Arrays) -> list[Array]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # the optimiser may choose kernels that quantise further than the model says
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    return made.run(None, {i.name: feeds[i.name] for i in made.get_inputs()})


def graph_model(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], inputs: Arrays, output: str, dtype: int = 1
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in inputs.items()
        ],
        [helper.make_tensor_value_info(output, dtype, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def normal(model: onnx.ModelProto) -> ir.Model:
    return normalize(load(model), expand=needs_body).model


def compare(model: onnx.ModelProto, feeds: Arrays, steps: float = 0.0) -> ir.Model:
    """Check the prediction; ``steps`` of the output's scale may differ (a tie rounded the other way)."""
    expected = run(model, feeds)
    made = normal(with_shape(model, expected[0].ndim))
    kinds = {n.op_type for n in made.graph if n.op_type not in ("Cast",)}
    assert not any("Quantize" in k or "QLinear" in k or "Integer" in k for k in kinds), kinds
    for a, b in zip(run(made, feeds), expected, strict=True):
        np.testing.assert_allclose(a.astype(F), b.astype(F), rtol=1e-5, atol=1e-5 + steps)
        assert a.dtype == b.dtype
    return made


def with_shape(model: onnx.ModelProto, rank: int) -> onnx.ModelProto:
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    kind = kept.graph.output[0].type.tensor_type
    kind.shape.CopyFrom(onnx.TensorShapeProto())
    for _ in range(rank):
        kind.shape.dim.add()
    return kept


def gradient(model: ir.Model, feeds: Arrays, seed: Array) -> Array:
    output = str(model.graph.outputs[0].name)
    made = add_adjoint(model, [output], ["x"], opset=18)
    return run(made, feeds | {SEED_PREFIX + output: seed})[1]


def n(op: str, inputs: str, output: str, **attrs: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), output.split(), **attrs)


@pytest.mark.parametrize("kind", [U8, I8])
@pytest.mark.parametrize("channels", [False, True])
def test_quantize_dequantize(kind: type, channels: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 5)).astype(F) * 3
    scale = np.array([0.01, 0.02, 0.05, 0.03], F) if channels else np.array(0.02, F)
    zero = np.zeros(4, kind) + kind(3) if channels else kind(3)
    nodes = [n("QuantizeLinear", "x s z", "q"), n("DequantizeLinear", "q s z", "y")]
    model = graph_model(nodes, {"s": scale, "z": zero}, {"x": x}, "y")
    made = compare(model, {"x": x})
    low, high = (0, 255) if kind is U8 else (-128, 127)
    wide = scale[:, None] if channels else scale
    inside = (np.round(x / wide) + 3 >= low) & (np.round(x / wide) + 3 <= high)
    assert 0 < inside.mean() < 1
    seed = rng.standard_normal(x.shape).astype(F)
    np.testing.assert_allclose(gradient(made, {"x": x}, seed), seed * inside, rtol=1e-5)


def test_an_integer_output_stays_an_integer() -> None:
    x = np.linspace(-1, 1, 7, dtype=F)[None]
    model = graph_model([n("QuantizeLinear", "x s z", "q")], {"s": F(0.1), "z": I8(1)}, {"x": x}, "q", 3)
    compare(model, {"x": x})


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("group", [1, 2])
def test_qlinear_conv(per_channel: bool, group: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 4, 6, 6)).astype(F)
    w = rng.integers(-90, 90, (6, 4 // group, 3, 3)).astype(I8)
    ws = rng.uniform(0.005, 0.02, 6).astype(F) if per_channel else F(0.01)
    nodes = [
        n("QuantizeLinear", "x xs xz", "q"),
        n("QLinearConv", "q xs xz w ws wz ys yz b", "c", pads=[1, 1, 1, 1], strides=[2, 1], group=group),
        n("MaxPool", "c", "p", kernel_shape=[2, 2]),
        n("DequantizeLinear", "p ys yz", "y"),
    ]
    constants = {
        "xs": F(0.03),
        "xz": U8(120),
        "w": w,
        "ws": ws,
        "wz": np.zeros(6, I8) if per_channel else I8(0),
    }
    constants |= {"ys": F(0.05), "yz": U8(128), "b": rng.integers(-300, 300, 6).astype(I32)}
    made = compare(graph_model(nodes, constants, {"x": x}, "y"), {"x": x}, steps=0.0)
    assert np.abs(gradient(made, {"x": x}, np.ones(run(made, {"x": x})[0].shape, F))).sum() > 1


@pytest.mark.parametrize("per_column", [False, True])
def test_qlinear_matmul(per_column: bool) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(2, 5, 8)).astype(F), rng.integers(-63, 64, (8, 6)).astype(I8)
    ws, wz = (rng.uniform(0.01, 0.03, 6).astype(F), np.zeros(6, I8)) if per_column else (F(0.02), I8(0))
    nodes = [
        n("QuantizeLinear", "x xs xz", "q"),
        n("QLinearMatMul", "q xs xz w ws wz ys yz", "c"),
        n("Reshape", "c shape", "r"),
        n("DequantizeLinear", "r ys yz", "y"),
    ]
    constants = {"xs": F(0.03), "xz": U8(120), "w": w, "ws": ws, "wz": wz, "ys": F(0.05), "yz": U8(128)}
    constants["shape"] = np.array([2, -1], np.int64)
    made = compare(graph_model(nodes, constants, {"x": x}, "y"), {"x": x})
    seed = rng.standard_normal((2, 30)).astype(F)
    found = gradient(made, {"x": x}, seed)
    full = np.round(np.clip(np.round(x / F(0.03)) + 120, 0, 255) - 120) @ w * (0.03 * ws / 0.05) + 128
    passes = (np.round(full) >= 0) & (np.round(full) <= 255)
    inside = (np.round(x / F(0.03)) + 120 >= 0) & (np.round(x / F(0.03)) + 120 <= 255)
    expected = ((seed.reshape(2, 5, 6) * passes) @ (w * ws).T) * inside
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_dynamic_quantisation_as_transformers_have_it() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 5, 8)).astype(F), rng.integers(-63, 64, (8, 6)).astype(I8)
    nodes = [
        n("DynamicQuantizeLinear", "x", "q s z"),
        n("MatMulInteger", "q w z wz", "i"),
        n("Cast", "i", "f", to=1),
        n("Mul", "s ws", "ratio"),
        n("Mul", "f ratio", "m"),
        n("Add", "m b", "y"),
    ]
    constants = {
        "w": w,
        "wz": np.arange(6).astype(I8),
        "ws": rng.uniform(0.01, 0.03, 6).astype(F),
        "b": np.ones(6, F),
    }
    made = compare(graph_model(nodes, constants, {"x": x}, "y"), {"x": x})
    seed = rng.standard_normal((2, 5, 6)).astype(F)
    expected = seed @ ((w - np.arange(6)) * constants["ws"]).T
    np.testing.assert_allclose(gradient(made, {"x": x}, seed), expected, rtol=1e-4, atol=1e-5)


def test_rows_are_taken_before_the_scale_is_multiplied_back_in() -> None:
    """What merely moves the integers of a measured range keeps their units."""
    x, w = np.ones((5, 8), F), np.ones((8, 6), I8)
    nodes = [
        n("DynamicQuantizeLinear", "x", "q s z"),
        n("MatMulInteger", "q w z", "i"),
        n("Gather", "i rows", "g"),
        n("Cast", "g", "f", to=1),
        n("Mul", "f s", "y"),
    ]
    made = normal(graph_model(nodes, {"w": w, "rows": np.array([0, 3])}, {"x": x}, "y"))
    assert len(measured_ranges(made.graph)) == 1


def test_quantised_values_that_are_turned_round() -> None:
    x = np.arange(-6, 6, dtype=F).reshape(3, 4) / 10
    nodes = [
        n("QuantizeLinear", "x s z", "q"),
        n("ReverseSequence", "q lengths", "r"),
        n("DequantizeLinear", "r s z", "y"),
    ]
    constants = {"s": F(0.1), "z": I8(1), "lengths": np.array([3, 2, 1, 3])}
    made = compare(graph_model(nodes, constants, {"x": x}, "y"), {"x": x})
    np.testing.assert_allclose(gradient(made, {"x": x}, np.ones_like(x)), np.ones_like(x))


def test_conv_integer() -> None:
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(1, 3, 6, 6)).astype(F), rng.integers(0, 255, (4, 3, 3, 3)).astype(U8)
    nodes = [
        n("DynamicQuantizeLinear", "x", "q s z"),
        n("ConvInteger", "q w z wz", "i", pads=[1, 1, 1, 1]),
        n("Cast", "i", "f", to=1),
        n("Mul", "f s", "y"),
    ]
    model = graph_model(nodes, {"w": w, "wz": U8(128)}, {"x": x}, "y")
    made = compare(model, {"x": x})
    plain = [n("Conv", "x w", "y", pads=[1, 1, 1, 1])]
    other = normal(with_shape(graph_model(plain, {"w": w.astype(F) - 128}, {"x": x}, "y"), 4))
    seed = rng.standard_normal((1, 4, 6, 6)).astype(F)
    np.testing.assert_allclose(
        gradient(made, {"x": x}, seed), gradient(other, {"x": x}, seed), rtol=1e-4, atol=1e-2
    )


UNARY, BINARY = "q xs xz ys yz", "q xs xz k ks kz ys yz"
QLINEAR: dict[str, tuple[str, str, dict[str, Any]]] = {
    "add": ("QLinearAdd", BINARY, {}),
    "mul": ("QLinearMul", BINARY, {}),
    "sigmoid": ("QLinearSigmoid", "q xs xz ps pz", {}),
    "leaky relu": ("QLinearLeakyRelu", UNARY, {"alpha": 0.2}),
    "average pool": ("QLinearAveragePool", UNARY, {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "global average pool": ("QLinearGlobalAveragePool", UNARY, {}),
    "concat": ("QLinearConcat", "ys yz q xs xz k ks kz", {"axis": 1}),
}


@pytest.mark.parametrize("name", sorted(QLINEAR))
def test_contributed_qlinear_operators(name: str) -> None:
    """A kernel may use a table or fixed point: a difference of one step is allowed there."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1, 3, 4, 4)).astype(F)
    op, names, attrs = QLINEAR[name]
    nodes = [n("QuantizeLinear", "x xs xz", "q"), n(op, names, "c", domain="com.microsoft", **attrs)]
    scales = "ps pz" if name == "sigmoid" else "ys yz"
    nodes.append(n("DequantizeLinear", f"c {scales}", "y"))
    constants = {
        "xs": F(0.03),
        "xz": U8(120),
        "k": rng.integers(0, 255, (1, 3, 4, 4)).astype(U8),
        "ks": F(0.02),
    }
    constants |= {"kz": U8(100), "ys": F(0.06), "yz": U8(128), "ps": F(1 / 256), "pz": U8(0)}
    used = {i for node in nodes for i in node.input}
    constants = {k: v for k, v in constants.items() if k in used}
    made = compare(
        graph_model(nodes, constants, {"x": x}, "y"), {"x": x}, steps=0.0601 if scales != "ps pz" else 0.004
    )
    shape = run(made, {"x": x})[0].shape
    assert np.abs(gradient(made, {"x": x}, np.ones(shape, F))).sum() > 0


def test_dynamic_quantize_matmul() -> None:
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(2, 5, 8)).astype(F), rng.integers(-63, 64, (8, 6)).astype(I8)
    node = helper.make_node(
        "DynamicQuantizeMatMul", ["x", "w", "ws", "wz", "b"], ["y"], domain="com.microsoft"
    )
    constants = {"w": w, "ws": F(0.02), "wz": I8(3), "b": rng.standard_normal(6).astype(F)}
    made = compare(graph_model([node], constants, {"x": x}, "y"), {"x": x})
    seed = rng.standard_normal((2, 5, 6)).astype(F)
    expected = seed @ ((w - 3.0) * 0.02).T
    np.testing.assert_allclose(gradient(made, {"x": x}, seed), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_quantize_lstm(direction: str, per_channel: bool) -> None:
    rng = np.random.default_rng(8)
    d, size, hidden = 2 if direction == "bidirectional" else 1, 3, 4
    x = rng.normal(size=(6, 1, size)).astype(F)
    scales = (d, 4 * hidden) if per_channel else (d,)
    constants = {
        # Seven bits, whose products no processor saturates.
        "w": rng.integers(-63, 64, (d, size, 4 * hidden)).astype(I8),
        "r": rng.integers(-63, 64, (d, hidden, 4 * hidden)).astype(I8),
        "b": rng.standard_normal((d, 8 * hidden)).astype(F),
        "ws": rng.uniform(0.005, 0.02, scales).astype(F),
        "wz": np.zeros(scales, I8),
        "rs": rng.uniform(0.005, 0.02, scales).astype(F),
        "rz": np.zeros(scales, I8),
    }
    names = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"]
    attrs = {"hidden_size": hidden, "direction": direction}
    node = helper.make_node("DynamicQuantizeLSTM", names, ["y"], domain="com.microsoft", **attrs)
    made = compare(graph_model([node], constants, {"x": x}, "y"), {"x": x})
    plain = {k: constants[k].astype(F).swapaxes(1, 2) for k in "wr"}
    plain = {k: v * constants[f"{k}s"].reshape(d, -1, 1) for k, v in plain.items()} | {"b": constants["b"]}
    other = normal(with_shape(graph_model([n("LSTM", "x w r b", "y", **attrs)], plain, {"x": x}, "y"), 4))
    seed = rng.standard_normal((6, d, 1, hidden)).astype(F)
    a, b = (gradient(m, {"x": x}, seed) for m in (made, other))
    np.testing.assert_allclose(a, b, rtol=0.05, atol=0.02)


def test_quantised_weights_alone_become_floats() -> None:
    rng = np.random.default_rng(7)
    x, w = rng.normal(size=(2, 8)).astype(F), rng.integers(-63, 64, (8, 6)).astype(I8)
    nodes = [n("DequantizeLinear", "w s z", "f", axis=1), n("MatMul", "x f", "y")]
    scale = rng.uniform(0.01, 0.03, 6).astype(F)
    made = compare(graph_model(nodes, {"w": w, "s": scale, "z": np.zeros(6, I8)}, {"x": x}, "y"), {"x": x})
    assert [node.op_type for node in made.graph] == ["MatMul"]
