"""The pass that writes elementwise nodes as one: on random graphs, whose outputs stay what they were."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from onnxplain.graph import facts
from onnxplain.graph.passes.lower import DOMAIN, FuseElementwise
from onnxplain.runtime.operators import register

ONE = ("Neg", "Abs", "Identity", "Exp", "Relu")
TWO = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")
COMPARE = ("Greater", "Less", "Equal")


def graph(seed: int) -> ir.Model:
    """Make a graph of steps that are read once, often, or not at all, by others and as outputs."""
    rng = np.random.default_rng(seed)
    full = [int(d) for d in rng.integers(2, 5, 3)]
    inputs = []
    for k in range(4):
        shape = [d if rng.random() < 0.7 else 1 for d in full][int(rng.integers(0, 3)) :]
        inputs.append(helper.make_tensor_value_info(f"x{k}", TensorProto.FLOAT, shape))
    held = {f"c{k}": np.float32(rng.normal()) * np.ones([1] * k, np.float32) for k in range(3)}
    floats, truths, nodes = [i.name for i in inputs] + list(held), [], []
    for k in range(int(rng.integers(3, 26))):
        name = f"v{k}"
        kinds = [*ONE, *TWO, *COMPARE, *(["Where", "Not", "And"] if truths else [])]
        kind = str(rng.choice(kinds))
        if kind == "Where":
            takes = [str(rng.choice(truths)), *map(str, rng.choice(floats, 2))]
        elif kind in ("Not", "And"):
            takes = [str(t) for t in rng.choice(truths, 1 if kind == "Not" else 2)]
        else:
            count = 1 if kind in ONE else int(rng.integers(1, 4)) if kind in ("Max", "Min", "Sum") else 2
            takes = [str(f) for f in rng.choice(floats, count)]
        nodes.append(helper.make_node(kind, takes, [name], name=name))
        (truths if kind in (*COMPARE, "Not", "And") else floats).append(name)
    made = [f for f in floats if f.startswith("v")]
    if not made:
        return graph(seed + 1000)
    outputs = {made[-1], *map(str, rng.choice(made, int(rng.integers(1, 3))))}
    infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in sorted(outputs)]
    tensors = [helper.make_tensor(n, TensorProto.FLOAT, v.shape, v.ravel()) for n, v in held.items()]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", inputs, infos, tensors),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    for node in model.graph:
        if rng.random() < 0.9:
            node.metadata_props[facts.WRITTEN_KEY] = ""
    return model


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    register(options)
    content = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("block", range(20))
def test_outputs_stay_what_they_were(block) -> None:
    fused = 0
    for seed in range(15 * block, 15 * block + 15):
        model = graph(seed)
        rng = np.random.default_rng(seed)
        feeds = {str(v.name): rng.normal(size=v.shape.numpy()).astype(np.float32) for v in model.graph.inputs}
        expected = run(model, feeds)
        FuseElementwise()(model)
        fused += sum(node.domain == DOMAIN for node in model.graph)
        for name, found in run(model, feeds).items():
            assert found.shape == expected[name].shape, (seed, name)
            np.testing.assert_array_equal(found, expected[name], err_msg=f"{seed} {name}")
    assert fused > 3  # these are not all left alone
