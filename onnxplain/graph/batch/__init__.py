"""Which axis of every value counts samples: proven node by node, or the first node that mixes them.

A batch is a batch only if each row is a sample that no other row touches.  A name (``batch``), a first axis
or equal lengths do not say so: in ``[T, B, F]``, in self-attention over the first axis, or in a graph network
with an adjacency matrix the rows belong together, and whoever cuts or repeats them gets another function.  So
the graph is walked through once, in order.  For each value it is known where the samples lie, or that it does
not depend on them; for each operator the table (:mod:`~onnxplain.graph.batch.table`) says where they lie in
what it makes, or why it mixes them.  An operator that is not in the table is not trusted.

Shape arithmetic is computed, at several batch sizes at once: 1 (where axes vanish and broadcast), two small
ones and a large one (where bounds show).  What comes out the same is independent of the batch; what grows
with it may be a shape, but not a number that samples meet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.batch import rules  # noqa: F401  (fills the table)
from onnxplain.graph.batch.taint import data_of
from onnxplain.graph.batch.values import At, Found, List, Lost, Value
from onnxplain.graph.batch.walk import UNKNOWN, Walk

__all__ = ["SIZES", "Batch", "Mixed", "analyse"]

#: The batch sizes at which shape arithmetic is done, if any size must do.
SIZES = (3, 1, 2, 1009)
_NOWHERE = -1  # an axis, where samples lie in no plain way
_LATE = 1 << 62  # what is wrong with outputs comes after all nodes


@dataclass(frozen=True)
class Mixed:
    """Samples are not proven to be independent.

    Attributes
    ----------
    node
        Label of the first node that mixes them, or of which nothing is known.
    reason
        Why, in words that follow the label: ``"it sums over ..."``.
    """

    node: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Samples are independent.

    Attributes
    ----------
    axes
        The axis that counts samples, for inputs, outputs and inner values of the main graph by name; None
        for what does not depend on samples.  Values that hold samples in another way (``[N * T, F]``), that
        depend on their number, or in which they are mixed (without reaching an output that was asked for)
        are left out.
    ranks
        How many axes these values have, by name, where that is known before running.
    """

    axes: Mapping[str, int | None]
    ranks: Mapping[str, int] = field(default_factory=dict)


def analyse(
    model: ir.Model,
    axes: Mapping[str, int | None],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    free: bool = True,
    alone: bool = False,
    outputs: Collection[str] | None = None,
) -> Batch | Mixed:
    """Prove along which axis samples lie, or find the first node that mixes them.

    Parameters
    ----------
    model
        Model in normal form (see :func:`~onnxplain.graph.normalize.normalize`); declared shapes are not read.
    axes
        For each input the axis along which samples are thought to lie, None for one that all samples share.
        Inputs that are left out are shared.
    shapes
        Shapes of the arrays of a call, by input name.
    free
        Whether rows may be cut and repeated to any number (the default).  Otherwise the proof is for exactly
        as many samples as ``shapes`` has, as models with a fixed batch need: rows may be exchanged and
        permuted.
    alone
        Whether every sample will run alone: then a tensor that is quantised by its own range (which the
        company would shift) is no tie between samples.
    outputs
        Names of the outputs, or of inner values, that matter (default: all outputs).

    Returns
    -------
    Batch or Mixed
        Batch: sample ``i`` gives the same in any company, and its part of each output lies at row ``i`` of
        the axis told.
    """
    sizes = {shapes[k][a] for k, a in axes.items() if a is not None and k in shapes}
    opsets = dict(model.graph.opset_imports)
    found = _analyse(model.graph, axes, shapes, outputs, Walk(SIZES, True, opsets, alone))
    if free or isinstance(found, Batch) or not sizes:
        return found
    if len(sizes) > 1:
        listed = ", ".join(str(n) for n in sorted(sizes))
        return Mixed("the model's inputs", f"their numbers of samples differ ({listed})")
    walk = Walk((sizes.pop(),), False, opsets, alone)
    return _analyse(model.graph, axes, shapes, outputs, walk)


def _analyse(
    graph: ir.Graph,
    axes: Mapping[str, int | None],
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Collection[str] | None,
    walk: Walk,
) -> Batch | Mixed:
    for value in graph.inputs:
        shape, axis = shapes.get(str(value.name)), axes.get(str(value.name))
        dtype = 1 if value.dtype is None else int(value.dtype)
        if axis is None or shape is None:
            walk.known[value] = Value(shape, dtype)
            continue
        axis %= len(shape)
        walk.known[value] = Value((*shape[:axis], walk.sizes[0], *shape[axis + 1 :]), dtype, At(axis))
    walk.graph(graph)
    named = {str(v.name): v for v in _values(graph)}
    found = {v: _data(v, walk) for v in named.values()}
    asked = list(graph.outputs) if outputs is None else [named[k] for k in outputs]
    wrong = [w for v in asked if (w := _wrong(v, found[v])) is not None]
    if wrong:
        first = min(wrong, key=lambda w: w.order)
        return Mixed(first.node, first.reason)
    axes_found = {k: axis for k, v in named.items() if (axis := _axis(found[v])) != _NOWHERE}
    return Batch(axes_found, {k: rank for k in axes_found if (rank := _rank(found[named[k]])) is not None})


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


def _data(value: ir.Value, walk: Walk) -> Found:
    """Return what is known of a value, with what was computed from the batch size as data."""
    found = walk.known.get(value, UNKNOWN)
    if not isinstance(found, Value) or not found.sized:
        return found
    maker = value.producer()
    label = f"'{value.name}'" if maker is None else facts.node_label(maker)
    return data_of(found, walk.sizes, Lost(label, "it gives the number of samples, or numbers them", _LATE))


def _axis(found: Found | None) -> int | None:
    """Return the axis that counts samples, None where there is none, -1 where that cannot be said."""
    inner = found.element if isinstance(found, List) else found
    if not isinstance(inner, Value) or inner.taint is not None:
        return _NOWHERE
    if inner.at is None:
        return None
    return inner.at.axis if inner.at.whole else _NOWHERE


def _rank(found: Found) -> int | None:
    """Return how many axes a value has, None where that is not known."""
    return len(found.shape) if isinstance(found, Value) and found.shape is not None else None


def _wrong(value: ir.Value, found: Found) -> Lost | None:
    """Return what is wrong with an output."""
    if isinstance(found, Lost):
        return found
    maker = value.producer()
    label = f"output '{value.name}'" if maker is None else facts.node_label(maker)
    inner = found.element if isinstance(found, List) else found
    if inner is None or _axis(inner) != _NOWHERE:
        return None
    if inner.taint is not None:
        return inner.taint
    assert inner.at is not None
    return Lost(
        label,
        f"axis {inner.at.axis} of what it gives counts more than samples: {inner.at.length(1)} times as many",
        _LATE,
    )
