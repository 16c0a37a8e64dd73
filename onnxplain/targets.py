"""What is explained of an output: one entry of each sample's, the highest, or a weighted sum of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, Shape
from onnxplain.backward.picking import Target
from onnxplain.errors import TargetError
from onnxplain.inputs import as_array, check_target, is_predicted

__all__ = ["Resolved", "Weights", "resolve_target"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Explain a weighted sum of the output's entries, ``S = sum w y``.

    Attributes
    ----------
    array
        Shaped like one sample's output, or (N, ...) with weights for each sample.
    """

    array: Any


@dataclass(frozen=True, eq=False)
class Resolved:
    """A target that fits an output.

    Attributes
    ----------
    kind
        How it names a score.
    values
        Indices, int64 (N, k), -1 for the predicted one; or weights, (N, ...).
    """

    kind: Target
    values: Array

    @property
    def axes(self) -> int:
        """Length of an index."""
        return 0 if self.kind == "weights" else int(self.values.shape[1])


def resolve_target(
    given: object, n: int, each: Shape, dtype: Any, output: str, mixed: str | None = None
) -> Resolved:
    """Bring a target, as a user gives it, into the form that programs take.

    Parameters
    ----------
    given
        :class:`Weights`, or what :func:`~onnxplain.inputs.check_target` takes.
    n
        Number of samples.
    each, dtype
        Shape of one sample's output, and the dtype of its entries.
    output, mixed
        Name, and why the arrays of the call are one sample, for messages.

    Raises
    ------
    TargetError
        If it does not fit the output.
    """
    if isinstance(given, Weights):
        return Resolved("weights", _weights(given.array, n, each, dtype, output))
    if is_predicted(given) and np.prod(each, dtype=np.int64) != 1:
        return Resolved("predicted", np.full((n, len(each)), -1, np.int64))
    found = check_target(None if is_predicted(given) else given, n, each, output, mixed)
    return Resolved("predicted" if found.shape[1] else "index", found)


def _weights(given: object, n: int, each: Shape, dtype: Any, output: str) -> Array:
    what = f"the weights of output '{output}'"
    array = as_array(given, what)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise TargetError(f"{what} must be finite numbers")
    fits = array.shape == each or array.shape == (n, *each)
    if not fits:
        raise TargetError(
            f"{what} have shape {array.shape}; give {each} for all samples, or {(n, *each)} for each"
        )
    return np.array(np.broadcast_to(array, (n, *each)), dtype)
