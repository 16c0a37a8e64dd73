"""What comes out of the composites that hand on no relevance, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from relevance_formulas import close, mlp_by_hand, pos

import onnxplain as ox


@pytest.mark.parametrize("beta", [0.5, 10.0])
def test_beta_smooth(beta, models) -> None:
    """The derivative of softplus at the ReLU."""
    x = models.random(6, 5, seed=1)
    w, _, v, _, a, _ = mlp_by_hand(models, x)
    expected = (v[:, 1] / (1 + np.exp(-beta * a))) @ w.T
    close(ox.explain(models.mlp(), x, 1, method=ox.BetaSmooth(beta_smooth=beta)).values, expected)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("step", [1, 2])
def test_visual_backprop(size, step, models) -> None:
    """Means over channels, spread over the windows, multiplied on the way down."""
    w1, w2 = models.random(3, 2, size, size, seed=1), models.random(4, 3, 2, 2, seed=2)
    model = models.make(
        f"""m (float[N, 2, 9, 9] x) => (float[N, 5] y) {{
          c1 = Conv<strides = [{step}, {step}]>(x, w1) r1 = Relu(c1)
          c2 = Conv(r1, w2) r2 = Relu(c2)
          g = GlobalAveragePool(r2) f = Flatten(g) y = MatMul(f, v)
        }}""",
        w1=w1, w2=w2, v=models.random(4, 5, seed=3),
    )  # fmt: skip
    x = models.random(2, 2, 9, 9, seed=4)
    r1 = pos(convolved(x, w1, step))
    r2 = pos(convolved(r1, w2, 1))
    mask = spread(r2.mean(1), 2, 1, r1.shape[2]) * r1.mean(1)
    mask = spread(mask, size, step, 9)
    found = ox.explain(model, x, 0, method="visual_backprop").values
    close(found, np.stack([mask, mask], 1))
    np.testing.assert_array_equal(found, ox.explain(model, x, 3, method="visual_backprop").values)


def convolved(x: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::step, ::step]
    made: np.ndarray = np.einsum("nihwab,oiab->nohw", windows, w)
    return made


def spread(mask: np.ndarray, size: int, step: int, width: int) -> np.ndarray:
    out = np.zeros((len(mask), width, width))
    for i in range(mask.shape[1]):
        for j in range(mask.shape[2]):
            out[:, i * step : i * step + size, j * step : j * step + size] += mask[:, i, j, None, None]
    return out
