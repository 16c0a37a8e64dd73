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

ONE = ("Neg", "Abs", "Identity", "Exp", "Relu", "Clip", "HardSigmoid")
MORE = {"Clip": ["low", "high"]}
#: A mask, as the pass that comes before writes it.
ATTRIBUTES = {"HardSigmoid": {"alpha": 2.0**100, "beta": -0.5 * 2.0**100}}
TWO = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")
COMPARE = ("Greater", "Less", "Equal")


def graph(seed: int) -> ir.Model:
    """Make a graph of steps that are read once, often, or not at all, by others and as outputs."""
    rng = np.random.default_rng(seed)
    full = [int(d) for d in rng.integers(2, 5, int(rng.integers(3, 5)))]
    inputs = []
    for k in range(5):
        shape = [d if rng.random() < 0.7 else 1 for d in full][int(rng.integers(0, 3)) :]
        kind = TensorProto.FLOAT if k < 4 else TensorProto.BOOL
        inputs.append(helper.make_tensor_value_info(f"x{k}", kind, shape))
    held = {f"c{k}": np.float32(rng.normal()) * np.ones([1] * k, np.float32) for k in range(3)}
    floats, truths, nodes = [i.name for i in inputs[:4]] + list(held), ["x4", "true"], []
    for k in range(int(rng.integers(3, 26))):
        name = f"v{k}"
        kind = str(rng.choice([*ONE, *TWO, *COMPARE, "Where", "Not", "And"]))
        if kind == "Where":
            takes = [str(rng.choice(truths)), *map(str, rng.choice(floats, 2))]
        elif kind in ("Not", "And"):
            takes = [str(t) for t in rng.choice(truths, 1 if kind == "Not" else 2)]
        else:
            count = 1 if kind in ONE else int(rng.integers(1, 4)) if kind in ("Max", "Min", "Sum") else 2
            takes = [str(f) for f in rng.choice(floats, count)]
        takes += MORE.get(kind, [])
        nodes.append(helper.make_node(kind, takes, [name], name=name, **ATTRIBUTES.get(kind, {})))
        (truths if kind in (*COMPARE, "Not", "And") else floats).append(name)
    made = [f for f in floats if f.startswith("v")]
    if not made:
        return graph(seed + 1000)
    outputs = {made[-1], *map(str, rng.choice(made, int(rng.integers(1, 3))))}
    infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in sorted(outputs)]
    held |= {"low": np.float32(-0.5), "high": np.float32(0.7)}
    tensors = [helper.make_tensor(n, TensorProto.FLOAT, v.shape, v.ravel()) for n, v in held.items()]
    tensors.append(helper.make_tensor("true", TensorProto.BOOL, [], [True]))
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


#: Passes, one after the other: for devices, and where onnxruntime has optimised the graph.
WAYS = (
    [FuseElementwise("cpu")],
    [FuseElementwise("cuda")],
    [FuseElementwise(optimised=True)] * 2,
    [FuseElementwise("cpu"), FuseElementwise(optimised=True)],
)


@pytest.mark.parametrize("block", range(20))
def test_outputs_stay_what_they_were(block) -> None:
    fused = 0
    for seed in range(15 * block, 15 * block + 15):
        model = graph(seed)
        rng = np.random.default_rng(seed)
        drawn = {v: rng.normal(size=v.shape.numpy()) for v in model.graph.inputs}
        feeds = {
            str(v.name): a > 0 if v.dtype == ir.DataType.BOOL else np.float32(a) for v, a in drawn.items()
        }
        expected = run(model, feeds)
        for one in WAYS[seed % len(WAYS)]:
            one(model)
        fused += sum(node.domain == DOMAIN for node in model.graph)
        for name, found in run(model, feeds).items():
            assert found.shape == expected[name].shape, (seed, name)
            np.testing.assert_array_equal(found, expected[name], err_msg=f"{seed} {name}")
    assert fused > 3  # these are not all left alone


def test_programs_for_a_gpu_fit_its_kernels_parameters() -> None:
    text = ["m (float[4] x, float[4] y) => (float[4] made) {", "v0 = Sub(x, y)"]
    text += [f"v{k} = {'Mul' if k % 2 else 'Div'}(v{k - 1}, y)" for k in range(1, 150)]
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]>' + "\n".join([*text, "made = Neg(v149)", "}"])
    )
    feeds = {"x": np.float32([1, 2, 3, 4]), "y": np.float32([2, 0.5, -1, 3])}
    for device, longest in (("cpu", 151), ("cuda", 96)):
        model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
        for node in model.graph:
            node.metadata_props[facts.WRITTEN_KEY] = ""
        expected = run(model, feeds)["made"]
        FuseElementwise(device)(model)
        programs = [n.attributes["program"].as_ints() for n in model.graph if n.domain == DOMAIN]
        assert max(len(p) // 4 for p in programs) == longest
        np.testing.assert_array_equal(run(model, feeds)["made"], expected)
