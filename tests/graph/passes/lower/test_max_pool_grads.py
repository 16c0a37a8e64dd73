"""Masks behind max pooling are taken before it, where they are by what was pooled."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import onnxplain as ox
from onnxplain.graph.passes.lower import MaxPoolGrads
from onnxplain.runtime.operators import why_not

POOL = "MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>"
BODY = """
    c = Conv<pads = [1, 1, 1, 1]>(x, w) r = {before}(c) p = {pool}({pooled})
    s = ReduceSum<keepdims = 0>(p, axes) y = Gemm(s, v)
"""


def network(models, before: str = "Relu", pooled: str = "r"):
    body = BODY.format(before=before, pool=POOL, pooled=pooled)
    text = "m (float[N, 2, 9, 8] x) => (float[N, 3] y) { " + body + " }"
    constants = {"w": models.random(4, 2, 3, 3), "v": models.random(4, 3, seed=1), "axes": np.array([2, 3])}
    return models.make(text, **constants)


def masks(model: ir.Model) -> list[str]:
    """Return what the walk's masks compare."""
    compared = (n for n in model.graph if n.op_type == "Greater")
    return [str(n.inputs[0].name) for n in compared]


@pytest.mark.skipif(why_not() is not None, reason="the library of operators was not built here")
@pytest.mark.parametrize(("before", "moved"), [("Relu", True), ("LeakyRelu", False), ("Sigmoid", False)])
def test_masks_of_windows(before, moved, models, monkeypatch) -> None:
    """The same numbers in both forms; with ties and zeros, which are many here."""
    proto, lowered, call = network(models, before), [], MaxPoolGrads.call

    def spy(self: MaxPoolGrads, model: ir.Model) -> ir.passes.PassResult:
        result = call(self, model)
        lowered.append(masks(model))
        return result

    monkeypatch.setattr(MaxPoolGrads, "call", spy)
    x = np.round(models.random(2, 2, 9, 8, seed=3) * 2)
    forms = [ox.Explainer(proto, accelerate=a)(x, [0, 2], ox.Saliency(abs=False)) for a in (True, False)]
    np.testing.assert_allclose(forms[0].values, forms[1].values, rtol=1e-5, atol=1e-6)
    assert ("p" in lowered[0]) is moved
    assert not moved or "r" not in lowered[0]
