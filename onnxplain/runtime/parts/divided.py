"""A program that runs in two parts, of which the first is run once for what it is given."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays, Shape
from onnxplain.forking import quiet
from onnxplain.graph.batch import Batch, analyse
from onnxplain.graph.facts import n_bytes
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.improving import Improving
from onnxplain.runtime.parts.company import Expansion, expand, expansions
from onnxplain.runtime.parts.cut import Cut
from onnxplain.runtime.parts.held import Held, alike
from onnxplain.runtime.session import Executable

__all__ = ["Divided"]

#: Kinds of calls of which it is remembered whether one row stands for all, and ways to let it.
_MOST_KINDS, _MOST_WAYS = 256, 4

_Kind: TypeAlias = "tuple[tuple[str, int | None, Shape], ...]"

#: What is expanded, and the input (with its axis) that tells to how many rows; None where one row cannot do.
_Found: TypeAlias = "tuple[Expansion, tuple[str, int]] | None"


class Divided:
    """Runs like an :class:`~onnxplain.runtime.session.Executable`; safe to use from several threads.

    Parameters
    ----------
    parts
        The program, cut in two.
    first
        Names of the inputs on which the front depends.
    front, back
        Compile the two parts; what the first makes stays where it was made.
    written
        Writes the program anew, before it is lowered: where samples lie in its values is proven on it.
    held
        What is remembered of what the front made.
    """

    def __init__(
        self,
        parts: Cut,
        first: Sequence[str],
        front: Callable[[ir.Model], Executable],
        back: Callable[[ir.Model], Executable | Improving],
        written: Callable[[], ir.Model],
        held: Held,
    ) -> None:
        self._parts = parts
        self._compiled, self._written, self._held = back, written, held
        self._owner = object()
        weakref.finalize(self, held.forget, self._owner).atexit = False
        self._front = front(parts.front)
        self._read = sorted({*self._front.inputs, *({*first} & {*parts.given})})
        self._kinds: Cache[tuple[_Found]] = Cache(_MOST_KINDS, 0, lambda _: 0)
        self._ways: Cache[Executable | Improving] = Cache(_MOST_WAYS, 0, lambda _: 0)
        #: Bytes of both parts and their weights.
        self.size = self._front.size + sum(map(_weight, parts.back.graph.initializers.values()))

    def run(self, feeds: Arrays, outputs: Sequence[str], axes: Mapping[str, int | None] | None) -> Arrays:
        """Run once; the front only if what it makes is not held.

        Parameters
        ----------
        feeds
            One array per input of the whole program.
        outputs
            Names of the outputs wanted.
        axes
            Where samples lie in inputs, None for those that samples share; None instead if they may not be
            cut.

        Raises
        ------
        ModelRunError
            If onnxruntime cannot run the program on these inputs.
        """
        read = {name: np.asarray(feeds[name]) for name in self._read}
        wanted: Expansion = ()
        sample = None
        if axes is not None and all(alike(v, a) for k, v in read.items() if (a := axes[k]) is not None):
            found = self._expansions(feeds, axes, several=_rows(read, axes) > 1)
            if found is not None:
                wanted, sample = found
                read = {k: _one(v, axes[k]) for k, v in read.items()}
        back = self._way(wanted, sample)
        there: Mapping[str, Any] = self._held.get(
            self._owner, read, lambda: self._front.run_on_device(read, self._front.outputs)
        )
        return back.run({**feeds, **read, **there}, outputs)

    def _expansions(self, feeds: Arrays, axes: Mapping[str, int | None], *, several: bool) -> _Found:
        """Return what must be expanded at such inputs; found out once, when there are several rows."""
        once = {k: np.shape(feeds[k]) for k in axes}
        once = {k: v if (a := axes[k]) is None else (*v[:a], 1, *v[a + 1 :]) for k, v in once.items()}
        kind: _Kind = tuple((k, axes[k], once[k]) for k in sorted(axes))

        def find() -> tuple[_Found]:
            taken = {str(v.name) for v in self._parts.back.graph.inputs}.difference(self._read)
            sample = next(((k, a) for k, a in axes.items() if a is not None and k in taken), None)
            proof = None if sample is None else analyse(self._written(), axes, once, outputs=())
            wanted = expansions(self._parts, proof) if isinstance(proof, Batch) else None
            return (None if wanted is None or sample is None else (wanted, sample),)

        if not several:  # one row needs none; but what was compiled for several will do
            known = self._kinds.seen(kind)
            return None if known is None else known[0]
        with quiet:
            return self._kinds.get(kind, find)[0]

    def _way(self, wanted: Expansion, sample: tuple[str, int] | None) -> Executable | Improving:
        """Return the compiled back with some expansions."""

        def make() -> Executable | Improving:
            model = self._parts.back.clone()
            if sample is not None:
                expand(model, wanted, sample)
            return self._compiled(model)

        with quiet:
            return self._ways.get((wanted, sample) if wanted else (), make)


def _rows(arrays: Arrays, axes: Mapping[str, int | None]) -> int:
    """Return how many rows there are."""
    return max((v.shape[a] for k, v in arrays.items() if (a := axes[k]) is not None), default=1)


def _weight(value: ir.Value) -> int:
    return 0 if value.const_value is None else n_bytes(value.const_value)


def _one(array: Array, axis: int | None) -> Array:
    return array if axis is None else np.take(array, [0], axis=axis)
