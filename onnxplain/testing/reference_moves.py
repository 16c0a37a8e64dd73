"""Resampling, padding and scanning for the reference evaluator, as onnxruntime does them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_resize, op_scan

from onnxplain._types import Array
from onnxplain.graph.resampling import resampling

__all__ = ["Pad", "Resize", "Scan"]


class Pad(OpRun):
    """Cannot cut there, what negative pads ask for."""

    op_domain = ""

    def _run(
        self,
        x: Array,
        pads: Array,
        fill: Array | None = None,
        axes: Array | None = None,
        mode: str | None = None,
    ) -> tuple[Array]:
        border = [(0, 0)] * x.ndim
        over = range(x.ndim) if axes is None else [int(a) for a in axes]
        for k, axis in enumerate(over):
            border[axis] = int(pads[k]), int(pads[len(over) + k])
        cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, border, strict=True))
        wide: Any = [(max(a, 0), max(b, 0)) for a, b in border]
        how: Any = mode or "constant"
        if how != "constant":
            return (np.pad(x[cut], wide, mode=how),)
        return (
            np.pad(x[cut], wide, constant_values=0 if fill is None else np.reshape(fill, ())).astype(x.dtype),
        )


class Resize(op_resize.Resize):
    """Counts places in fractions of an element there."""

    op_domain = ""

    def _run(  # type: ignore[override]  # onnx has more words
        self,
        x: Array,
        roi: Array | None = None,
        scales: Array | None = None,
        sizes: Array | None = None,
        **attrs: Any,
    ) -> tuple[Array]:
        axes = [a % x.ndim for a in attrs.get("axes") or range(x.ndim)]
        stretch = (attrs.get("keep_aspect_ratio_policy") or "stretch") == "stretch"
        if scales is not None and np.size(scales):
            factors = [float(s) for s in scales]
            lengths = [
                math.floor(np.float32(s) * np.float32(x.shape[a])) for s, a in zip(factors, axes, strict=True)
            ]
        else:
            assert sizes is not None
            lengths = [int(n) for n in sizes]
            factors = [n / x.shape[a] for n, a in zip(lengths, axes, strict=True)]
        each = [resampling(x.shape[a], n, s, attrs) for a, n, s in zip(axes, lengths, factors, strict=True)]
        if not stretch or any(m is None for m in each):
            made: Any = super()._run(x, roi, scales, sizes, **attrs)
            return (np.asarray(made[0]),)
        if lengths == [x.shape[a] for a in axes]:
            return (x,)  # whatever the scales are
        y: Any = x.astype(np.float64)
        for axis, matrix, factor in zip(axes, each, factors, strict=True):
            if matrix is not None and factor != 1.0:
                y = np.moveaxis(np.moveaxis(y, axis, -1) @ matrix.T, -1, axis)
        return (y.astype(x.dtype),)


class Scan(op_scan.Scan):
    """Scans only forward along first axes there."""

    op_domain = ""

    def __init__(self, node: onnx.NodeProto, parameters: dict[str, Any]) -> None:
        told = {a.name: list(a.ints) for a in node.attribute if a.ints}
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        del plain.attribute[:]
        plain.attribute.extend(a for a in node.attribute if not a.ints)
        super().__init__(plain, parameters)  # type: ignore[no-untyped-call]  # onnx's own
        self._told = told
        self._scanned: int = next(a.i for a in node.attribute if a.name == "num_scan_inputs")

    def _run(self, *inputs: Array, **options: Any) -> tuple[Array, ...]:
        states = len(inputs) - self._scanned
        moved = [
            _turned(np.moveaxis(x, self._of("scan_input_axes", k), 0), self._of("scan_input_directions", k))
            for k, x in enumerate(inputs[states:])
        ]
        made = super()._run(*inputs[:states], *moved, **options)  # type: ignore[no-untyped-call]  # onnx's own
        scanned = [
            np.moveaxis(_turned(y, self._of("scan_output_directions", k)), 0, self._of("scan_output_axes", k))
            for k, y in enumerate(made[states:])
        ]
        return (*made[:states], *scanned)

    def _of(self, name: str, k: int) -> int:
        told: Sequence[int] = self._told.get(name, ())
        return told[k] if k < len(told) else 0


def _turned(x: Array, backwards: int) -> Array:
    return x[::-1] if backwards else x
