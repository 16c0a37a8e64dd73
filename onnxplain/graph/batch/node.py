"""What a rule sees of one node, and the questions that rules have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.batch.values import At, Dims, Found, List, Lost, Mixes, Value, rows_alike

__all__ = ["Node", "joined"]

#: Written for an input that is omitted.
_ABSENT = "one of its inputs is missing"


@dataclass(frozen=True)
class Node:
    """One node with what is known of its inputs (none of them lost).

    Attributes
    ----------
    source
        The node.
    inputs
        One entry per input, None for an omitted one.
    sizes
        The batch sizes at which shape arithmetic is done; shapes are those of the first.
    free
        Whether any batch size must do; else there is one size only.
    body
        Finds what a body gives for what is known of its inputs.
    """

    source: ir.Node
    inputs: Sequence[Found | None]
    sizes: tuple[int, ...]
    free: bool
    body: Callable[[ir.Graph, Sequence[Found | None]], list[Found]]

    # -- inputs and attributes ------------------------------------------------------------------------

    @property
    def x(self) -> Value:
        """The first input."""
        return self.input(0)

    def has(self, k: int) -> bool:
        """Tell whether an input is there."""
        return k < len(self.inputs) and self.inputs[k] is not None

    def input(self, k: int) -> Value:
        """Return an input that must be there, and a tensor."""
        found = self.inputs[k] if k < len(self.inputs) else None
        if isinstance(found, Value):
            return found
        raise Mixes("it reads a sequence" if isinstance(found, List) else _ABSENT)

    def tensors(self) -> list[Value]:
        """Return all inputs that are there; they must be tensors."""
        return [self.input(k) for k in range(len(self.inputs)) if self.has(k)]

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = facts.attr(self.source, name, default)
        assert isinstance(found, int)
        return found

    def ints(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute of integers, None if the node has none."""
        found = facts.attr(self.source, name)
        return tuple(int(i) for i in found) if isinstance(found, tuple) else None

    def text(self, name: str, default: str) -> str:
        """Return an attribute of text."""
        found = facts.attr(self.source, name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    # -- content --------------------------------------------------------------------------------------

    def contents(self, k: int) -> tuple[Array, ...]:
        """Return an input's content at each batch size tried."""
        value = self.input(k)
        if value.contents is not None and value.at is None and value.taint is None:
            return value.contents
        if value.at is not None:
            raise Mixes(f"its input {k} ({self.name(k)}) decides shapes, and depends on the samples")
        array = value.array()
        if array is None:
            raise Mixes(f"its input {k} ({self.name(k)}) decides shapes, and is not known before running")
        return (array,) * len(self.sizes)

    def content(self, k: int) -> Array:
        """Return an input's content, which must not depend on the batch size."""
        if self.input(k).sized:
            raise Mixes(f"its input {k} ({self.name(k)}) depends on the batch size")
        return self.contents(k)[0]

    def name(self, k: int) -> str:
        """Return an input's name, quoted."""
        value = self.source.inputs[k]
        return f"'{'' if value is None else value.name}'"

    # -- what rules ask of the samples' place ---------------------------------------------------------

    def shared(self, *inputs: int, why: str = "depends on the samples") -> None:
        """Refuse if one of these inputs depends on samples."""
        for k in inputs:
            found = self.inputs[k] if k < len(self.inputs) else None
            value = found.element if isinstance(found, List) else found
            if isinstance(value, Value) and value.at is not None:
                raise Mixes(f"its input {k} ({self.name(k)}) {why}")
            if isinstance(value, Value) and value.taint is not None:
                raise Mixes(f"its input {k} ({self.name(k)}) depends on the batch size")

    def apart(self, k: int, axes: Sequence[int], what: str = "works along") -> None:
        """Refuse if the samples of an input lie along one of these axes (which count from the end if < 0)."""
        value = self.input(k)
        if value.at is not None and value.at.axis in {a + value.rank if a < 0 else a for a in axes}:
            raise Mixes(f"it {what} axis {value.at.axis} of {self.name(k)}, along which the samples lie")

    def meet(self, values: Sequence[Value]) -> tuple[int, At, bool] | None:
        """Find where samples lie when values broadcast.

        Parameters
        ----------
        values
            The operands; their axes are aligned at the end.

        Returns
        -------
        tuple or None
            The axis, counted from the end (negative), a place there, and whether all samples are alike; None
            if no operand depends on samples.
        """
        placed = [v for v in values if v.at is not None]
        if not placed:
            return None
        main = next((v for v in placed if not v.alike), placed[0])
        assert main.at is not None
        axis = main.at.axis - main.rank
        for value in values:
            if value.at is None:
                if not self.fits(value, axis, main.at):
                    raise Mixes(
                        "an input that is the same for all samples has entries of its own along the axis of "
                        "the samples"
                    )
            elif value.at.axis - value.rank != axis:
                raise Mixes("it lets every sample of one input meet every sample of another")
            elif not same_place(value, main):
                raise Mixes("the samples of its inputs lie in a different order")
        return axis, main.at, all(v.alike for v in placed)

    def fits(self, value: Value, axis: int, at: At) -> bool:
        """Tell whether a value that no sample decides gives each sample the same, along an axis (< 0)."""
        if value.rank < -axis or value.shape is None or value.shape[axis] == 1:
            return True
        if self.free or value.shape[axis] != at.length(self.sizes[0]):
            return False
        return rows_alike(value, value.rank + axis)

    def aligned(self, *inputs: int, axis: int = 0) -> At:
        """Return the place of samples along one axis that all of these inputs that are there have alike."""
        values = [self.input(k) for k in inputs if self.has(k)]
        placed = [v for v in values if v.at is not None]
        main = next((v for v in placed if not v.alike), placed[0])
        assert main.at is not None
        at = main.at
        if at.axis != axis:
            raise Mixes(f"it works along axis {at.axis} of its inputs, along which the samples lie")
        for value in values:
            if value.at is None:
                if value.shape is None or not self.has_rows(value, axis, at):
                    raise Mixes("one of its inputs has no row for each sample")
            elif value.at.axis != axis or not same_place(value, main):
                raise Mixes("the samples of its inputs lie along different axes, or in a different order")
        return at

    def has_rows(self, value: Value, axis: int, at: At) -> bool:
        """Tell whether a value that no sample decides has a row for each sample, and all of them alike."""
        assert value.shape is not None
        return not self.free and value.shape[axis] == at.length(self.sizes[0]) and rows_alike(value, axis)

    # -- shapes ---------------------------------------------------------------------------------------

    def dims(self, k: int) -> list[tuple[int, ...]]:
        """Return an input's shape at each batch size tried; all of it must be known."""
        value = self.input(k)
        found = [value.dims(n, self.sizes[0]) for n in self.sizes]
        shapes = [tuple(d for d in s if d is not None) for s in found if s is not None]
        if len(shapes) != len(found) or any(len(s) != value.rank for s in shapes):
            raise Mixes(f"the shape of {self.name(k)} is not known before running")
        return shapes

    def growing(self, shapes: Sequence[Sequence[int]]) -> tuple[int, int] | None:
        """Find the axis that grows with the batch, and how many times as long it is; None without one."""
        if any(len(s) != len(shapes[0]) for s in shapes):
            raise Mixes("the number of axes of what it makes depends on the batch size")
        columns = list(zip(*shapes, strict=True))
        varying = [k for k, column in enumerate(columns) if len(set(column)) > 1]
        if not varying:
            return None
        if len(varying) > 1:
            raise Mixes(f"axes {varying[0]} and {varying[1]} of what it makes both depend on the batch size")
        axis = varying[0]
        times = columns[axis][0] // self.sizes[0]
        if any(d != times * n for d, n in zip(columns[axis], self.sizes, strict=True)):
            raise Mixes(f"the length of axis {axis} of what it makes is no multiple of the batch size")
        return axis, times

    def made(self, shape: Dims | None, at: At | None, *, alike: bool = False, output: int = 0) -> Value:
        """Describe an output."""
        dtype = self.source.outputs[output].dtype
        return Value(shape, 1 if dtype is None else int(dtype), at, alike)

    def lost(self, reason: str) -> Lost:
        """Describe an output of which nothing is proven, where others are fine."""
        return Lost(facts.node_label(self.source), reason)

    def at(self, k: int) -> At:
        """Return where the samples lie in an input that depends on them."""
        found = self.input(k).at
        if found is None:
            raise Mixes(
                f"its input {k} ({self.name(k)}) is the same for all samples, and what it makes of it is not"
            )
        return found


def same_place(a: Value, b: Value) -> bool:
    """Tell whether samples lie alike along the axis that two values share."""
    assert a.at is not None
    assert b.at is not None
    if (a.at.outer, a.at.inner) == (b.at.outer, b.at.inner):
        return True
    return (a.alike or b.alike) and a.at.length(1) == b.at.length(1)


def joined(a: Found | None, b: Found | None) -> Found:
    """Describe a value that is one or the other (two branches, or a loop's first and later steps)."""
    if a is None or b is None:
        found = b if a is None else a
        assert found is not None
        return found
    if not isinstance(a, (Value, List)):
        return a
    if not isinstance(b, (Value, List)):
        return b
    if isinstance(a, List) and isinstance(b, List):
        if a.element is None or b.element is None:
            return List(a.element or b.element)
        element = joined(a.element, b.element)
        assert isinstance(element, Value)
        return List(element)
    if isinstance(a, List) or isinstance(b, List):
        raise Mixes("it gives a sequence on one way and a tensor on another")
    if a.taint != b.taint:
        a, b = replace(a, taint=a.taint or b.taint), replace(b, taint=a.taint or b.taint)
    if a.at != b.at:
        raise Mixes("samples lie elsewhere in what it gives on one way than on another")
    shape: Dims | None = None
    if a.shape is not None and b.shape is not None and len(a.shape) == len(b.shape):
        shape = tuple(p if p == q else None for p, q in zip(a.shape, b.shape, strict=True))
    return Value(shape, a.dtype, a.at, a.alike and b.alike, taint=a.taint, guess=a.guess or b.guess)
