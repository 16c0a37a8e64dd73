"""Convolutions for the reference evaluator, as matrix products: the standard's own loops take minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from onnxplain._types import Array

__all__ = ["Conv", "ConvTranspose"]


class Conv(OpRun):
    """Gathers windows and multiplies."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        n = x.ndim - 2
        strides, dilations = strides or [1] * n, dilations or [1] * n
        reach = _reach(w, dilations)
        both = list(pads or [0] * 2 * n)
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            for k, size in enumerate(x.shape[2:]):
                total = max((-(-size // strides[k]) - 1) * strides[k] + reach[k] - size, 0)
                both[k], both[n + k] = _halves(total, auto_pad)
        elif auto_pad == "VALID":
            both = [0] * 2 * n
        padded = np.pad(x, [(0, 0), (0, 0), *((both[k], both[n + k]) for k in range(n))])
        y = correlate(padded, w, strides, dilations, group or 1)
        return (y if b is None else y + b.reshape(-1, *[1] * n),)


class ConvTranspose(OpRun):
    """Spreads the input out with zeros between, and convolves with the flipped kernel."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        n, groups = x.ndim - 2, group or 1
        strides, dilations = strides or [1] * n, dilations or [1] * n
        extra, both = list(output_padding or [0] * n), list(pads or [0] * 2 * n)
        reach = _reach(w, dilations)
        if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            for k, size in enumerate(x.shape[2:]):
                wanted = (
                    size * strides[k] if output_shape is None else output_shape[len(output_shape) - n + k]
                )
                total = strides[k] * (size - 1) + extra[k] + reach[k] - wanted
                if total < 0:
                    extra[k], total = extra[k] - total, 0
                both[k], both[n + k] = _halves(total, auto_pad)
        wide = np.zeros(
            (*x.shape[:2], *((s - 1) * t + 1 for s, t in zip(x.shape[2:], strides, strict=True))), x.dtype
        )
        apart: Any = (..., *(slice(None, None, t) for t in strides))
        wide[apart] = x
        border = [(reach[k] - 1, reach[k] - 1 + extra[k]) for k in range(n)]
        split = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        flipped = np.flip(split, tuple(range(3, 3 + n))).reshape(-1, split.shape[2], *w.shape[2:])
        y = correlate(np.pad(wide, [(0, 0), (0, 0), *border]), flipped, [1] * n, dilations, groups)
        kept: Any = (..., *(slice(both[k], y.shape[2 + k] - both[n + k]) for k in range(n)))
        y = y[kept]
        return (y if b is None else y + b.reshape(-1, *[1] * n),)


def _reach(w: Array, dilations: Sequence[int]) -> tuple[int, ...]:
    """Return how far a kernel reaches along each axis."""
    return tuple(d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:], strict=True))


def _halves(total: int, auto_pad: str | None) -> tuple[int, int]:
    """Share pads out to both ends; SAME_UPPER has the odd one at the end, all else at the start."""
    small = total // 2
    return (small, total - small) if auto_pad == "SAME_UPPER" else (total - small, small)


def correlate(x: Array, w: Array, strides: Sequence[int], dilations: Sequence[int], group: int) -> Array:
    """Return ``y[n, o, p] = sum_i,k x[n, i, p s + k d] w[o, i, k]``, in groups, without pads."""
    n = x.ndim - 2
    reach = _reach(w, dilations)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, 2 + n)))
    starts, taps = ([slice(None, None, s) for s in steps] for steps in (strides, dilations))
    picked = (slice(None), slice(None), *starts, *taps)
    view = view[picked]
    batch, out = x.shape[0], view.shape[2 : 2 + n]
    split = view.reshape(batch, group, -1, *out, *w.shape[2:])  # (N, G, I, out..., k...)
    order = (1, 2, *range(3 + n, 3 + 2 * n), 0, *range(3, 3 + n))
    columns = split.transpose(order).reshape(group, -1, batch * int(np.prod(out)))
    rows = w.reshape(group, w.shape[0] // group, -1)
    y = np.matmul(rows, columns).reshape(group * rows.shape[1], batch, *out)
    return np.ascontiguousarray(np.moveaxis(y, 1, 0))
