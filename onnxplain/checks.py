"""What can be checked of an explanation: the sum that its method promises, or how well a mean is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import CheckFailedError

__all__ = ["Check", "Completeness", "Conservation", "StandardError", "Unchecked"]

_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class _Sum:
    """A sum that is promised.

    Attributes
    ----------
    reference
        (N,): what the attributions of each sample must sum to.
    delta
        (N,): how far their sum is from that.
    """

    kind: ClassVar[str]
    meaning: ClassVar[str]
    way_out: ClassVar[str]
    reference: FloatArray
    delta: FloatArray

    @property
    def relative_delta(self) -> FloatArray:
        """(N,): ``|delta| / |reference|``."""
        return np.asarray(np.abs(self.delta) / np.maximum(np.abs(self.reference), _LEAST))

    def verify(self, rtol: float, atol: float = 0.0) -> None:
        """Make sure that ``|delta| <= rtol |reference| + atol`` for every sample.

        Raises
        ------
        CheckFailedError
            With the numbers of the sample that is furthest off, relative to what is allowed.
        """
        off, allowed = np.abs(self.delta), rtol * np.abs(self.reference) + atol
        worst = _furthest_off(off, allowed)
        if worst is None:
            return
        must = float(self.reference[worst])
        raise CheckFailedError(
            f"the attributions of sample {worst} sum to {must + float(self.delta[worst]):.6g}, but must sum "
            f"to {self.meaning}, {must:.6g}: off by {float(off[worst]):.3g}, and rtol={rtol:g} with "
            f"atol={atol:g} allows {float(allowed[worst]):.3g}; {self.way_out}"
        )


@dataclass(frozen=True, eq=False)
class Completeness(_Sum):
    """The attributions sum to ``S(x) - S(baseline)``.

    Attributes
    ----------
    reference
        (N,): that difference (from the mean score of the baselines, where there are many).
    delta
        (N,): sum of the attributions less the reference.
    """

    kind: ClassVar[str] = "completeness"
    meaning: ClassVar[str] = "the score less that of the baseline"
    way_out: ClassVar[str] = (
        "raise n_steps of integrated gradients, take method deep_lift, or give atol where the two scores are "
        "nearly the same"
    )


@dataclass(frozen=True, eq=False)
class Conservation(_Sum):
    """The attributions sum to the score.

    Attributes
    ----------
    reference
        (N,): the score.
    delta
        (N,): sum of the attributions less the score.
    """

    kind: ClassVar[str] = "conservation"
    meaning: ClassVar[str] = "the score"
    way_out: ClassVar[str] = (
        'share out what biases keep (LRP(bias="scale"), or the composite "conserving"); LRP(account=True) '
        "says which nodes kept how much, docs/relevance.md why"
    )


class _NoSum:
    """No sum is promised."""

    @property
    def reference(self) -> None:
        """None."""
        return None

    @property
    def delta(self) -> None:
        """None."""
        return None

    @property
    def relative_delta(self) -> None:
        """None."""
        return None


@dataclass(frozen=True, eq=False)
class StandardError(_NoSum):
    """The attributions are a mean over random samples, known to a standard error.

    Attributes
    ----------
    errors
        By input (or embedding), (N, ...): the standard error of each entry.
    norms
        (N,): Euclidean norm of each sample's attributions.
    """

    kind: ClassVar[str] = "standard_error"
    errors: Mapping[str, Array] = field(repr=False)  # as many numbers as the attributions have
    norms: FloatArray

    @classmethod
    def of(cls, errors: Mapping[str, Array], values: Mapping[str, Array]) -> StandardError:
        """Make the check from errors and values by the same names, (N, ...)."""
        return cls(errors, _norms(values))

    @property
    def relative_error(self) -> FloatArray:
        """(N,): norm of the errors over the norm of the attributions; NaN where no error can be told."""
        return np.asarray(_norms(self.errors) / np.maximum(self.norms, _LEAST))

    def verify(self, rtol: float, atol: float = 0.0) -> None:
        """Make sure that the errors' norm is at most ``rtol`` of the attributions' (plus ``atol``).

        Raises
        ------
        CheckFailedError
            With the numbers of the sample that is known least, relative to what is allowed.
        """
        size, allowed = _norms(self.errors), rtol * self.norms + atol
        worst = _furthest_off(size, allowed)
        if worst is None:
            return
        raise CheckFailedError(
            f"the attributions of sample {worst} have a norm of {float(self.norms[worst]):.6g}, and their "
            f"standard error has one of {float(size[worst]):.3g}, where rtol={rtol:g} with atol={atol:g} "
            f"allows {float(allowed[worst]):.3g}; raise n_samples: four times as many halve it"
        )


@dataclass(frozen=True, eq=False)
class Unchecked(_NoSum):
    """The method promises nothing that could be checked."""

    kind: ClassVar[str] = "none"

    def verify(self, rtol: float, atol: float = 0.0) -> None:
        """Refuse.

        Raises
        ------
        CheckFailedError
            Always: what promises nothing cannot be verified.
        """
        raise CheckFailedError(
            "this method promises nothing that could be verified; integrated_gradients, deep_lift, lrp, "
            "tree_shap and linear_shap promise a sum, smooth_grad tells its standard error"
        )


#: All there are.
Check: TypeAlias = Completeness | Conservation | StandardError | Unchecked


def _norms(arrays: Mapping[str, Array]) -> FloatArray:
    squares = (np.square(a.reshape(len(a), -1).astype(np.float64)).sum(1) for a in arrays.values())
    return np.asarray(np.sqrt(sum(squares)))


def _furthest_off(size: FloatArray, allowed: FloatArray) -> int | None:
    """Return the sample whose size is largest relative to what is allowed, NaN first; None if all are."""
    if np.all(size <= allowed):
        return None
    excess = size / np.maximum(allowed, _LEAST)
    return int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
