"""Transposed convolutions with strides, written as several plain ones: random ones, and those left alone."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from onnxplain.graph import facts
from onnxplain.graph.passes.lower import SplitStrides
from onnxplain.runtime.operators import register


def model(shape: tuple[int, ...], weight: np.ndarray, **attributes) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="back", **attributes)
    w = helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.ravel())
    graph = helper.make_graph([node], "g", [x], [y], [w])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def lowered(proto: onnx.ModelProto, *, written: bool = True) -> ir.Model:
    made = ir.from_proto(proto)
    for node in made.graph if written else ():
        node.metadata_props[facts.WRITTEN_KEY] = ""
    SplitStrides()(made)
    return made


def run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("seed", range(40))
def test_random_ones(seed) -> None:
    """Those that it takes make the same numbers, however small the input is."""
    rng = np.random.default_rng(seed)
    kernel, strides = rng.integers(1, 8, 2), rng.integers(1, 4, 2)
    strides[rng.integers(0, 2)] = 2 + rng.integers(0, 2)
    pads = [int(rng.integers(0, min(k, 4))) for k in (*kernel, *kernel)]
    more = [int(rng.integers(0, s)) for s in strides]
    depthwise = bool(rng.integers(0, 2))
    group = 16 if depthwise else int(rng.choice([1, 2]))
    weight = rng.normal(size=(16, 1 if depthwise else 8, *kernel)).astype(np.float32)
    attributes = {"strides": list(strides), "pads": pads, "output_padding": more, "group": group}
    proto = model(weight.shape, weight, **attributes)
    made = lowered(proto)
    for size in ((1, 1), (2, 3), (5, 4)):
        lengths = [strides[k] * (size[k] - 1) + kernel[k] + more[k] - pads[k] - pads[k + 2] for k in range(2)]
        if min(lengths) < 1:
            continue
        x = rng.normal(size=(2, 16, *size)).astype(np.float32)
        found, expected = (run(p, x) for p in (ir.to_proto(made), proto))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


USUAL = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
LEFT = {
    "stride 1": ((16, 16, 3, 3), {"strides": [1, 1]}),
    "few channels": ((16, 3, 3, 3), USUAL),
    "one channel of its own": ((1, 1, 3, 3), USUAL),
    "dilated": ((16, 16, 3, 3), USUAL | {"dilations": [2, 2]}),
    "one axis": ((16, 16, 3), {"strides": [2]}),
    "automatic pads": ((16, 16, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "a stated shape": ((16, 16, 3, 3), {"strides": [2, 2], "output_shape": [9, 9]}),
    "as wide as images": ((16, 16, 20, 20), {"strides": [2, 2]}),
}


def test_usual_ones_are_split() -> None:
    for shape, group in (((16, 8, 3, 3), 1), ((16, 1, 3, 3), 16), ((16, 8, 1, 1), 1), ((16, 8, 7, 7), 1)):
        pads = [shape[2] // 2] * 4
        made = lowered(model(shape, np.ones(shape, np.float32), **USUAL | {"group": group, "pads": pads}))
        kinds = [n.op_type for n in made.graph]
        assert kinds == ["Conv"] * (1 if shape[2] == 1 else 4) + ["Interleave"]


@pytest.mark.parametrize("name", LEFT)
def test_left_alone(name) -> None:
    shape, attributes = LEFT[name]
    made = lowered(model(shape, np.ones(shape, np.float32), **attributes))
    assert [n.op_type for n in made.graph] == ["ConvTranspose"]


def test_the_models_own_are_left_alone() -> None:
    made = lowered(model((), np.ones((16, 8, 3, 3), np.float32), **USUAL), written=False)
    assert [n.op_type for n in made.graph] == ["ConvTranspose"]


def test_uses_of_one_weight_are_told_apart() -> None:
    """By strides and groups; and a weight of the model's own is not taken for one that was made."""
    rng = np.random.default_rng(0)
    held = {"w": rng.normal(size=(16, 8, 3, 3)), "w/part_0_0": rng.normal(size=(8, 16, 2, 2))}
    ways = [{"strides": [2, 2]}, {"strides": [3, 2]}, {"strides": [2, 2], "group": 2}, {"strides": [2, 2]}]
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], [f"y{k}"], name=f"back{k}", **way)
        for k, way in enumerate(ways)
    ]
    nodes.append(helper.make_node("Identity", ["w/part_0_0"], ["y"], name="own"))
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "y0", "y1", "y2", "y3", "y")
    ]
    tensors = [helper.make_tensor(n, TensorProto.FLOAT, v.shape, v.ravel()) for n, v in held.items()]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made, x = lowered(proto), rng.normal(size=(1, 16, 4, 5)).astype(np.float32)
    assert sum(n.op_type == "Interleave" for n in made.graph) == len(ways)
    options = ort.SessionOptions()
    register(options)
    sessions = [
        ort.InferenceSession(p.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for p in (proto, ir.to_proto(made))
    ]
    for a, b in zip(*(s.run(None, {"x": x}) for s in sessions), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-4)
