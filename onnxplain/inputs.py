"""Checking what the user gives, before anything runs: inputs, baselines and targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays, IntArray, Shape
from onnxplain.errors import DataInputError, TargetError
from onnxplain.finite import all_finite
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.tensors import read_tensor
from onnxplain.text import visible_line

__all__ = [
    "as_array",
    "check_inputs",
    "check_target",
    "choose_explained",
    "choose_output",
    "choose_varied",
    "is_predicted",
]


def check_inputs(given: ArrayLike, inputs: Sequence[InputInfo], *, walked: bool = True) -> Arrays:
    """Return one array per input, of the model's dtype.

    Parameters
    ----------
    given
        An array (for models with one input), or arrays by input name.
    inputs
        What the model takes.
    walked
        Whether gradients will be asked for; otherwise NaN is taken (which says that a number is missing).

    Raises
    ------
    DataInputError
        If a name, shape, dtype or content is wrong.
    """
    if type(given) is np.ndarray and len(inputs) == 1 and _is_plain(given, inputs[0], walked):
        return {inputs[0].name: given.copy()}  # what most calls give, without detours
    names = [i.name for i in inputs]
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            raise DataInputError(
                f"the model has {len(inputs)} inputs ({', '.join(names)}); give a dict of arrays by input "
                "name"
            )
        given = {names[0]: given}
    unknown = [k for k in given if k not in names]
    if unknown:
        raise DataInputError(f"the model has no input '{unknown[0]}'; it takes {', '.join(names)}")
    missing = [n for n in names if n not in given]
    if missing:
        raise DataInputError(f"input '{missing[0]}' is missing; the model takes {', '.join(names)}")
    arrays = {i.name: as_array(given[i.name], f"input '{i.name}'") for i in inputs}
    pieces = {
        (array.shape[0], i.shape[0])
        for i, array in zip(inputs, arrays.values(), strict=True)
        if i.shape and array.ndim and isinstance(i.shape[0], int) and min(i.shape[0], array.shape[0]) > 0
    }
    return {i.name: _check_input(arrays[i.name], i, pieces, walked) for i in inputs}


def _is_plain(array: Array, info: InputInfo, walked: bool) -> bool:
    """Tell whether an array has an input's dtype, floats, and its shape, and nothing else is wrong."""
    shape, dtype = info.shape, info.dtype
    if dtype is None or dtype.kind != "f" or array.dtype != dtype or not array.size or shape is None:
        return False
    if len(shape) != array.ndim:
        return False
    for want, have in zip(shape, array.shape, strict=True):
        if want != have and isinstance(want, int):
            return False
    return not walked or all_finite(array)


def _check_input(array: Array, info: InputInfo, pieces: Set[tuple[int, int]], walked: bool) -> Array:
    """Check one input; ``pieces`` are numbers of samples, as given and as the model demands them at once."""
    what = f"input '{info.name}'"
    wanted = info.dtype
    if wanted is not None and wanted.kind in "UOT":
        array = _texts(array, what)
    elif array.dtype.kind in "USOT":
        raise DataInputError(f"{what} is text or objects ({array.dtype}); give numbers of dtype {wanted}")
    if info.shape is not None and array.ndim != len(info.shape):
        hint = ""
        if array.ndim == len(info.shape) - 1:
            hint = "; a single sample needs a batch axis: x[np.newaxis]"
        raise DataInputError(
            f"{what} must have {len(info.shape)} axes {info.spelled}, not {array.ndim} {array.shape}{hint}"
        )
    for axis, (have, want) in enumerate(zip(array.shape, info.shape or (), strict=False)):
        if isinstance(want, int) and have != want:
            if (have, want) in pieces:
                continue  # a fixed batch: run in pieces
            raise DataInputError(f"{what} must have shape {info.spelled}, not {array.shape} (axis {axis})")
    if array.size == 0:
        raise DataInputError(f"{what} is empty (shape {array.shape}); give at least one sample")
    if wanted is None or wanted.kind in "UOT":
        return array
    if wanted.kind == "f":
        if array.dtype.kind not in "fiub" and not np.can_cast(array.dtype, wanted):
            raise DataInputError(f"{what} has dtype {array.dtype}; give numbers of dtype {wanted}")
        if array.dtype == wanted:
            array = array.copy()
        else:
            with np.errstate(over="ignore"):
                array = array.astype(wanted)
        if walked and not all_finite(array):
            bad = int((~np.isfinite(array)).sum())
            raise DataInputError(f"{what} holds {bad} values that are NaN or infinite; replace them first")
        return array
    same = array.dtype == wanted
    if not same and (array.dtype.kind == "f" or not np.can_cast(array.dtype, wanted, "same_kind")):
        raise DataInputError(f"{what} takes {wanted}, not {array.dtype}; convert it with .astype('{wanted}')")
    if not same and wanted.kind in "iu":
        limits = np.iinfo(wanted.str)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise DataInputError(f"{what} holds numbers that do not fit {wanted}")
    if info.rows is not None and wanted.kind in "iu":
        low, high = int(array.min()), int(array.max())
        if high >= info.rows or low < -info.rows:
            raise DataInputError(
                f"{what} holds {high if high >= info.rows else low}, but the table that it picks from has "
                f"{info.rows} rows; give numbers from 0 to {info.rows - 1}"
            )
    return array.copy() if same else array.astype(wanted)


def _texts(array: Array, what: str) -> Array:
    """Return texts as objects, which keep their length."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    made = array.astype(object)
    bad = next((v for v in made.ravel() if not isinstance(v, str)), None)
    if bad is not None:
        raise DataInputError(f"{what} takes texts, not {bad!r:.40}; convert it with .astype(str)")
    return made


def choose_output(outputs: Sequence[OutputInfo], name: str | None) -> str:
    """Return the name of the output to explain: the one given, or the first of floats.

    Raises
    ------
    TargetError
        If there is none.
    """
    floats = [o.name for o in outputs if o.dtype is not None and o.dtype.kind == "f"]
    if name is None:
        if not floats:
            raise TargetError(
                "no output of the model is made of floats, so there is no score to explain; export the "
                "model with its scores (logits or probabilities) as an output"
            )
        return floats[0]
    if name not in [o.name for o in outputs]:
        raise TargetError(f"the model has no output '{name}'; it has {', '.join(o.name for o in outputs)}")
    if name not in floats:
        instead = (
            f"explain one of {', '.join(floats)}"
            if floats
            else "export the model with its scores as an output"
        )
        raise TargetError(f"output '{name}' is not made of floats; {instead}")
    return name


def choose_explained(
    inputs: Sequence[InputInfo],
    wrt: str | Sequence[str] | None,
    depends: Callable[[InputInfo], bool],
    inner: Callable[[str], InputInfo],
) -> list[InputInfo]:
    """Return what is explained; an inner value appears as an input of its own name.

    Parameters
    ----------
    inputs
        What the model takes.
    wrt
        Names, as the user gives them; None for what is explained by default, or, where the score does not
        depend on it differentiably, for the first kind of inputs that it depends on.
    depends
        Tells whether the score depends on an input.
    inner
        Describes the inner value of a name.

    Raises
    ------
    DataInputError
        If nothing is, or an input cannot be.
    """
    if wrt is None:
        found = [i for i in inputs if i.explained]
        if not found:
            raise DataInputError(
                "no input of the model is numeric, so it has no gradient; use a method that asks for "
                "scores alone (feature_ablation)"
            )
        if any(depends(i) for i in found):
            return found
        for role in ("float", "token", "number"):
            others = [i for i in inputs if i.role == role and not i.explained and depends(i)]
            if others:
                return others
        return found
    by_name = {i.name: i for i in inputs}
    result = []
    for name in _names(wrt):
        info = by_name[name] if name in by_name else inner(name)
        if not info.entries:
            raise DataInputError(
                f"input '{name}' is not float and reaches no embedding, so it has no gradient; explain "
                "another input, or use feature_ablation, which asks for scores alone"
            )
        result.append(info)
    return result


def choose_varied(
    inputs: Sequence[InputInfo], wrt: str | Sequence[str] | None, inner: Callable[[str], InputInfo]
) -> list[InputInfo]:
    """Return what is varied where only scores are asked for: inputs of any type as they are, or inner values.

    Parameters
    ----------
    inputs
        What the model takes.
    wrt
        Names, as the user gives them; None for all inputs that hold data.
    inner
        Describes the inner value of a name.

    Raises
    ------
    DataInputError
        If the names are no names, or of nothing.
    """
    by_name = {i.name: i for i in inputs}
    names = [i.name for i in inputs if i.data] if wrt is None else _names(wrt)
    found = [by_name[name] if name in by_name else inner(name) for name in names]
    return [replace(i, role="raw", entries=(i.name,), moved=frozenset()) for i in found]


def as_array(given: object, what: str) -> Array:
    """Return an array, over the same memory where :func:`~onnxplain.tensors.read_tensor` can.

    Raises
    ------
    DataInputError
        If it is none: nested lists of unequal lengths, sparse matrices, and what cannot be converted; or if
        something would be lost on the way (a mask).
    """
    if type(given) is np.ndarray:
        return given
    if _is_masked(given):
        raise DataInputError(
            f"{what} is a masked array, and its mask would be lost; put numbers there with .filled(value)"
        )
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise DataInputError(f"{what} is a sparse matrix; give .toarray()")
    try:
        return np.asarray(read_tensor(given))
    except Exception as error:  # an object's own __array__ raises what it likes
        if isinstance(given, (list, tuple)) and isinstance(error, ValueError):
            raise DataInputError(
                f"{what} is a nested list of unequal lengths; give an array, padded to one length"
            ) from None
        reason = visible_line(f"{type(error).__name__}: {error}")
        raise DataInputError(
            f"{what} is a {type(given).__name__} that is no array ({reason}); give a NumPy array"
        ) from error


def _names(wrt: object) -> list[str]:
    """Return the names that a user gives.

    Raises
    ------
    DataInputError
        If they are none.
    """
    wrong = f"wrt is {wrt!a:.60}; give the name of an input or of an inner value, or a list of names"
    if not isinstance(wrt, (str, Iterable)):
        raise DataInputError(wrong)
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not all(isinstance(name, str) for name in names):
        raise DataInputError(wrong)
    if not names:
        raise DataInputError("wrt is empty; name an input or an inner value, or leave it out")
    return list(dict.fromkeys(names))


def _is_masked(given: object) -> bool:
    """Tell whether an array, or one in a list, hides some of its numbers."""
    if isinstance(given, (list, tuple)):
        return any(_is_masked(g) for g in given if isinstance(g, (list, tuple, np.ndarray)))
    return isinstance(given, np.ma.MaskedArray) and bool(np.ma.getmaskarray(given).any())


def check_target(target: object, n: int, each: Shape, output: str, mixed: str | None = None) -> IntArray:
    """Return the targets as int64 (N, k), k the number of axes of one sample's output (0 if it is one score).

    Parameters
    ----------
    target
        None, an int, a list of one int per sample, an index tuple, or a list of one tuple per sample.  Axes
        of length 1 may be left out of a tuple.
    n
        Number of samples.
    each
        Shape of one sample's output.
    output
        Name, for messages.
    mixed
        Why the arrays of the call are one sample, for messages.

    Raises
    ------
    TargetError
        If it does not fit the output, or is out of range.
    """
    if len(each) == 1:  # what most calls give, without detours
        if type(target) is int and -each[0] <= target < each[0]:
            return np.full((n, 1), target % each[0], np.int64)
        ints: list[int] = target if type(target) is list and set(map(type, target)) == {int} else []
        if ints and len(ints) == n and min(ints) >= 0 and max(ints) < each[0]:
            return np.array(ints, np.int64).reshape(n, 1)
    size = math.prod(each)
    what = f"output '{output}' has shape {each}" + (" per sample" if mixed is None else "")
    why = "" if mixed is None else f" (the arrays of the call are one sample: {mixed})"
    if target is None:
        if size == 1:
            return np.zeros((n, 0), np.int64)
        raise TargetError(
            f"{what}, so it has {size} scores{why}; say which one with target= (an index, or 'predicted' for "
            "the highest)"
        )
    found = _indices(target, n, each, what, why)
    for axis, length in enumerate(each):
        low, high = int(found[:, axis].min()), int(found[:, axis].max())
        if low < -length or high >= length:
            bad = high if high >= length else low
            raise TargetError(
                f"target {bad} is out of range: axis {axis} of {each}, the shape of output '{output}', has "
                f"{length} entries (0 to {length - 1}){why}"
            )
        found[:, axis] %= length
    return found


def is_predicted(target: object) -> bool:
    """Tell whether a target is whatever each sample scores highest for.

    Raises
    ------
    TargetError
        If it is another word.
    """
    if isinstance(target, str) and target != "predicted":
        raise TargetError(f"target '{target}' is unknown; give an index, or 'predicted'")
    return isinstance(target, str)


def _indices(target: object, n: int, each: Shape, what: str, why: str) -> IntArray:
    """Return an index for every sample, (n, k)."""
    long = [k for k, length in enumerate(each) if length != 1]
    k = len(each)
    wanted = f"a tuple of {k} indices" if len(long) > 1 else "one index" if k else "None"
    text = f"{what}, so a target is {wanted}{why}"
    try:
        array = read_tensor(target)
    except Exception as error:  # a tensor's own methods raise what they like
        hint = "" if isinstance(target, (list, tuple)) else f" ({visible_line(str(error))})"
        raise TargetError(f"{text}, or a list of one per sample; not {target!r:.200}{hint}") from None
    if array.dtype.kind not in "iu" or (array.dtype.kind == "u" and array.max(initial=0) > 2**62):
        raise TargetError(f"a target is an integer index, not {target!r}; {text}")
    array = array.astype(np.int64)
    for axes in (list(range(k)), long):  # in full, or without the axes of length 1
        if isinstance(target, tuple) or array.ndim == 0 or (n == 1 and array.ndim == 1 and len(axes) > 1):
            rows = np.broadcast_to(array.reshape(1, -1), (n, array.size))
        else:
            rows = array.reshape(n, -1) if array.shape[:1] == (n,) and array.ndim <= 2 else array
        if axes and rows.shape == (n, len(axes)):
            full = np.zeros((n, k), np.int64)
            full[:, axes] = rows
            return full
    if k == 0 and not array.any() and array.shape in ((), (n,)):
        return np.zeros((n, 0), np.int64)
    raise TargetError(f"{text}, or a list of one per sample ({n}); got shape {array.shape}")
