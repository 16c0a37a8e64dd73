"""An output as targets see it, and what they ask of users in one way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, IntArray, Shape
from onnxplain.errors import DataInputError, TargetError
from onnxplain.features.places import behind_samples
from onnxplain.tensors import read_tensor

__all__ = ["Output", "numbers", "which_class"]


@dataclass(frozen=True)
class Output:
    """The explained output of one call.

    Attributes
    ----------
    name
        Its name.
    n
        Number of samples.
    each, dtype
        Shape of one sample's output, and the dtype of its entries.
    axis
        Where samples lie in what the model gives; None where the arrays are one sample, or run one by one.
    mixed
        Why the arrays of the call are one sample, for messages; None where they are several.
    others
        Names of the other outputs that the target reads, see
        :meth:`onnxplain.targets.detection.Detection.reads`.
    rows
        Computes an output at the inputs of the call, (N, ...).
    channel
        Tells the axis of channels of the output, samples first; None where the graph does not.
    """

    name: str
    n: int
    each: Shape
    dtype: Any
    axis: int | None
    mixed: str | None
    others: tuple[str, ...]
    rows: Callable[[str], Array]
    channel: Callable[[], int | None]

    @property
    def told(self) -> str:
        """Its name and shape, for messages."""
        why = "" if self.mixed is None else f" (the arrays of the call are one sample: {self.mixed})"
        return f"output '{self.name}' has shape {self.each}{'' if self.mixed else ' per sample'}{why}"

    def behind(self, axis: int) -> int:
        """Return which axis of one sample's output an axis of the model's output is.

        Raises
        ------
        TargetError
            If there is none.
        """
        try:
            return behind_samples(axis, self.axis, len(self.each) + 1, f"output '{self.name}'")[0] - 1
        except DataInputError as error:
            raise TargetError(str(error)) from None


def numbers(given: object, what: str) -> Array:
    """Return an array of finite numbers.

    Raises
    ------
    TargetError
        If it is none.
    """
    try:
        array = read_tensor(given)
    except Exception:  # a tensor's own methods raise what they like
        array = np.array(None)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise TargetError(f"{what} must be finite numbers, not {given!r:.60}; give an array")
    return array


def which_class(given: object, count: int, output: Output) -> IntArray:
    """Return the class of each sample, int64 (N,).

    Parameters
    ----------
    given
        An index, one for each sample, or None where there is only one class.
    count
        How many there are.
    output
        The output.

    Raises
    ------
    TargetError
        If it is none.
    """
    if given is None:
        if count == 1:
            return np.zeros(output.n, np.int64)
        raise TargetError(f"{output.told}, with {count} classes; say which one with class_=")
    try:
        array = read_tensor(given)
    except Exception:
        array = np.array(None)
    if array.dtype.kind not in "iu" or array.shape not in ((), (output.n,)):
        raise TargetError(
            f"class_ is {given!r:.60}; give an index from 0 to {count - 1}, or one for each of the samples "
            f"({output.n})"
        )
    if array.min() < -count or array.max() >= count:
        bad = array.max() if array.max() >= count else array.min()
        raise TargetError(f"class_ {bad} is out of range: {output.told}, with {count} classes")
    return np.broadcast_to(array.astype(np.int64) % count, output.n)
