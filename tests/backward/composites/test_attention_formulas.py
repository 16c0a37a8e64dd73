"""Relevance through attention, against NumPy in float64.

There q = x Q, k = x K, v = x V, a = softmax(q k') and y = a v.
"""

from __future__ import annotations

import numpy as np
import onnx
from relevance_formulas import close, stab

import onnxplain as ox
from onnxplain.backward.composites.relevance import layered

T, D = 3, 4


def attention(models) -> tuple[onnx.ModelProto, tuple[np.ndarray, ...]]:
    weights = [models.random(D, D, seed=k, scale=0.5).astype(np.float64) for k in (1, 2, 3)]
    model = models.make(
        f"""m (double[N, {T}, {D}] x) => (double[N, {T}, {D}] y) {{
          q = MatMul(x, Q) k = MatMul(x, K) v = MatMul(x, V)
          t = Transpose<perm = [0, 2, 1]>(k)
          s = MatMul(q, t)
          a = Softmax<axis = -1>(s)
          y = MatMul(a, v)
        }}""",
        Q=weights[0], K=weights[1], V=weights[2],
    )  # fmt: skip
    return model, tuple(weights)


def attention_by_hand(x: np.ndarray, Q: np.ndarray, K: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return q, k, v, the products s of q and k, a, y, and the relevance of y from its entry (1, 2)."""
    q, k, v = x @ Q, x @ K, x @ V
    s = q @ k.T
    a = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    y = a @ v
    R = np.zeros_like(y)
    R[1, 2] = y[1, 2]
    return q, k, v, s, a, y, R


def test_attention(models) -> None:
    """Products of two computed values give half to each; softmax gives x (R - y sum R)."""
    model, (Q, K, V) = attention(models)
    X = np.random.default_rng(0).standard_normal((2, T, D))
    found = ox.explain(model, X, (1, 2), method=ox.LRP("attention")).values
    for x, values in zip(X, found, strict=True):
        q, k, v, s, a, y, R = attention_by_hand(x, Q, K, V)
        half = R / stab(y) / 2
        R_a, R_v = a * (half @ v.T), v * (a.T @ half)
        R_s = s * (R_a - a * R_a.sum(1, keepdims=True))
        half = R_s / stab(s) / 2
        R_q, R_k = q * (half @ k), k * (half.T @ q)
        expected = sum(x * ((r / stab(z)) @ w.T) for r, z, w in ((R_q, q, Q), (R_k, k, K), (R_v, v, V)))
        close(values, expected, 1e-10)


def test_attention_with_constant_weights(models) -> None:
    """Conservative propagation: all goes through the values, and the sum is the score."""
    model, (Q, K, V) = attention(models)
    X = np.random.default_rng(0).standard_normal((2, T, D))
    found = ox.explain(model, X, (1, 2), method=ox.LRP("attention_cp"))
    for x, values in zip(X, found.values, strict=True):
        *_, v, _, a, y, R = attention_by_hand(x, Q, K, V)
        R_v = v * (a.T @ (R / stab(y)))
        close(values, x * ((R_v / stab(v)) @ V.T), 1e-10)
    assert found.relative_delta is not None
    assert found.relative_delta.max() < 1e-3


def test_a_mask_in_attention_gets_nothing(models) -> None:
    """Where a score is minus infinity, its product with 0 stays 0."""
    model = models.make(
        "m (double[N, 3] x) => (double[N, 3] y) { s = Add(x, mask) a = Softmax(s) y = Mul(a, x) }",
        mask=np.array([0.0, -np.inf, 0.0]),
    )  # fmt: skip
    x = np.array([[0.5, 1.0, -0.3]])
    found = ox.explain(model, x, 0, method=ox.LRP(layered("eps", ()))).values
    assert np.isfinite(found).all()
    assert found[0, 0] != 0
    assert found[0, 1] == 0
