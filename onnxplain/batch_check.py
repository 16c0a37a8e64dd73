"""Batch axes that the user names, checked by running: a sample must get the same in any company."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.errors import DataInputError, ModelRunError
from onnxplain.graph.batch import Mixed
from onnxplain.runtime.axes import first, laid_out, rows
from onnxplain.runtime.layout import Axes, Layout

__all__ = ["given_axes", "seen_axes"]

#: What two runs may differ by, relative to the largest value.
_TOLERANCE = 1e-4


def given_axes(given: int | Mapping[str, int | None], arrays: Arrays, main: str) -> Axes:
    """Return the batch axis of every input, from what the user says.

    Parameters
    ----------
    given
        One axis for all inputs that are as long there as the main one, or axes by input name, None where
        there is none (inputs that are left out have none).
    arrays
        The inputs.
    main
        The input that certainly has the axis.

    Raises
    ------
    DataInputError
        If there is no such input or axis, or lengths differ.
    """
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        length = arrays[main].shape[given] if -arrays[main].ndim <= given < arrays[main].ndim else None
        given = {
            k: given
            for k, v in arrays.items()
            if k == main or v.shape[given : given + 1 or None] == (length,)
        }
    if not isinstance(given, Mapping):
        raise DataInputError(f"batch_axes is {given!r}; give an axis, or a dict of axes by input name")
    axes: Axes = dict.fromkeys(arrays, None)
    for name, axis in given.items():
        if name not in arrays:
            raise DataInputError(
                f"batch_axes names '{name}', which is no input; the model takes {', '.join(arrays)}"
            )
        ndim = arrays[name].ndim
        whole = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
        if axis is not None and not (whole and -ndim <= axis < ndim):
            raise DataInputError(
                f"batch_axes says {axis!r} for input '{name}', which has {ndim} axes; give one of them, or "
                "None if all samples share it"
            )
        axes[name] = None if axis is None else int(axis) % ndim
    counts = {k: arrays[k].shape[a] for k, a in axes.items() if a is not None}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{k}' has {n}" for k, n in counts.items())
        raise DataInputError(f"along batch_axes the inputs have different numbers of samples: {told}")
    return axes


def seen_axes(
    arrays: Arrays,
    layout: Layout,
    names: Sequence[str],
    run: Callable[[tuple[str, ...], Arrays], Arrays],
    refused: Mixed,
) -> dict[str, int | None]:
    """Return where the samples lie in outputs and inner values, by running them in several companies.

    Parameters
    ----------
    arrays
        The inputs.
    layout
        The axes that the user named.
    names
        Of outputs and inner values.
    run
        Runs the model.
    refused
        Why the graph does not prove these axes, for the error.

    Raises
    ------
    DataInputError
        If a sample's values depend on its company.
    """
    axes, exact = layout.axes, layout.exact
    samples = {k: _filled(v, axes[k], exact or layout.n) for k, v in arrays.items()}
    companies = [
        {k: v if axes[k] is None else _company(v, axes[k], way, exact == 1) for k, v in samples.items()}
        for way in ("as given", "changed", "last")
    ]
    if exact is None:
        companies.append({k: rows(v, axes[k], 1) for k, v in samples.items()})
    way_out = f"{refused.node} {refused.reason}; leave batch_axes out to explain the arrays as one sample"
    said = f"batch_axes says that samples lie along {_spelled(axes)}, but"
    try:
        made = [run(tuple(names), company) for company in companies]
    except ModelRunError as error:
        raise DataInputError(f"{said} the model does not run on one sample: {way_out}") from error
    count = next(companies[0][k].shape[a] for k, a in axes.items() if a is not None)
    found: dict[str, int | None] = {}
    for name in names:
        one, *more = (m[name] for m in made)
        places = (0, -1, 0)  # in the companies behind the first
        candidates = [
            k
            for k, length in enumerate(one.shape)
            if length == count and all(_same(one, o, k, at) for o, at in zip(more, places, strict=False))
        ]
        constant = all(o.shape == one.shape and _close(one, o) for o in more)
        if not candidates and not constant:
            raise DataInputError(f"{said} the first sample gets another '{name}' in other company: {way_out}")
        found[name] = candidates[0] if candidates else None
    return found


def _others(array: Array) -> Array:
    """Return other rows of the same kind."""
    rng = np.random.default_rng(0)
    if array.dtype.kind == "f":
        spread = float(array.std()) or 1.0
        return np.asarray(array + spread * rng.standard_normal(array.shape).astype(array.dtype))
    flat = array.reshape(len(array), -1)
    return np.asarray(rng.permuted(flat, axis=1).reshape(array.shape))


def _filled(array: Array, axis: int | None, n: int) -> Array:
    """Return n rows, the last one again where there are fewer."""
    if axis is None:
        return array
    return np.asarray(np.take(array, np.minimum(np.arange(n), array.shape[axis] - 1), axis=axis))


def _company(array: Array, axis: int | None, way: str, alone: bool) -> Array:
    """Return the first sample beside the others, or beside changed ones; at least two rows, if not alone.

    Where samples hand something on to those behind them (time first, sums so far), or are compared with the
    first, the first alone is none the wiser: so it stands behind all others, too.
    """
    mine = first(array, axis)
    if alone:  # a model that takes one sample at a time
        return laid_out(mine[:1], axis)
    others = mine[1:] if len(mine) > 1 else mine
    if way != "as given":
        others = _others(others)
    order = [others, mine[:1]] if way == "last" else [mine[:1], others]
    return laid_out(np.concatenate(order), axis)


def _same(one: Array, other: Array, axis: int, place: int) -> bool:
    """Tell whether the first rows along an axis are the same as those at a place of another array."""
    if other.ndim != one.ndim:
        return False
    a, b = np.take(one, 0, axis), np.take(other, place, axis)
    return a.shape == b.shape and _close(a, b)


def _close(a: Array, b: Array) -> bool:
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return bool(np.allclose(a, b, rtol=0, atol=_TOLERANCE * max(scale, 1e-30), equal_nan=True))


def _spelled(axes: Axes) -> str:
    return ", ".join(f"axis {a} of '{k}'" for k, a in axes.items() if a is not None)
