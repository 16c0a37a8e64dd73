"""Networks whose last value with space is known, in every layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attention_models import vision


def signal(models: Any) -> Any:
    """(N, 2, 24) to (N, 3): convolutions along time, two dense layers."""
    return models.make(
        """m (float[N, 2, 24] x) => (float[N, 3] y) {
          c1 = Conv<pads = [1, 1]>(x, w1) r1 = Relu(c1)
          c2 = Conv<strides = [2], kernel_shape = [3]>(r1, w2) r2 = Relu(c2) f = Flatten(r2)
          d = MatMul(f, w3) t = Tanh(d) y = MatMul(t, w4)
        }""",
        w1=models.random(4, 2, 3, seed=1), w2=models.random(5, 4, 3, seed=2, scale=0.4),
        w3=models.random(55, 6, seed=3, scale=0.2), w4=models.random(6, 3, seed=4),
    )  # fmt: skip


def channels_last(models: Any) -> Any:
    """(N, 8, 8, 2) to (N, 4), whose last map has its channels last, too."""
    return models.make(
        """m (float[N, 8, 8, 2] x) => (float[N, 4] y) {
          t = Transpose<perm = [0, 3, 1, 2]>(x)
          c = Conv<strides = [2, 2], kernel_shape = [3, 3], pads = [0, 0, 1, 1]>(t, w) r = Relu(c)
          back = Transpose<perm = [0, 2, 3, 1]>(r) f = Flatten(back)
          d = MatMul(f, u) s = Sigmoid(d) y = MatMul(s, v)
        }""",
        w=models.random(5, 2, 3, 3, seed=1), u=models.random(80, 6, seed=2, scale=0.2),
        v=models.random(6, 4, seed=3),
    )  # fmt: skip


#: By name: the model, a sample's shape, the last value with space, how it lies, and its map's lengths.
CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], str, str, tuple[int, ...]]] = {
    "convolutions": (lambda m: m.conv(), (2, 8, 8), "r3", "first", (2, 2)),
    "signal": (signal, (2, 24), "r2", "first", (11,)),
    "channels last": (channels_last, (8, 8, 2), "back", "last", (4, 4)),
    "patches": (lambda m: vision(m, class_token=False), (3, 8, 12), "h0", "tokens", (2, 3)),
    "class token": (lambda m: vision(m, class_token=True), (3, 8, 12), "h0", "class and tokens", (2, 3)),
    "patches of pixels with channels last": (
        lambda m: vision(m, class_token=True, last=True), (8, 12, 3), "h0", "class and tokens", (2, 3),
    ),
}  # fmt: skip
