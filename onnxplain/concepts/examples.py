"""Examples of concepts, and what layers make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, ArrayLike, FloatArray, IntArray
from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError
from onnxplain.explainer import Explainer
from onnxplain.methods import LayerActivation

__all__ = ["Counterparts", "activations", "by_sample", "check_concepts", "counterparts"]

#: Examples that a third can be held out of, and still two be learned from.
_LEAST = 3
#: Sets of random examples that a spread can be told from.
_LEAST_SETS = 3


@dataclass(frozen=True, eq=False)
class Counterparts:
    """Random examples that concepts are told from, and from one another.

    Attributes
    ----------
    layers
        By layer: activations (M, d).
    sets
        By run: rows that a concept is told from.
    pairs
        By run: two sets of rows that are told from each other.
    """

    layers: Mapping[str, FloatArray]
    sets: Sequence[IntArray]
    pairs: Sequence[tuple[IntArray, IntArray]]


def by_sample(found: Attribution) -> dict[str, FloatArray]:
    """Return what was found at each layer, (N, d): all that is one sample's in a row."""
    rows = {}
    for name, array in found.arrays.items():
        axis = (found.sample_axes or {}).get(name)
        moved = array[None] if axis is None else np.moveaxis(array, axis, 0)
        rows[name] = moved.reshape(len(moved), -1)
    return rows


def activations(
    explainer: Explainer, examples: ArrayLike, layers: tuple[str, ...], what: str, **options: Any
) -> dict[str, FloatArray]:
    """Return what layers make of examples, (n, d) by layer.

    Raises
    ------
    DataInputError
        If there are too few.
    """
    arrays = examples.values() if isinstance(examples, Mapping) else (examples,)
    count = min((len(np.atleast_1d(np.asarray(a))) for a in arrays), default=0)
    found = {}
    if count:
        found = by_sample(explainer(examples, None, LayerActivation(layer=layers), **options))
        count = min(len(rows) for rows in found.values())
    if count < _LEAST:
        held = "is empty" if not count else f"holds {count} example{'s' if count > 1 else ''}"
        raise DataInputError(f"{what} {held}; give at least {_LEAST}, of which some are held out")
    return found


def check_concepts(concepts: object) -> Mapping[str, Any]:
    """Return concepts by name.

    Raises
    ------
    DataInputError
        If they are none.
    """
    if not isinstance(concepts, Mapping) or not all(isinstance(name, str) for name in concepts):
        raise DataInputError("concepts must be examples by name: {'striped': array, 'dotted': array}")
    if not concepts:
        raise DataInputError("there are no concepts; give examples by name: {'striped': array}")
    return concepts


def counterparts(
    explainer: Explainer,
    random: Any,
    layers: tuple[str, ...],
    most: int,
    n_runs: int,
    seed: int,
    **options: Any,
) -> Counterparts:
    """Return the random examples of all runs.

    Parameters
    ----------
    explainer, layers
        What makes activations.
    random
        Examples of which each run draws its own, or a list with a set for each run.
    most
        Size of the largest concept: draws are as large, or half of what there is.
    n_runs, seed
        How many draws, and from what they are made.

    Raises
    ------
    DataInputError
        If there are too few.
    """
    if isinstance(random, (list, tuple)) and not np.isscalar(random[0] if random else 0):
        return _given(explainer, random, layers, **options)
    if random is None or (np.ndim(random) == 0 and not isinstance(random, Mapping)):
        raise DataInputError(
            "a concept's examples alone are one class, and nothing to tell them from; give random= examples"
        )
    found = activations(explainer, random, layers, "random", **options)
    count = len(next(iter(found.values())))
    size = min(most, count // 2)
    if size < _LEAST:
        raise DataInputError(
            f"random holds {count} examples, and two sets of them are told from each other; give at least "
            f"{2 * _LEAST}, better many"
        )
    draw = np.random.default_rng(seed)
    orders = [draw.permutation(count) for _ in range(n_runs)]
    return Counterparts(found, [o[:size] for o in orders], [(o[:size], o[size : 2 * size]) for o in orders])


def _given(
    explainer: Explainer, random: Sequence[Any], layers: tuple[str, ...], **options: Any
) -> Counterparts:
    if len(random) < _LEAST_SETS:
        raise DataInputError(
            f"random is a list of {len(random)} sets; give at least {_LEAST_SETS}, or one array to draw from"
        )
    made = [activations(explainer, r, layers, f"random set {k}", **options) for k, r in enumerate(random)]
    ends = np.cumsum([len(next(iter(m.values()))) for m in made])
    sets = np.split(np.arange(ends[-1]), ends[:-1])
    found: dict[str, Array] = {name: np.concatenate([m[name] for m in made]) for name in made[0]}
    return Counterparts(found, sets, list(zip(sets, [*sets[1:], sets[0]], strict=True)))
