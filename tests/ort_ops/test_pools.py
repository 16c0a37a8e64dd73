"""Walks back through max pooling, of one to three axes, by our operator: the bits of the portable form."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import onnxplain as ox
from onnxplain.graph import facts
from onnxplain.graph.passes.lower import DOMAIN, MaxPoolGrads
from onnxplain.runtime.operators import register

POOLS = {
    "overlapping": {"kernel_shape": [3, 3, 2], "strides": [2, 1, 1], "pads": [1, 0, 1, 0, 1, 0]},
    "dilated, gaps": {"kernel_shape": [2, 2, 1], "strides": [1, 3, 2], "dilations": [3, 1, 1]},
    "to the end": {"kernel_shape": [2, 2, 3], "strides": [2, 3, 2], "ceil_mode": 1},
    "as long": {"kernel_shape": [3, 2, 2], "strides": [2, 2, 1], "auto_pad": "SAME_UPPER"},
    "as long, at the start": {"kernel_shape": [2, 3, 4], "strides": [1, 2, 2], "auto_pad": "SAME_LOWER"},
    "inside": {"kernel_shape": [2, 3, 2], "strides": [2, 1, 2], "auto_pad": "VALID"},
}
SIDES = [9, 8, 7]


def pool(name: str, axes: int) -> dict:
    """Return a pooling of so many axes."""
    found = {k: v[:axes] if isinstance(v, list) else v for k, v in POOLS[name].items()}
    if "pads" in found:
        pads = POOLS[name]["pads"]
        found["pads"] = pads[:axes] + pads[3 : 3 + axes]
    return found


def pooled(attributes: dict, axes: int, *, known: bool) -> onnx.ModelProto:
    """Pool whole numbers, so that many are as large as others; what comes back has many digits."""
    sides = SIDES[:axes] if known else [None] * axes
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["c"], pads=[1] * 2 * axes),
        helper.make_node("MaxPool", ["c"], ["p"], **attributes),
        helper.make_node("Mul", ["p", "tenth"], ["t"]),
        helper.make_node("Tanh", ["t"], ["q"]),
        helper.make_node("ReduceSum", ["q", "axes"], ["y"], keepdims=0),
    ]
    weight = np.random.default_rng(0).integers(-2, 3, (3, 2, *[3] * axes)).astype(np.float32)
    takes = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, *sides])
    makes = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    held = {"weight": weight, "tenth": np.float32(0.1), "axes": np.arange(2, 2 + axes)}
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in held.items()]
    graph = helper.make_graph(nodes, "g", [takes], [makes], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("name", POOLS)
def test_all_bits_are_the_same(name, axes, known, tmp_path) -> None:
    model = pooled(pool(name, axes), axes, known=known)
    path = ox.export(model, tmp_path / "made.onnx", method="saliency", form="accelerated").path
    own = [n.op_type for n in onnx.load(path).graph.node if n.op_type == "MaxPoolGrad"]
    open_pads = not known and name.startswith("as long")  # where windows begin is then computed
    assert len(own) == (0 if open_pads else 2 if axes == 3 else 1)
    x = np.random.default_rng(1).integers(-2, 3, (2, 2, *SIDES[:axes])).astype(np.float32)
    found, expected = (ox.Explainer(model, accelerate=k)(x, [0, 2], "saliency").values for k in (True, False))
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_no_samples_make_none(tmp_path) -> None:
    for axes in (1, 2, 3):
        model = pooled(pool("overlapping", axes), axes, known=False)
        path = ox.export(model, tmp_path / "made.onnx", method="saliency", form="accelerated").path
        options = ort.SessionOptions()
        register(options)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feeds = {"x": np.ones((0, 2, *SIDES[:axes]), np.float32), "target": np.zeros(0, np.int64)}
        assert session.run(["attribution/x"], feeds)[0].shape == feeds["x"].shape


TOLD = {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2], "dilations": [1, 1, 1], "begins": [0, 0, 0]}


def written(kind: str, axes: int, *, behind: str = "behind") -> ir.Model:
    """Say of a node that it is such a walk back; only which values it is made of can be seen of it."""
    shape = ", ".join(["N", "C", "L", "M", "K"][: 2 + axes])
    ones = ", ".join("1" * axes)
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
      m ({kind}[{shape}] x, {kind}[{shape}] g) => ({kind}[{shape}] made, {kind}[{shape}] other) {{
        y = MaxPool<kernel_shape = [{ones}]>(x)
        once = MaxPool<kernel_shape = [{ones}]>(x)
        behind = MaxPool<kernel_shape = [{ones}]>(once)
        of_all = Sum(x, y, g, behind) made = Neg(of_all) other = Abs(x)
      }}"""
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    pool = {k: v[:axes] for k, v in TOLD.items()}
    for node in model.graph:
        if node.outputs[0].name != "y":
            node.metadata_props[facts.WRITTEN_KEY] = ""
        if node.outputs[0].name == "made":
            told = {"MaxPoolGrad": pool, "inputs": ["x", "y", "g"], "behind": behind}
            node.metadata_props[facts.WRITTEN_KEY] = json.dumps(told)
    return model


def own(model: ir.Model) -> list[str]:
    MaxPoolGrads()(model)
    return [n.op_type for n in model.graph if n.domain == DOMAIN]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_types(axes) -> None:
    count = 2 if axes == 3 else 1
    assert own(written("float", axes)) == ["MaxPoolGrad"] * count
    assert own(written("float16", axes)) == ["MaxPoolGradFloat16"] * count
    assert own(written("double", axes)) == []


def test_what_is_told_is_not_believed() -> None:
    assert own(written("float", 3, behind="once")) == []  # along one axis alone
    assert own(written("float", 3, behind="y")) == []
    assert own(written("float", 3, behind="nobody")) == []
    model = written("float", 3)
    next(n for n in model.graph if n.outputs[0].name == "of_all").metadata_props.clear()
    assert own(model) == []  # the model's own
    model = written("float", 2)
    next(v for v in model.graph.inputs if v.name == "g").name = "another"
    assert own(model) == []
