"""How samples lie in a file's inputs, whose lengths only its runs will tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.batching import Batching
from onnxplain.errors import DataInputError
from onnxplain.graph import facts
from onnxplain.graph.interface import InputInfo
from onnxplain.runtime.layout import BATCH_NAME, Layout

__all__ = ["layout_of_any_length"]

#: The samples that are tried; the proof is for any number.
_SAMPLES = 2
#: Lengths to try for axes that have none, by the number of the input's axes.
_IMAGES, _OTHERS = (224, 256, 320, 64, 48), (16, 24, 128, 8, 5)
_MOST_LENGTHS, _LONGEST = 12, 4096

#: Tells whether the model runs on inputs of certain shapes.
Runs = Callable[[Mapping[str, Shape]], bool]


def layout_of_any_length(
    model: ir.Model,
    inputs: Sequence[InputInfo],
    infos: Sequence[InputInfo],
    output: str,
    runs: Runs,
) -> Layout:
    """Find a layout that holds for inputs of any shape that the model takes.

    Lengths that a model does not state are tried.  A layout counts if it is the same for two, or for the
    only one that the model runs on: where a trace has written down the length that it saw, or weights ask
    for one.

    Parameters
    ----------
    model
        The normalised model.
    inputs, infos
        What it takes, and what of it is explained.
    output
        Name of the explained output.
    runs
        Tells whether the model runs on inputs of these shapes; asked only where it matters.
    """
    main = next((i for i in infos if i in inputs), inputs[0])
    batching, explained = Batching(model, inputs), [i.name for i in infos]
    stated = all(isinstance(d, int) for i in inputs for d in (i.shape or (None,)))
    proven: list[Layout] = []
    refused: list[_Refused] = []
    for shapes in _tried(model, inputs, main):
        try:
            layout = batching.layout(shapes, main.name, explained, [output])
        except DataInputError as error:
            refused.append(_Refused(shapes, Layout(1, dict.fromkeys(shapes, None), mixed=str(error))))
            continue
        if stated:
            return layout
        if layout.exact is not None and layout.alone is None:
            why = "samples are only proven to be independent for a certain number of them"
            layout = Layout(1, dict.fromkeys(shapes, None), mixed=layout.mixed or why)
        if layout.whole:
            refused.append(_Refused(shapes, layout))
        elif any(o.axes == layout.axes and o.inner == layout.inner for o in proven):
            return layout
        else:
            proven.append(layout)
    if len(proven) == 1 and not any(runs(r.shapes) for r in refused):
        return proven[0]
    ran = next((r for r in refused if runs(r.shapes)), None) if len(refused) > 1 else None
    if ran is None:
        ran = refused[0] if refused else _Refused({}, Layout(1, {i.name: None for i in inputs}))
    return replace(ran.layout, mixed=ran.layout.mixed or "its samples lie elsewhere for other lengths")


@dataclass(frozen=True)
class _Refused:
    """Lengths for which the samples are not proven to be independent."""

    shapes: Mapping[str, Shape]
    layout: Layout


def _tried(model: ir.Model, inputs: Sequence[InputInfo], main: InputInfo) -> Iterator[dict[str, Shape]]:
    """Yield shapes that the inputs may have: usual lengths first, then what the graph has of its own."""
    first = [_key(i, 0) for i in inputs if i.shape and not isinstance(i.shape[0], int)]
    for image, other in zip(_IMAGES, _OTHERS, strict=True):
        yield {i.name: _shape(i, set(first), image if len(i.shape or ()) >= 4 else other) for i in inputs}
    open_axes = {_key(i, k) for i in inputs for k, d in enumerate(i.shape or ()) if not isinstance(d, int)}
    named: set[object] = {k for k in open_axes if isinstance(k, str) and BATCH_NAME.fullmatch(k)}
    batch = named or {_key(main, 0)}
    if open_axes <= batch:
        return
    for length in _lengths(model):
        yield {i.name: _shape(i, batch, length) for i in inputs}


def _key(info: InputInfo, axis: int) -> object:
    """Return the name of an open axis, or where it is."""
    dim = (info.shape or ())[axis]
    return dim if isinstance(dim, str) else (info.name, axis)


def _shape(info: InputInfo, batch: set[object], length: int) -> Shape:
    dims = info.shape or ()
    return tuple(
        d if isinstance(d, int) else _SAMPLES if _key(info, k) in batch else length
        for k, d in enumerate(dims)
    )


def _lengths(model: ir.Model) -> list[int]:
    """Return lengths that shapes and weights of the graph have, likeliest first."""
    seen: Counter[int] = Counter()
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None:
            continue
        if tensor.dtype == ir.DataType.INT64 and tensor.size <= 8:
            seen.update(int(d) for d in tensor.numpy().ravel())
        elif value.dtype is None or facts.is_float(value):
            seen.update(int(d) for d in tensor.shape.numpy())
    return [d for d, _ in seen.most_common() if _SAMPLES < d <= _LONGEST][:_MOST_LENGTHS]
