"""How the samples of a call lie in its arrays: which axis of each input is the batch.

Names of axes and equal lengths only suggest where samples lie; what counts is the proof of
:mod:`onnxplain.graph.batch`.  Where nothing is proven, the arrays of a call are one sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Protocol

import numpy as np

from onnxplain._types import Array, Arrays, Shape
from onnxplain.errors import DataInputError
from onnxplain.graph.batch import Batch, Mixed
from onnxplain.graph.interface import InputInfo
from onnxplain.runtime.axes import first, laid_out

__all__ = ["BATCH_NAME", "Axes", "Layout", "Prove", "find_layout"]

#: Position of the batch axis by name; None where there is none.
Axes = dict[str, "int | None"]


class Prove(Protocol):
    """Proves where samples lie."""

    def __call__(
        self, axes: Axes, shapes: Mapping[str, Shape], free: bool, *, alone: bool = False
    ) -> Batch | Mixed:
        """Prove it, from axes and shapes by input: for any batch size or this one, in company or alone."""


#: Names that an axis of samples bears.
BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
_MOST_GUESSES = 24


@dataclass(frozen=True)
class Layout:
    """How samples lie in the arrays of one call.

    Attributes
    ----------
    n
        Number of samples.
    axes
        Position of the batch axis by input name; None where there is none.
    exact
        Samples that must run at once (a fixed batch, or the only number for which they are proven), or None.
    inner
        Position of the batch axis by name of an output or inner value, as far as it is proven.
    alone
        What shifts with the company that a sample is run in, so that each runs alone; else None.
    flat
        An explained value in which no axis is the samples', so that each runs alone (tokens that are
        flattened on the way to their embedding); else None.
    mixed
        Why the arrays are one sample although they might be several: the node that mixes them, and how.
    """

    n: int
    axes: Axes
    exact: int | None = None
    inner: Mapping[str, int | None] = field(default_factory=dict)
    mixed: str | None = None
    alone: str | None = None
    flat: str | None = None

    @property
    def whole(self) -> bool:
        """Whether the arrays of the call are one sample, which can be neither cut nor repeated."""
        return all(axis is None for axis in self.axes.values())

    def axis_of(self, name: str, shape: Sequence[object] | None) -> int | None:
        """Return where samples lie in an output or inner value of this shape (or rank), None for nowhere."""
        if name in self.inner:
            return self.inner[name]
        if self.exact == 1 and shape and shape[0] == 1:
            return 0  # run one by one, so that nothing can be mixed
        return None

    def sampled(self, name: str, array: Array) -> Array:
        """Return an explained value, as its runs made it, with the samples first."""
        axis = self.axes[name]
        as_is = axis == 0 or (axis is None and self.n > 1)  # each was run alone
        return array if as_is else first(array, axis)

    def unsampled(self, name: str, array: Array) -> Array:
        """Undo :meth:`sampled`."""
        axis = self.axes[name]
        as_is = axis == 0 or (axis is None and self.n > 1)
        return array if as_is else laid_out(array, axis)

    def pieces(self, arrays: Arrays) -> Iterator[tuple[Arrays, int]]:
        """Cut inputs into what the model takes at once, with the number of samples that count in each."""
        if self.exact is None or self.n == self.exact:
            yield arrays, self.n
            return
        for start in range(0, self.n, self.exact):
            rows = np.minimum(np.arange(start, start + self.exact), self.n - 1)
            part = {
                k: v if (axis := self.axes[k]) is None else np.take(v, rows, axis=axis)
                for k, v in arrays.items()
            }
            yield part, min(self.exact, self.n - start)


def find_layout(
    shapes: Mapping[str, Shape],
    inputs: Sequence[InputInfo],
    main: str,
    explained: Sequence[str],
    prove: Prove,
) -> Layout:
    """Find each input's batch axis: what names and lengths suggest, and the graph proves.

    Parameters
    ----------
    shapes
        Of the arrays as given, by input.
    inputs
        What the model says of them.
    main
        The input whose axis is looked for first.
    explained
        Names of the inputs that are explained; they all need a batch axis, or else there is no batch.
    prove
        The proof.

    Raises
    ------
    DataInputError
        If inputs disagree on the number of samples, or the model takes another number.
    """
    declared = {i.name: i.shape for i in inputs}
    shape = declared[main]
    fixed = shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
    if not shapes[main]:
        return Layout(1, dict.fromkeys(shapes, None))
    if fixed is not None:
        return _fixed(shapes, declared, main, fixed, explained, prove)
    found = _free(shapes, declared, main, explained, prove)
    if isinstance(found, Layout):
        return found
    _same_number(shapes, declared, main)
    return _whole(shapes, found)


def _free(
    shapes: Mapping[str, Shape],
    declared: Mapping[str, Sequence[object] | None],
    main: str,
    explained: Sequence[str],
    prove: Prove,
) -> Layout | Mixed | None:
    """Find samples along axes of no fixed length; or else the first reason why there are none."""
    shape = declared[main]
    refused: Mixed | None = None
    guesses: list[tuple[int, Axes]] = []
    for axis in _main_axes(shapes[main], shape):
        n = shapes[main][axis]
        others = [k for k in shapes if k != main]
        choices = [_side_axes(shapes[k], declared[k], n, shape and shape[axis]) for k in others]
        for chosen in islice(product(*choices), _MOST_GUESSES):
            axes: Axes = {main: axis, **dict(zip(others, chosen, strict=True))}
            if n > 1 and any(k in axes and axes[k] is None and shapes[k] for k in explained):
                continue
            found = prove(axes, shapes, True)
            if isinstance(found, Batch):
                return Layout(n, axes, None, found.axes)
            refused = refused or found
            guesses.append((n, axes))
    for n, axes in guesses:
        found = prove(axes, shapes, True, alone=True)
        if isinstance(found, Batch):
            return Layout(n, axes, 1, found.axes, alone=_why(refused))
    for n, axes in [guess for guess in guesses if guess[0] > 1]:
        found = prove(axes, shapes, False)
        if isinstance(found, Batch):
            return Layout(n, axes, n, found.axes)  # samples, but in this number only
    return refused


def _main_axes(shape: Shape, declared: Sequence[object] | None) -> list[int]:
    """Return the axes along which samples may lie: one named after the batch, the first, other free ones."""
    free = [k for k in range(len(shape)) if declared is None or not isinstance(declared[k], int)]
    named = [k for k in free if declared and BATCH_NAME.fullmatch(str(declared[k] or ""))]
    return list(dict.fromkeys([*named[:1], *(k for k in (0,) if k in free), *named[1:]]))


def _side_axes(
    shape: Shape, declared: Sequence[object] | None, n: int, symbol: object
) -> tuple[int | None, ...]:
    """Return the axes of another input along which the same samples may lie, likeliest first."""
    dims = declared or (None,) * len(shape)
    free = [k for k, d in enumerate(dims) if not isinstance(d, int) and shape[k] == n]
    named = [k for k in free if isinstance(symbol, str) and dims[k] == symbol]
    return (*dict.fromkeys([*named, *free]), None)


def _fixed(
    shapes: Mapping[str, Shape],
    declared: Mapping[str, Sequence[object] | None],
    main: str,
    batch: int,
    explained: Sequence[str],
    prove: Prove,
) -> Layout:
    """Find the layout of a model whose first axis has a fixed length."""
    n = shapes[main][0]
    others = [k for k in shapes if k != main]
    choices = []
    for name in others:
        dims = declared[name] or (None,) * len(shapes[name])
        found = [k for k, d in enumerate(dims) if d == batch and shapes[name][k] == n]
        beside: tuple[int | None, ...] = () if found and n != batch else (None,)  # it must be cut to fit
        choices.append((*found[:1], *beside))
    refused: Mixed | None = None
    for chosen in islice(product(*choices), _MOST_GUESSES):
        axes: Axes = {main: 0, **dict(zip(others, chosen, strict=True))}
        if n > 1 and any(axes.get(k, 0) is None and shapes[k] for k in explained if k in shapes):
            continue
        once = {
            k: tuple(batch if axis == axes[k] else d for axis, d in enumerate(shape))
            for k, shape in shapes.items()
        }
        proof = prove(axes, once, False)
        if isinstance(proof, Batch):
            return Layout(n, axes, batch, proof.axes)
        refused = refused or proof
    elsewhere = _free(shapes, declared, main, explained, prove)
    if isinstance(elsewhere, Layout):
        return elsewhere  # the first axis has a length of its own, and another is the batch
    axes = {main: 0, **dict(zip(others, (c[0] for c in choices), strict=True))}
    if batch == 1:
        return Layout(n, axes, 1)  # each sample has a run of its own
    if n != batch:
        spelled = ", ".join("?" if d is None else str(d) for d in declared[main] or ())
        raise DataInputError(
            f"input '{main}' must have shape ({spelled}), not {shapes[main]}: the {batch} entries of its "
            f"first axis are one sample, since {_why(refused)}"
        )
    return _whole(shapes, refused)


def _whole(shapes: Mapping[str, Shape], refused: Mixed | None) -> Layout:
    return Layout(1, dict.fromkeys(shapes, None), mixed=_why(refused))


def _why(refused: Mixed | None) -> str | None:
    return None if refused is None else f"{refused.node} {refused.reason}"


def _same_number(
    shapes: Mapping[str, Shape], declared: Mapping[str, Sequence[object] | None], main: str
) -> None:
    """Raise if another input, whose axis bears the name of the batch, has another length."""
    symbol = (declared[main] or (None,))[0]
    for name, shape in shapes.items():
        dims = declared[name] or ()
        if name == main or not isinstance(symbol, str) or symbol not in dims:
            continue
        axis = list(dims).index(symbol)
        if shape[axis] != shapes[main][0]:
            raise DataInputError(
                f"input '{main}' has {shapes[main][0]} samples, but input '{name}' has {shape[axis]} (axis "
                f"{axis} of {shape}); give both the same number"
            )
