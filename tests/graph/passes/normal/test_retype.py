"""A whole graph computes in another floating-point type."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from one_pass import run

from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal import Retype


def test_retype(models) -> None:
    """Inputs, outputs, weights, casts and constants in attributes change together."""
    body = "a = Cast<to = 10>(z) h = ConstantOfShape(one) b = Mul(x, h) c = Add(b, a) y = Mul(c, w)"
    proto = models.make(
        f"m (float16[N, 3] x, int64[3] z) => (float16[N, 3] y) {{ {body} }}",
        w=np.array([1, 2, 3], np.float16), one=np.array([1]),
    )  # fmt: skip
    two = onnx.numpy_helper.from_array(np.array([2], np.float16))
    proto.graph.node[1].attribute.append(onnx.helper.make_attribute("value", two))
    model = load(proto)
    retype = Retype(frozenset({ir.DataType.FLOAT16}), ir.DataType.FLOAT)
    assert retype(model).modified
    infer_shapes(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    x, z = models.random(2, 3), np.array([1, 2, 3])
    np.testing.assert_allclose(run(model, x=x, z=z)[0], (2 * x + z) * [1, 2, 3], rtol=1e-6)
    assert not retype(model).modified
