"""Checking what the user gives, before anything runs: inputs, baselines and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays, IntArray
from onnxplain.errors import DataInputError, TargetError
from onnxplain.graph.interface import InputInfo

__all__ = ["batch_axes", "check_inputs", "check_target"]


def check_inputs(given: ArrayLike, inputs: Sequence[InputInfo]) -> Arrays:
    """Return one array per input, of the model's dtype.

    Parameters
    ----------
    given
        An array (for models with one input), or arrays by input name.
    inputs
        What the model takes.

    Raises
    ------
    DataInputError
        If a name, shape, dtype or content is wrong.
    """
    names = [i.name for i in inputs]
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            raise DataInputError(
                f"the model has {len(inputs)} inputs ({', '.join(names)}); give a dict of arrays by input name"
            )
        given = {names[0]: given}
    unknown = [k for k in given if k not in names]
    if unknown:
        raise DataInputError(f"the model has no input '{unknown[0]}'; it takes {', '.join(names)}")
    missing = [n for n in names if n not in given]
    if missing:
        raise DataInputError(f"input '{missing[0]}' is missing; the model takes {', '.join(names)}")
    return {i.name: _check_input(np.asarray(given[i.name]), i) for i in inputs}


def _check_input(array: Array, info: InputInfo) -> Array:
    what = f"input '{info.name}'"
    wanted = info.dtype
    if array.dtype.kind in "USOT":
        if wanted is None or wanted.kind in "UOT":
            raise DataInputError(f"{what} is text, which has no gradient; use a perturbation method for it")
        raise DataInputError(f"{what} is text or objects ({array.dtype}); give numbers of dtype {wanted}")
    if info.shape is not None and array.ndim != len(info.shape):
        hint = ""
        if array.ndim == len(info.shape) - 1:
            hint = "; a single sample needs a batch axis: x[np.newaxis]"
        raise DataInputError(
            f"{what} must have {len(info.shape)} axes {_shape(info)}, not {array.ndim} {array.shape}{hint}"
        )
    for axis, (have, want) in enumerate(zip(array.shape, info.shape or (), strict=False)):
        if isinstance(want, int) and have != want:
            if axis == 0 and have % max(want, 1) == 0 and have > 0:
                continue  # a fixed batch: run in pieces
            if axis == 0 and want > 0 and have > 0:
                continue
            raise DataInputError(f"{what} must have shape {_shape(info)}, not {array.shape} (axis {axis})")
    if array.size == 0:
        raise DataInputError(f"{what} is empty (shape {array.shape}); give at least one sample")
    if wanted is None:
        return array
    if wanted.kind == "f":
        if array.dtype.kind not in "fiub":
            raise DataInputError(f"{what} has dtype {array.dtype}; give numbers of dtype {wanted}")
        with np.errstate(over="ignore"):
            array = array.astype(wanted)
        if not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise DataInputError(f"{what} holds {bad} values that are NaN or infinite; replace them first")
        return array
    if array.dtype.kind == "f" or not np.can_cast(array.dtype, wanted, "same_kind"):
        raise DataInputError(f"{what} takes {wanted}, not {array.dtype}; convert it with .astype('{wanted}')")
    if wanted.kind in "iu" and array.dtype != wanted:
        limits = np.iinfo(wanted.type)  # type: ignore[type-var]
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise DataInputError(f"{what} holds numbers that do not fit {wanted}")
    return array.astype(wanted)


def _shape(info: InputInfo) -> str:
    return "(" + ", ".join("?" if d is None else str(d) for d in info.shape or ()) + ")"


def batch_axes(arrays: Arrays, inputs: Sequence[InputInfo], main: str) -> dict[str, int | None]:
    """Find each input's batch axis, from names of axes, or else from their lengths.

    Parameters
    ----------
    arrays
        The inputs as given.
    inputs
        What the model says of them.
    main
        The input whose first axis is the batch.
    """
    by_name = {i.name: i for i in inputs}
    shape = by_name[main].shape
    symbol = shape[0] if shape else None
    n = arrays[main].shape[0] if arrays[main].ndim else 1
    axes: dict[str, int | None] = {}
    for name, array in arrays.items():
        dims = by_name[name].shape or (None,) * array.ndim
        if name == main:
            axes[name] = 0 if array.ndim else None
        elif isinstance(symbol, str) and symbol in dims:
            axes[name] = dims.index(symbol)
        elif isinstance(symbol, int):
            axes[name] = next((k for k, d in enumerate(dims) if d == symbol and array.shape[k] == n), None)
        else:
            free = [k for k, d in enumerate(dims) if not isinstance(d, int) and array.shape[k] == n]
            axes[name] = free[0] if free else None
    return axes


def check_target(
    target: object, n: int, shape: tuple[int, ...], prediction: Array, output: str
) -> tuple[IntArray, tuple[int, ...]]:
    """Return the targets as int64 (N, k), and the shape of one sample's output.

    Parameters
    ----------
    target
        None, ``"predicted"``, an int, one int per sample, an index tuple, or one tuple per sample.
    n
        Number of samples.
    shape
        Shape of the whole prediction.
    prediction
        The prediction, for ``"predicted"``.
    output
        Name, for messages.

    Raises
    ------
    TargetError
        If it does not fit the output, or is out of range.
    """
    batched = len(shape) > 0 and shape[0] == n
    if not batched and n != 1:
        raise TargetError(
            f"output '{output}' has shape {shape} for {n} samples, so its first axis is not the batch; explain one "
            "sample at a time"
        )
    each = shape[1:] if batched else shape
    size = int(np.prod(each, dtype=np.int64))
    if target is None:
        if size == 1:
            return np.zeros((n, 0), np.int64), each
        raise TargetError(
            f"output '{output}' has {size} scores per sample {each}; say which one with target= (an index, or "
            "'predicted' for the highest)"
        )
    if isinstance(target, str):
        if target != "predicted":
            raise TargetError(f"target '{target}' is unknown; give an index, or 'predicted'")
        if size == 1:
            return np.zeros((n, 0), np.int64), each
        best = prediction.reshape(n, -1).argmax(1)
        return np.stack(np.unravel_index(best, each), axis=1).astype(np.int64), each
    found = _indices(target, n, len(each), output, each)
    for axis, length in enumerate(each):
        low, high = int(found[:, axis].min()), int(found[:, axis].max())
        if low < -length or high >= length:
            bad = high if high >= length else low
            raise TargetError(
                f"target {bad} is out of range: axis {axis + 1} of output '{output}' has {length} entries (0 to {length - 1})"
            )
        found[:, axis] %= length
    return found, each


def _indices(target: object, n: int, k: int, output: str, each: tuple[int, ...]) -> IntArray:
    array = np.asarray(target)
    if array.dtype.kind not in "iu":
        raise TargetError(f"a target is an integer index, not {target!r}")
    if k == 1 and array.ndim == 0:
        return np.full((n, 1), int(array), np.int64)
    if k == 1 and array.shape == (n,) and not isinstance(target, tuple):
        return array.astype(np.int64).reshape(n, 1)
    if array.shape == (k,):
        return np.tile(array.astype(np.int64), (n, 1))
    if array.shape == (n, k):
        return array.astype(np.int64)
    wanted = "one index" if k == 1 else f"a tuple of {k} indices"
    raise TargetError(
        f"output '{output}' has shape {each} per sample, so a target is {wanted}, or one per sample ({n}); got "
        f"shape {array.shape}"
    )
