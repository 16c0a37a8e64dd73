"""Where samples lie, and what one sample's output looks like: proofs for one model, remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import onnx_ir as ir

from onnxplain._types import Array, Shape
from onnxplain.graph import facts
from onnxplain.graph.batch import Batch, Mixed, analyse
from onnxplain.graph.interface import InputInfo
from onnxplain.graph.shapes import at_shapes
from onnxplain.runtime.axes import first
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.layout import Axes, Layout, find_layout

__all__ = ["Batching", "SampleOutput", "one_sample", "without"]

#: How many kinds of calls are remembered, by the shapes of their arrays.
_REMEMBERED = 256

_T = TypeVar("_T")


@dataclass(frozen=True)
class SampleOutput:
    """What one sample's output looks like.

    Attributes
    ----------
    shape
        Its shape, without the batch axis.
    axis
        Where the batch axis is in the model's output; None where there is none.
    """

    shape: Shape
    axis: int | None

    def rows(self, output: Array) -> Array:
        """Return an output as (N, ...)."""
        axis = self.axis
        as_is = axis == 0 or (axis is None and output.ndim > len(self.shape))  # runs one by one, already
        return output if as_is else first(output, axis)


class Batching:
    """Finds layouts for one model; safe to use from several threads.

    Parameters
    ----------
    model
        The normalised model.
    inputs
        What it takes.
    """

    def __init__(self, model: ir.Model, inputs: Sequence[InputInfo]) -> None:
        self._model = model
        self._inputs = inputs
        self._proofs: Cache[Batch | Mixed] = Cache(_REMEMBERED, 0, lambda _: 0)
        self._layouts: Cache[Layout] = Cache(_REMEMBERED, 0, lambda _: 0)
        self._outputs: Cache[dict[str, SampleOutput | None]] = Cache(_REMEMBERED, 0, lambda _: 0)
        #: Grows with what runs show that shapes alone did not tell.
        self.learned = 0

    def layout(
        self, shapes: Mapping[str, Shape], main: str, explained: Sequence[str], outputs: Sequence[str]
    ) -> Layout:
        """Find the layout of a call.

        Parameters
        ----------
        shapes, main, explained
            As :func:`~onnxplain.runtime.layout.find_layout` takes them.
        outputs
            Names of the outputs that are asked for; others may mix samples.

        Raises
        ------
        DataInputError
            If inputs disagree on the number of samples, or the model takes another number.
        """
        names = tuple(outputs)
        prove = partial(self.prove, outputs=names)
        return self._layouts.get(
            (tuple(shapes.items()), main, tuple(explained), names),
            lambda: find_layout(shapes, self._inputs, main, explained, prove),
        )

    def prove(
        self,
        axes: Axes,
        shapes: Mapping[str, Shape],
        free: bool,
        *,
        alone: bool = False,
        outputs: tuple[str, ...],
    ) -> Batch | Mixed:
        """Prove where samples lie, or say which node mixes them, as far as these outputs see."""
        one = one_sample(shapes, axes) if free else dict(shapes)
        key = tuple(sorted((k, axes[k] is None, axes[k] or 0, one[k]) for k in one)), free, alone, outputs
        return self._proofs.get(
            key, lambda: analyse(self._model, axes, one, free=free, alone=alone, outputs=outputs)
        )

    def output(self, name: str, shapes: Mapping[str, Shape], layout: Layout) -> SampleOutput | None:
        """Return what one sample's output looks like, if the shapes of the inputs tell it for certain.

        Inner values are known once they were computed.

        Parameters
        ----------
        name
            Of the output.
        shapes
            Of the call's arrays, by input.
        layout
            How samples lie in them.
        """
        return self._known(shapes, layout).get(name)

    def learn(self, name: str, shape: Shape, shapes: Mapping[str, Shape], layout: Layout) -> SampleOutput:
        """Remember the shape that an output really had in a run, and return what it is for one sample."""
        axis = layout.axis_of(name, shape)
        found = SampleOutput(without(shape, axis), axis)
        known = self._known(shapes, layout)
        if known.get(name) != found:
            known[name] = found
            self.learned += 1
        return found

    def _known(self, shapes: Mapping[str, Shape], layout: Layout) -> dict[str, SampleOutput | None]:
        one = one_sample(shapes, {k: layout.axes[k] for k in shapes}, layout.exact or 1)
        axes = tuple(sorted((k, layout.axes[k] is None, layout.axes[k] or 0, v) for k, v in one.items()))
        key = axes, layout.exact, tuple(layout.inner.items())
        return self._outputs.get(key, lambda: self._infer(one, layout))

    def _infer(self, one: Mapping[str, Shape], layout: Layout) -> dict[str, SampleOutput | None]:
        found: dict[str, SampleOutput | None] = {}
        for value in at_shapes(self._model, one).graph.outputs:
            name, shape = str(value.name), facts.static_shape(value)
            axis = layout.axis_of(name, shape)
            found[name] = None if shape is None else SampleOutput(without(shape, axis), axis)
        return found


def without(shape: Sequence[_T], axis: int | None) -> tuple[_T, ...]:
    """Return a shape without one of its axes."""
    return tuple(d for k, d in enumerate(shape) if k != axis)


def one_sample(shapes: Mapping[str, Shape], axes: Axes, length: int = 1) -> dict[str, Shape]:
    """Return shapes with another number of samples."""
    return {
        name: tuple(length if k == axes[name] else d for k, d in enumerate(shape))
        for name, shape in shapes.items()
    }
