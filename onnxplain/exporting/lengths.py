"""Lengths that a model leaves open, fixed: by input, by the name of an axis, or as a number of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Shape
from onnxplain.any_length import layout_of_any_length
from onnxplain.batching import Batching
from onnxplain.errors import DataInputError, InvalidModelError, ModelRunError
from onnxplain.graph import facts, interface
from onnxplain.graph.batch import Batch
from onnxplain.graph.normalize import Normalized
from onnxplain.options import Count, check_option, nearest
from onnxplain.reading import understood
from onnxplain.rebatching import free_batch
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.programs import Programs

__all__ = ["Fixed", "check_lengths", "fix_lengths", "layout_of_lengths"]


@dataclass(frozen=True)
class Fixed:
    """A model of fixed lengths.

    Attributes
    ----------
    model
        The model.
    axes
        Where samples lie in its inputs, as it was proven before lengths were fixed; empty where nothing was.
    """

    model: ir.Model
    axes: Mapping[str, int]


def fix_lengths(
    loaded: ir.Model, shapes: Mapping[str, Any] | None, batch: int | None, output: str | None
) -> Fixed:
    """Fix lengths of a loaded model's inputs.

    Parameters
    ----------
    loaded
        The model; it may be changed.
    shapes
        By input: its whole shape, in which None leaves a length as it is.  By name of an open axis: its
        length, wherever an input has it.
    batch
        How many samples the model takes at once, along the axes that the graph proves to hold them.  A model
        of another fixed number gets any number first.
    output
        The output that is explained; None for the first of floats.

    Raises
    ------
    DataInputError
        If there is no such input or axis, a length contradicts what the model says, or no axis holds samples.
    InvalidModelError
        If a fixed number of samples cannot become another.
    """
    stated = {str(v.name): facts.dims(v) for v in loaded.graph.inputs}
    whole = loaded.clone()
    if shapes is not None:
        _fix_shapes(loaded, shapes)
    normal = understood(whole)
    layout, inputs = _how_samples_lie(normal, output), interface.inputs_of(normal.model.graph)
    axes = {i.name: axis for i in inputs if (axis := layout.axes.get(i.name)) is not None}
    if batch is None:
        return Fixed(loaded, axes)
    if not axes:
        first = inputs[0]
        raise DataInputError(
            f"batch={batch}: no axis of input '{first.name}' {first.spelled} is proven to hold samples"
            f"{f' ({layout.mixed})' if layout.mixed else ''}; say with shapes= how long its axes are"
        )
    for value in loaded.graph.inputs:
        name = str(value.name)
        length = (facts.dims(value) or ())[axes[name]] if name in axes else batch
        if isinstance(length, int) and length != batch:
            if not isinstance((stated[name] or ())[axes[name]], int):
                raise DataInputError(
                    f"input '{name}' has {length} samples by shapes=, and batch={batch} is given; keep one"
                )
            loaded = free_batch(loaded)
            break
    for value in loaded.graph.inputs:
        axis, dims = axes.get(str(value.name)), facts.dims(value)
        if axis is not None and dims is not None:
            value.shape = ir.Shape([batch if k == axis else d for k, d in enumerate(dims)])
    return Fixed(loaded, axes)


def _fix_shapes(loaded: ir.Model, shapes: Mapping[str, Any]) -> None:
    inputs = {str(v.name): v for v in loaded.graph.inputs if v.name not in loaded.graph.initializers}
    named = {d for v in inputs.values() for d in facts.dims(v) or () if isinstance(d, str)}
    if not isinstance(shapes, Mapping):
        raise DataInputError(f"shapes is {shapes!r:.60}; give a dict by input, or by name of an open axis")
    axes: dict[str, tuple[int, str]] = {}
    for name, given in shapes.items():
        if name in inputs:
            for symbol, length in _fix_input(inputs[name], given):
                _settle(axes, symbol, length, f"input '{name}'")
        elif name in named:
            length = check_option(f"shapes: axis '{name}'", given, Count, DataInputError)
            _settle(axes, name, length, f"axis '{name}'")
        else:
            known = [*inputs, *sorted(named - set(inputs))]
            raise DataInputError(
                f"shapes: the model has no input and no open axis '{name}'; inputs are {', '.join(inputs)}, "
                f"open axes {', '.join(sorted(named)) or 'none'}{nearest(name, known)}"
            )
    for value in inputs.values():
        _rename(value, {symbol: length for symbol, (length, _) in axes.items()})


def _fix_input(value: ir.Value, given: Any) -> list[tuple[str, int]]:
    """Give an input a shape; returns which of its axes have a name, and the length that they have now."""
    what, dims = f"input '{value.name}'", facts.dims(value)
    lone = isinstance(given, (int, np.integer)) and dims is not None and len(dims) == 1
    whole = (given,) if lone else given
    if not isinstance(whole, (Sequence, np.ndarray)) or isinstance(whole, str):
        raise DataInputError(f"shapes: {what} takes a whole shape, such as {_spelled(dims)}, not {given!r}")
    if dims is not None and len(whole) != len(dims):
        raise DataInputError(
            f"shapes: {what} has {len(dims)} axes {_spelled(dims)}, and {len(whole)} lengths are given"
        )
    known = [None] * len(whole) if dims is None else list(dims)
    found: list[tuple[str, int]] = []
    for axis, (have, wanted) in enumerate(zip(tuple(known), whole, strict=True)):
        if wanted is None:
            continue
        length = check_option(f"shapes: {what}, axis {axis}", wanted, Count, DataInputError)
        if isinstance(have, int) and have != length:
            raise DataInputError(
                f"shapes: {what} has the length {have} along axis {axis} {_spelled(dims)}, which cannot "
                f"become {length}"
            )
        if isinstance(have, str):
            found.append((have, length))
        known[axis] = length
    value.shape = ir.Shape(known)
    return found


def _settle(axes: dict[str, tuple[int, str]], symbol: str, length: int, what: str) -> None:
    before, other = axes.setdefault(symbol, (length, what))
    if before != length:
        raise DataInputError(
            f"shapes: {what} makes the axis '{symbol}' {length} long, and {other} {before}; give one length"
        )


def _rename(value: ir.Value, axes: Mapping[str, int]) -> None:
    dims = facts.dims(value)
    if dims is not None:
        value.shape = ir.Shape([axes.get(d, d) if isinstance(d, str) else d for d in dims])


def _how_samples_lie(normal: Normalized, output: str | None) -> Layout:
    """Return how samples lie in the inputs of a model, as far as one of its outputs sees."""
    inputs, outputs = interface.inputs_of(normal.model.graph), interface.outputs_of(normal.model.graph)
    floats = [o.name for o in outputs if o.dtype is not None and o.dtype.kind == "f"]
    name = output if output in [o.name for o in outputs] else (floats or [o.name for o in outputs])[0]
    infos = [i for i in inputs if i.explained] or [i for i in inputs if i.data] or list(inputs)
    return layout_of_lengths(normal, inputs, infos, name)


def layout_of_lengths(
    normal: Normalized,
    inputs: Sequence[interface.InputInfo],
    infos: Sequence[interface.InputInfo],
    output: str,
    axes: Mapping[str, int] | None = None,
) -> Layout:
    """Return how samples lie in the inputs of a model that are explained.

    Parameters
    ----------
    normal, inputs, infos, output
        The model, what it takes, what of it is explained, and the explained output.
    axes
        Where samples lie by what the model said before its lengths were fixed: tried first.
    """
    shapes = {i.name: _static(i) for i in inputs}
    if axes and None not in shapes.values():
        known = {k: s for k, s in shapes.items() if s is not None}
        full = {k: axes.get(k) for k in known}
        proof = Batching(normal.model, inputs).prove(full, known, False, outputs=(output,))
        if isinstance(proof, Batch) and all(i.name not in full or i.name in axes for i in infos):
            n = next(known[k][axis] for k, axis in axes.items())
            return Layout(n, full, n, proof.axes)
    programs = Programs(normal, "cpu")

    def runs(shapes: Mapping[str, Shape]) -> bool:
        return _failure(programs, inputs, shapes, output) is None

    return layout_of_any_length(normal.model, inputs, infos, output, runs)


def check_lengths(normal: Normalized) -> None:
    """Run a model whose inputs' lengths are all known once, on zeros.

    Raises
    ------
    DataInputError
        If it does not run at these lengths.
    """
    inputs = interface.inputs_of(normal.model.graph)
    shapes = {i.name: shape for i in inputs if (shape := _static(i)) is not None}
    if len(shapes) < len(inputs):
        return
    outputs = interface.outputs_of(normal.model.graph)
    failure = _failure(Programs(normal, "cpu"), inputs, shapes, *(o.name for o in outputs))
    if failure is not None:
        told = ", ".join(f"'{name}' of {shape}" for name, shape in shapes.items())
        raise DataInputError(f"the model does not run with input {told}; give other lengths ({failure})")


def _failure(
    programs: Programs,
    inputs: Sequence[interface.InputInfo],
    shapes: Mapping[str, Shape],
    *outputs: str,
) -> Exception | None:
    """Run a model on zeros, and on ones where it refuses those (as lengths, say)."""
    failure: Exception | None = None
    for content in (0, 1):
        feeds = {i.name: _full(shapes[i.name], content, i.dtype) for i in inputs}
        try:
            programs.values(outputs, feeds)
        except (InvalidModelError, ModelRunError) as error:
            failure = failure or error
        else:
            return None
    return failure


def _full(shape: Shape, content: int, dtype: np.dtype[np.generic] | None) -> Array:
    text = dtype is not None and dtype.kind in "OUT"
    return np.full(shape, str(content), object) if text else np.full(shape, content, dtype)


def _static(info: interface.InputInfo) -> Shape | None:
    """Return an input's shape, if all of it is known."""
    known = tuple(d for d in info.shape or () if isinstance(d, int))
    return known if info.shape is not None and len(known) == len(info.shape) else None


def _spelled(dims: Sequence[facts.Dim] | None) -> str:
    return "(" + ", ".join("?" if d is None else str(d) for d in dims or ()) + ")"
