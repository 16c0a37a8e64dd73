"""DeepLIFT on operators that only look like others: random ones, jumps, overflow, movers by index."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox


@pytest.mark.parametrize("kind", ["RandomNormalLike", "RandomUniformLike"])
def test_both_runs_draw_the_same_numbers(kind, models) -> None:
    """What is drawn depends on the shape alone, so it is no part of the difference."""
    model = models.make(
        f"m (float[1, 4] x) => (float[1, 4] y) {{ n = {kind}(x) a = Mul(x, n) y = Add(a, n) }}"
    )
    found = ox.explain(model, models.random(1, 4), 1, method="deep_lift")
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_reveal_cancel_where_one_part_alone_overflows(models) -> None:
    """exp(200) is infinite, exp(200 - 199) is not."""
    w = np.array([[200.0], [-199.0]], np.float32)
    model = models.make("m (float[N, 2] x) => (float[N, 1] y) { z = MatMul(x, w) y = Exp(z) }", w=w)
    found = ox.explain(model, np.ones((1, 2), np.float32), 0, method="deep_lift", rule="reveal_cancel")
    np.testing.assert_allclose(found.values.sum(), np.e - 1, rtol=1e-3)


def test_reveal_cancel_goes_through_an_index_as_through_a_cut(models) -> None:
    x, w = models.random(3, 5), models.random(5, 6)
    found = []
    for mover in ("g = Gather<axis = 1>(a, rows)", "g = Slice(a, start, stop, one)"):
        model = models.make(
            f"""m (float[N, 5] x) => (float[N, 2] y) {{
              a = MatMul(x, w) {mover} r = Relu(g) y = MatMul(r, v) }}""",
            w=w, v=models.random(2, 2, seed=2), rows=np.array([1, 2]), start=np.array([1]),
            stop=np.array([3]), one=np.array([1]),
        )  # fmt: skip
        found.append(ox.explain(model, x, 1, method="deep_lift", rule="reveal_cancel").values)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_a_part_that_is_not_there_takes_no_step_at_a_threshold(models) -> None:
    """``x0 + (x - x0)`` may round to the other side of the jump."""
    rng, low = np.random.default_rng(0), np.float32(0)
    z0 = z = np.float32(0)
    while not low < z:
        z0, z = (np.float32(v) for v in rng.uniform(0.1, 3, 2))
        low = z0 + (z - z0)
        low = low if z > z0 else z
    model = models.make(
        f"m (float[N, 1] x) => (float[N, 1] y) {{ y = ThresholdedRelu<alpha = {float(low)!r}>(x) }}"
    )
    found = ox.explain(
        model, np.array([[z]]), 0, method="deep_lift", rule="reveal_cancel", baselines=np.array([z0])
    )
    np.testing.assert_allclose(found.values, [[z]], rtol=1e-4)
