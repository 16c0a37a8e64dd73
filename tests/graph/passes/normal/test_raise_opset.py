"""Models of an old opset are raised."""

from __future__ import annotations

import numpy as np
from one_pass import TEXT, run

from onnxplain.graph.load import load
from onnxplain.graph.passes.normal import MIN_OPSET, raise_opset


def test_raise_opset(models) -> None:
    proto = models.make(
        TEXT.format(x="N, 2, 3", y="N, 2", body="y = ReduceSum<axes = [2], keepdims = 0>(x)"), opset=11
    )
    model, raised = raise_opset(load(proto))
    assert raised
    assert model.graph.opset_imports[""] == MIN_OPSET
    x = models.random(2, 2, 3)
    np.testing.assert_allclose(run(model, x=x)[0], x.sum(2), rtol=1e-5)
    again, raised = raise_opset(model)
    assert not raised
    assert again is model


def test_raise_opset_does_not_copy_weights(models) -> None:
    weights = models.random(64, 64)
    proto = models.make(TEXT.format(x="N, 64", y="N, 64", body="y = MatMul(x, w)"), opset=11, w=weights)
    model = load(proto)
    tensor = model.graph.initializers["w"].const_value
    made, _ = raise_opset(model)
    assert made.graph.initializers["w"].const_value is tensor
    assert [v.name for v in made.graph.inputs] == ["x"]
