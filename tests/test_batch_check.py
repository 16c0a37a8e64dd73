"""Batch axes that the user names are checked by running: also by what only later samples tell."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox

SIGNED = ox.Saliency(abs=False)

#: Each sample sees those before it, the first, or its own number: the first sample sees nobody.
SEES_WHAT_IS_BEFORE = {
    "sum so far": "axis = Constant<value_int = 0>() y = CumSum(a, axis)",
    "difference from the first": "first = Slice(a, zero, one, zero) y = Sub(a, first)",
    "difference from the last": "last = Slice(a, minus, big, zero) y = Sub(a, last)",
    "numbered": "n = CumSum(ones, zero_d) y = Mul(a, n)",
    "recurrent": "u = Unsqueeze(a, one) h = RNN<hidden_size = 3>(u, v, r) y = Squeeze(h, both)",
    "shifted": "b = Slice(a, zero, minus, zero) z = Sub(first, first) y = Concat<axis = 0>(z, b)",
}


@pytest.mark.parametrize("name", SEES_WHAT_IS_BEFORE)
def test_batch_axes_that_only_later_samples_belie_are_refused(name, models) -> None:
    text = SEES_WHAT_IS_BEFORE[name]
    text = "first = Slice(a, zero, one, zero) " + text if name == "shifted" else text
    ones = "s = Sub(a, a) t = Exp(s) ones = ReduceMax(t, one)" if name == "numbered" else ""
    model = models.make(
        f"m (float[N, 4] x) => (float[N, 3] y) {{ c = MatMul(x, w) a = Tanh(c) {ones} {text} }}",
        w=models.random(4, 3), zero=np.array([0]), one=np.array([1]), minus=np.array([-1]),
        big=np.array([1 << 40]), zero_d=np.array(0), both=np.array([1, 2]),
        v=models.random(1, 3, 3), r=models.random(1, 3, 3, seed=1),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    x = models.random(5, 4, seed=2)
    with pytest.raises(ox.errors.DataInputError, match=r"other company.*leave batch_axes out"):
        explainer(x, 1, SIGNED, batch_axes=0)
    assert len(explainer(x, (2, 1), SIGNED)) == 1


def test_batch_axes_with_which_the_model_does_not_run(models) -> None:
    model = models.make(
        "m (float[N, 4] x, float[N, N] adjacency) => (float[N, 4] y) { m = MatMul(adjacency, x) y = Tanh(m) }"
    )
    inputs = {"x": models.random(4, 4), "adjacency": np.eye(4, dtype=np.float32)}
    with pytest.raises(ox.errors.DataInputError, match=r"does not run on one sample.*leave batch_axes out"):
        ox.explain(model, inputs, 1, method=SIGNED, wrt="x", batch_axes=0)
