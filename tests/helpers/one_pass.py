"""One pass on a small model: the graph changes as it says, the numbers do not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes


def run(model: onnx.ModelProto | ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, feeds)


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def apply(
    one: ir.passes.InPlacePass,
    proto: onnx.ModelProto,
    changed: bool = True,
    written: bool = False,
    **feeds: np.ndarray,
) -> ir.Model:
    """Run one pass on a loaded model (its nodes marked as written by a walk); compare before and after."""
    model = load(proto)
    if written:
        for node in model.graph:
            node.metadata_props[facts.WRITTEN_KEY] = ""
    infer_shapes(model)
    before = run(model, **feeds)
    names = [v.name for v in model.graph.outputs]
    assert one(model).modified is changed
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert [v.name for v in model.graph.outputs] == names
    for a, b in zip(before, run(model, **feeds), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
        assert a.dtype == b.dtype
    assert not one(model).modified, "a second time there is nothing to do"
    return model


TEXT = "m (float[{x}] x) => (float[{y}] y) {{ {body} }}"
