"""Checking what the user gives, before anything runs: inputs, baselines and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays, IntArray
from onnxplain.errors import DataInputError, TargetError
from onnxplain.graph.interface import InputInfo, OutputInfo

__all__ = [
    "Layout",
    "as_array",
    "check_baseline",
    "check_inputs",
    "check_target",
    "choose_explained",
    "choose_output",
    "find_layout",
]


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
    return {i.name: _check_input(as_array(given[i.name], f"input '{i.name}'"), i) for i in inputs}


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


def choose_explained(inputs: Sequence[InputInfo], wrt: str | Sequence[str] | None) -> list[InputInfo]:
    """Return what is explained; an inner value appears as an input of its own name.

    Raises
    ------
    DataInputError
        If nothing is, or an input cannot be.
    """
    if wrt is None:
        found = [i for i in inputs if i.explained]
        if not found:
            raise DataInputError("no input of the model is numeric; use a perturbation method")
        return found
    names = [wrt] if isinstance(wrt, str) else list(dict.fromkeys(wrt))
    if not names:
        raise DataInputError("wrt is empty; name an input or an inner value, or leave it out")
    by_name = {i.name: i for i in inputs}
    result = []
    for name in names:
        info = by_name.get(name, InputInfo(name, None, None, "float", (name,)))
        if not info.entries:
            raise DataInputError(
                f"input '{name}' is not float and reaches no embedding, so it has no gradient; explain "
                "another input, or use a perturbation method"
            )
        result.append(info)
    return result


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
        Samples that the model demands at once (a fixed batch), or None.
    """

    n: int
    axes: dict[str, int | None]
    exact: int | None

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

    def output_shape(self, output: OutputInfo, batch: object) -> tuple[int, ...] | None:
        """Return the shape that an output will have, if that is certain before running.

        Parameters
        ----------
        output
            The output.
        batch
            The model's own word for its batch axis: a name, or a number where it is fixed.
        """
        shape = output.shape
        if not shape or not all(isinstance(d, int) for d in shape[1:]):
            return None
        if len(shape) == 1 and not isinstance(shape[0], int):
            return None  # exporters also name the only axis of a few scores after the batch
        sizes = tuple(d for d in shape[1:] if isinstance(d, int))
        if shape[0] == batch and batch is not None and any(a is not None for a in self.axes.values()):
            return (self.n, *sizes)
        return (shape[0], *sizes) if isinstance(shape[0], int) else None


def find_layout(
    arrays: Arrays,
    inputs: Sequence[InputInfo],
    outputs: Sequence[OutputInfo],
    main: str,
    explained: Sequence[str],
) -> Layout:
    """Find each input's batch axis, from names of axes, or else from their lengths.

    Parameters
    ----------
    arrays
        The inputs as given.
    inputs, outputs
        What the model says of them.
    main
        The input whose first axis is the batch.
    explained
        Names of the inputs that are explained; they all need a batch axis, or else there is no batch.

    Raises
    ------
    DataInputError
        If inputs disagree on the number of samples.
    """
    by_name = {i.name: i for i in inputs}
    shape = by_name[main].shape
    symbol = shape[0] if shape else None
    if arrays[main].ndim == 0 or (isinstance(symbol, int) and _has_no_batch(symbol, outputs)):
        if isinstance(symbol, int) and len(arrays[main]) != symbol:
            raise DataInputError(
                f"input '{main}' must have shape {_shape(by_name[main])}, not {arrays[main].shape}: this "
                "model takes one sample, without a batch axis"
            )
        return Layout(1, dict.fromkeys(arrays, None), None)
    n = arrays[main].shape[0]
    axes: dict[str, int | None] = {}
    for name, array in arrays.items():
        dims = by_name[name].shape or (None,) * array.ndim
        if name == main:
            axes[name] = 0
        elif isinstance(symbol, str) and symbol in dims:
            axes[name] = axis = dims.index(symbol)
            if array.shape[axis] != n:
                raise DataInputError(
                    f"input '{main}' has {n} samples, but input '{name}' has {array.shape[axis]} (axis "
                    f"{axis} of {array.shape}); give both the same number"
                )
        elif isinstance(symbol, int):
            axes[name] = next((k for k, d in enumerate(dims) if d == symbol and array.shape[k] == n), None)
        else:
            free = [k for k, d in enumerate(dims) if not isinstance(d, int) and array.shape[k] == n]
            axes[name] = free[0] if free else None
    if n > 1 and any(k in arrays and axes[k] is None and arrays[k].ndim for k in explained):
        return Layout(1, dict.fromkeys(arrays, None), None)  # the first axis is a sequence, say: one sample
    return Layout(n, axes, symbol if isinstance(symbol, int) and symbol > 0 else None)


def _has_no_batch(first: int, outputs: Sequence[OutputInfo]) -> bool:
    """Tell whether the fixed first axis of the main input comes back as that of no output, so is no batch."""
    return first > 1 and all(
        o.shape is not None and (not o.shape or (isinstance(o.shape[0], int) and o.shape[0] != first))
        for o in outputs
    )


def check_baseline(start: object, name: str, feature: Array, axis: int | None) -> Array:
    """Return a baseline of a feature's shape; nothing given means zeros.

    Parameters
    ----------
    start
        A number, an array that broadcasts, or None.
    name
        Of the input, for messages.
    feature
        What is explained, batch axis first.
    axis
        Where the batch axis is in the arrays that the user gives.

    Raises
    ------
    DataInputError
        If it does not fit.
    """
    if start is None:
        return np.zeros_like(feature)
    array = as_array(start, f"the baseline of '{name}'")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataInputError(f"the baseline of '{name}' must be finite numbers; give 0, a number or an array")
    if axis is not None and array.ndim == feature.ndim:
        array = np.moveaxis(array, axis, 0)
    try:
        return np.array(np.broadcast_to(array, feature.shape), feature.dtype)
    except ValueError:
        raise DataInputError(
            f"the baseline of '{name}' has shape {array.shape}, which does not broadcast to "
            f"{feature.shape}; give a number, or an array of one sample's shape"
        ) from None


def as_array(given: object, what: str) -> Array:
    """Return an array, refusing nested lists of unequal lengths.

    Raises
    ------
    DataInputError
        If it is no array.
    """
    try:
        return np.asarray(given)
    except ValueError:
        raise DataInputError(
            f"{what} is a nested list of unequal lengths; give an array, padded to one length"
        ) from None


def check_target(
    target: object, n: int, shape: tuple[int, ...], prediction: Array | None, output: str
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
        The prediction, for ``"predicted"``; None if it is not yet known, which makes that target 0.
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
            f"output '{output}' has shape {shape} for {n} samples, so its first axis is not the batch; "
            "explain one sample at a time"
        )
    each = shape[1:] if batched else shape
    size = int(np.prod(each, dtype=np.int64))
    if target is None:
        if size == 1:
            return np.zeros((n, 0), np.int64), each
        raise TargetError(
            f"output '{output}' has {size} scores per sample {each}; say which one with target= (an index, "
            "or 'predicted' for the highest)"
        )
    if isinstance(target, str):
        if target != "predicted":
            raise TargetError(f"target '{target}' is unknown; give an index, or 'predicted'")
        if size == 1:
            return np.zeros((n, 0), np.int64), each
        best = np.zeros(n, np.int64) if prediction is None else prediction.reshape(n, -1).argmax(1)
        return np.stack(np.unravel_index(best, each), axis=1).astype(np.int64), each
    found = _indices(target, n, len(each), output, each)
    for axis, length in enumerate(each):
        low, high = int(found[:, axis].min()), int(found[:, axis].max())
        if low < -length or high >= length:
            bad = high if high >= length else low
            raise TargetError(
                f"target {bad} is out of range: axis {axis + 1} of output '{output}' has {length} entries "
                f"(0 to {length - 1})"
            )
        found[:, axis] %= length
    return found, each


def _indices(target: object, n: int, k: int, output: str, each: tuple[int, ...]) -> IntArray:
    wanted = "one index" if k == 1 else f"a tuple of {k} indices" if k else "None"
    each_text = f"output '{output}' has shape {each} per sample, so a target is {wanted}"
    try:
        array = np.asarray(target)
    except ValueError:
        raise TargetError(f"{each_text}, or one per sample; not {target!r}") from None
    if array.dtype.kind not in "iu":
        raise TargetError(f"a target is an integer index, not {target!r}; {each_text}")
    if k == 1 and array.ndim == 0:
        return np.full((n, 1), int(array), np.int64)
    if k == 1 and array.shape == (n,) and not isinstance(target, tuple):
        return array.astype(np.int64).reshape(n, 1)
    if array.shape == (k,):
        return np.tile(array.astype(np.int64), (n, 1))
    if array.shape == (n, k):
        return array.astype(np.int64)
    raise TargetError(f"{each_text}, or one per sample ({n}); got shape {array.shape}")
