"""Models whose ranks only the shapes of a call tell."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.reading import read
from onnxplain.specialised import leaves_ranks_open, specialised

SIGNED = ox.Saliency(abs=False)

#: Parts whose result has a number of axes that no symbolic shape tells; (N, W, 1) to (N, W).
OPEN = {
    "squeeze all": "s = Squeeze(h) z = Slice(s, zero, far, last)",
    "squeeze twice": "s = Squeeze(h) t = Squeeze(s) z = Slice(t, zero, far, last)",
    "computed axes": "q = Shape(h) n = Gather(q, two) m = Add(n, one) s = Squeeze(h, m) "
    "z = Slice(s, zero, far, last)",
    "a branch": "q = Shape(h) n = Gather(q, two) k = Squeeze(n) c = Equal(k, single) s = If(c)"
    "<then_branch = t () => (a) { a = Squeeze(h, two) }, else_branch = e () => (b) { b = Identity(h) }> "
    "z = Slice(s, zero, far, last)",
}


def model(part: str, models):
    return models.make(
        f"m (float[N, W, 1] x) => (float[N, W] y) {{ h = Tanh(x) {OPEN[part]} y = Mul(z, z) }}",
        zero=np.array([0]), far=np.array([99]), last=np.array([-1]), one=np.array([1]), two=np.array([2]),
        single=np.array(1),
    )  # fmt: skip


@pytest.mark.parametrize("part", OPEN)
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "lrp", "deep_lift"])
def test_shapes_at_hand_tell_what_is_open(part, method, models) -> None:
    explainer = ox.Explainer(model(part, models))
    for n, width in ((2, 3), (3, 5), (2, 3)):
        x = models.random(n, width, 1)
        z = np.tanh(x[..., 0])
        found = explainer(x, list(range(n)), method, **({"abs": False} if method == "saliency" else {}))
        assert found.values.shape == x.shape
        np.testing.assert_allclose(found.predictions, z**2, rtol=1e-5)
        expected = np.zeros_like(z)
        rows = np.arange(n)
        slope = 2 * z[rows, rows] * (1 - z[rows, rows] ** 2)
        expected[rows, rows] = slope if method == "saliency" else z[rows, rows] ** 2
        np.testing.assert_allclose(found.values[..., 0], expected, rtol=1e-3, atol=1e-6)
        if leaves_ranks_open(read(model(part, models))):
            assert any("of these shapes" in note for note in found.notes)


def test_some_are_open(models) -> None:
    assert sum(leaves_ranks_open(read(model(part, models))) for part in OPEN) >= 2
    assert not leaves_ranks_open(read(models.conv()))


def test_inspection_does_not_take_them_for_unexplainable(models) -> None:
    for part in OPEN:
        assert not ox.inspect(model(part, models)).problems


def test_weights_are_shared(models) -> None:
    plain = models.make(
        "m (float[N, W, 8] x) => (float[N, W] y) { a = MatMul(x, w) s = Squeeze(a) y = Tanh(s) }",
        w=models.random(8, 1),
    )
    normal = read(plain)
    made = specialised(normal, {"x": (2, 3, 8)})
    weight = next(v for v in normal.model.graph.initializers.values() if v.name == "w")
    again = next(v for v in made.model.graph.initializers.values() if v.name == "w")
    assert again.const_value is weight.const_value


def test_what_is_wrong_for_other_reasons_is_told_as_before(models) -> None:
    """The shapes do not help an operator without a gradient."""
    odd = models.make(
        "m (float[N, W] x) => (float[N] y) { s = Squeeze(x) a = odd.Thing(s) y = Relu(a) }", domain="odd"
    )
    with pytest.raises(ox.errors.UnsupportedOperatorError, match="Thing"):
        ox.explain(odd, models.random(2, 3), method=SIGNED)


def test_few_forms_are_kept(models) -> None:
    explainer = ox.Explainer(model("squeeze all", models))
    for width in range(2, 10):
        explainer(models.random(2, width, 1), 0, SIGNED)
    assert len(explainer._fixed) <= 4
