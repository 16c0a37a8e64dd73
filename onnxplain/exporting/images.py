"""From images as they are read, uint8, to what a model takes: written in front of an exported file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.errors import DataInputError
from onnxplain.graph import facts
from onnxplain.graph.names import Names
from onnxplain.preprocessing import Preprocessing, preprocessing_for

__all__ = ["take_images"]

_DOUBLE = int(ir.DataType.DOUBLE)


def take_images(
    model: ir.Model, given: Preprocessing | Mapping[str, Preprocessing], explained: Sequence[str], opset: int
) -> dict[str, Preprocessing]:
    """Let a file take images, uint8 (N, H, W, C) of any size, in place of some of its inputs.

    They are resized bilinearly with a filter as wide as a pixel of the result (as Pillow's, in two passes,
    each rounded to whole pixels), cut, scaled and laid out.  Attributions stay those of what the model takes.

    Parameters
    ----------
    model
        The file's graph.
    given
        Of the first explained input, or by input.
    explained
        Names of the explained inputs.
    opset
        Of the graph.

    Returns
    -------
    dict
        By input: what is done, in the size that the model takes.

    Raises
    ------
    DataInputError
        If an input is no image of floats, or does not have that layout or size.
    """
    graph = model.graph
    there = {str(v.name): v for v in graph.inputs}
    if isinstance(given, Preprocessing):
        given = {next(k for k in explained if k in there): given} if set(explained) & set(there) else {}
    if not given or not set(given) <= set(there):
        raise DataInputError(
            f"preprocessing is for inputs of the model ({', '.join(there)}), not "
            f"{', '.join(given) or 'nothing'}"
        )
    fitted = {name: _fitted(plan, there[name]) for name, plan in given.items()}
    for name, plan in fitted.items():
        _take(graph, there[name], plan, opset)
    return fitted


def _fitted(plan: Preprocessing, value: ir.Value) -> Preprocessing:
    """Return how images become an input, in the size that it takes."""
    name, shape = value.name, facts.dims(value)
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    if shape is None or np.dtype(dtype).kind != "f":
        raise DataInputError(f"input '{name}' takes no images of floats, so none can be made for it")
    _, channels, size = preprocessing_for(shape, plan.layout, plan.size)
    known = shape[1] if plan.layout == "NCHW" else shape[3]
    if isinstance(known, int) and channels != plan.channels:
        raise DataInputError(
            f"input '{name}' takes {channels} channels ({plan.layout}), and preprocessing makes "
            f"{plan.channels}: give channels={channels}"
        )
    return replace(plan, size=size)


def _take(graph: ir.Graph, value: ir.Value, plan: Preprocessing, opset: int) -> None:
    names = Names(graph)
    op = Emitter(graph, opset, names.scope("onnxplain/image"))
    op.before = next(iter(graph))
    batch = (facts.dims(value) or ("batch",))[0]
    lead = batch if isinstance(batch, int) else str(batch or "batch")
    image = ir.Value(
        name=value.name,
        type=ir.TensorType(ir.DataType.UINT8),
        shape=ir.Shape([lead, "height", "width", plan.channels]),
    )
    pixels: Any = op.Transpose(op.Cast(image, to=_DOUBLE), perm=[0, 3, 1, 2])
    if plan.size is not None:
        pixels = _resized(op, image, pixels, plan, plan.size)
    mean, std = (np.asarray(v, np.float64).reshape(1, -1, 1, 1) for v in (plan.mean, plan.std))
    wide = op.Div(op.Sub(op.Mul(pixels, np.float64(plan.scale)), mean), std)
    if plan.layout == "NHWC":
        wide = op.Transpose(wide, perm=[0, 2, 3, 1])
    made = op.Cast(wide, to=int(value.dtype or ir.DataType.FLOAT))
    value.replace_all_uses_with(made, replace_graph_outputs=True)
    made.name = names.free(f"{value.name}/prepared")
    made.type, made.shape = value.type, value.shape
    place = list(graph.inputs).index(value)
    graph.inputs[place] = image


def _resized(op: Emitter, image: ir.Value, pixels: Any, plan: Preprocessing, size: tuple[int, int]) -> Any:
    """Resize (N, C, H, W), and cut out the middle where that is asked for."""
    lengths = [
        op.Cast(op.Squeeze(op.Shape(image, start=axis, end=axis + 1), [0]), to=_DOUBLE) for axis in (1, 2)
    ]
    whole: list[Any] = [op.const(np.float64(length)) for length in size]
    begin: list[Any] = [op.const(np.float64(0)), op.const(np.float64(0))]
    if plan.crop is not None:
        # the shorter side for a square crop; for other crops the smallest picture that covers it
        factor = op.Max(*(op.Div(w, length) for w, length in zip(whole, lengths, strict=True)))
        factor = op.Div(op.Mul(factor, np.float64(plan.crop)), 224.0)
        full = [op.Max(w, op.Round(op.Mul(n, factor))) for w, n in zip(whole, lengths, strict=True)]
        begin = [op.Floor(op.Div(op.Sub(f, w), 2.0)) for f, w in zip(full, whole, strict=True)]
        whole = full
    down, along = (
        _filter(op, n, full, first, length)
        for n, full, first, length in zip(lengths, whole, begin, size, strict=True)
    )  # (length, n)
    made = op.MatMul(pixels, op.Transpose(along, perm=[1, 0]))
    return _whole(op, op.MatMul(down, _whole(op, made)))


def _whole(op: Emitter, pixels: Any) -> Any:
    """Return the nearest whole numbers; half-way ones go up, whatever order sums were taken in."""
    return op.Min(op.Max(op.Floor(op.Add(pixels, 0.5 + 1e-9)), 0.0), 255.0)


def _filter(op: Emitter, before: Any, after: Any, first: Any, length: int) -> Any:
    """Return the matrix that resizes a line to one as long as ``after``, from its place ``first`` on."""
    scale = op.Div(before, after)
    reach = op.Max(scale, np.float64(1.0))
    places = op.Add(op.const(np.arange(length, dtype=np.float64)), first)
    centres = op.Mul(op.Add(places, 0.5), scale)
    number = op.Cast(before, to=int(ir.DataType.INT64))
    sources = op.Range(op.const(np.int64(0)), number, op.const(np.int64(1)))
    sources = op.Add(op.Cast(sources, to=_DOUBLE), 0.5)
    apart = op.Abs(op.Sub(op.Unsqueeze(sources, [0]), op.Unsqueeze(centres, [1])))
    near = op.Max(op.Sub(op.const(np.float64(1.0)), op.Div(apart, reach)), np.float64(0.0))
    return op.Div(near, op.ReduceSum(near, [1], keepdims=1))
