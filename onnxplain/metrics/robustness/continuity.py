"""Continuity (Montavon et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.errors import DataInputError
from onnxplain.features.places import behind_samples, spatial_axes
from onnxplain.metrics.neighbours import Nearby
from onnxplain.metrics.robustness.base import Neighbourhood, Seen
from onnxplain.metrics.similarity import euclidean, manhattan
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count
from onnxplain.runtime.opened import channel_of

__all__ = ["Continuity"]

#: What stands where an image has moved away: a sample's smallest, largest or mean number, or one number.
Fill: TypeAlias = Literal["black", "white", "mean"] | float

_FILLS: dict[str, Callable[..., Array]] = {"black": np.min, "white": np.max, "mean": np.mean}


@dataclass(frozen=True)
class Continuity(Neighbourhood):
    """How fast an explanation changes while the image moves aside, at most (Montavon et al. 2018).

    ``max_t |A(x_t) - A(x)|_1 / |x_t - x|_2``, with ``x_t`` the image moved by t pixels, in equal steps, from
    almost out of the frame on one side to out of it on the other.  The attributions do not move along.

    Parameters
    ----------
    n_steps
        Places to which the image is moved, at most; those in which nothing is left of it are one.
    axis
        Along which of the input's axes it moves.  None: the last one of space, an image's width.
    perturb_baseline
        What stands where it moved away: ``"black"``, ``"white"`` or ``"mean"`` (the sample's smallest,
        largest or mean number), or a number.
    when_prediction_changes
        What becomes of places where the output's highest entry is another than at the sample: ``"keep"``
        counts them as all others, ``"leave_out"`` does not count them, ``"nan"`` says nothing of the sample.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations of moved images are made so, too.  Both are
        on, as in Quantus, so that methods of other units compare; the paper does neither.

    Notes
    -----
    ``extras["changes"]``, (N, places), holds the change at each place; NaN where the moved image is the
    sample itself.

    Raises
    ------
    DataInputError
        If nothing that is explained is an image (or a volume, or a series whose channels the graph tells),
        and no axis is given.
    """

    name: ClassVar[str] = "continuity"
    says_nothing: ClassVar[str] = "they look the same wherever they are moved"

    n_steps: Count = 28
    axis: int | None = None
    perturb_baseline: Fill = "black"
    absolute: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)

    def nearby(self) -> Nearby:
        """Move the image."""
        return _Moved(self.n_steps, self.axis, self.perturb_baseline)

    def change(self, here: Seen, there: Seen) -> FloatArray:
        """Return the distance of explanations over that of the images."""
        away = euclidean(here.features, there.features)
        return manhattan(here.values, there.values) / np.where(away > 0, away, np.nan)


@dataclass(frozen=True)
class _Moved:
    """Images moved along an axis, in equal steps."""

    steps: int
    axis: int | None
    fill: Fill

    def count(self, trial: Trial) -> int:
        """Return the number of places in the widest image."""
        widths = [trial.features[k].shape[axis] for k, axis in self.axes(trial).items()]
        return max(1, *(len(self.places(width)) for width in widths))

    def axes(self, trial: Trial) -> dict[str, int]:
        """Return by feature along which axis it moves; those that stay are left out."""
        found: dict[str, int] = {}
        for name, x in trial.features.items():
            if x.dtype.kind not in "fiu":
                raise DataInputError(
                    f"'{name}' holds {x.dtype}, and continuity moves images of numbers; explain others "
                    "(wrt=...)"
                )
            axis = self._axis(trial, name, x)
            if axis is not None:
                found[name] = axis
        if not found:
            name, x = next(iter(trial.features.items()))
            raise DataInputError(
                f"continuity moves images, and '{name}' has samples of shape {x.shape[1:]}; say with axis= "
                "along which axis they can be moved, explain other inputs (wrt=...), or use max_sensitivity"
            )
        return found

    def _axis(self, trial: Trial, name: str, x: Array) -> int | None:
        problem = trial.problem
        if self.axis is not None:
            return behind_samples(self.axis, problem.driver.layout.axes[name], x.ndim, f"'{name}'")[0]
        channel = channel_of(problem, name)
        if x.ndim in (4, 5):
            return spatial_axes(x.shape, f"'{name}'", channel)[-1]
        return 3 - channel if x.ndim == 3 and channel in (1, 2) else None

    def places(self, width: int) -> IntArray:
        """Return by how much an image of some width is moved."""
        pixels = max(1, (2 * width + 1) // self.steps)
        places = -width + pixels * np.arange(1, self.steps + 1)
        return np.unique(np.minimum(places, width))

    def at(self, trial: Trial, steps: slice, rows: IntArray) -> Arrays:
        """Move some samples to some places."""
        made: Arrays = {}
        axes = self.axes(trial)
        for name, x in trial.features.items():
            own = x[rows]
            if name in axes:
                places = self.places(x.shape[axes[name]])
                chosen = places[np.minimum(np.arange(steps.start, steps.stop), len(places) - 1)]
                copies = [self._moved(own, int(t), axes[name]) for t in chosen]
            else:
                copies = [own] * (steps.stop - steps.start)
            made[name] = np.concatenate(copies)
        return made

    def _moved(self, x: Array, t: int, axis: int) -> Array:
        """Move images, (r, ...), by t pixels."""
        flat = x.reshape(len(x), -1)
        fill = self.fill
        kept = _FILLS[fill](flat, axis=1) if isinstance(fill, str) else np.full(len(x), fill)
        wide = kept.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        made: Array = np.broadcast_to(wide, x.shape).copy()
        into, source = np.moveaxis(made, axis, -1), np.moveaxis(x, axis, -1)
        length = source.shape[-1]
        if abs(t) < length:
            into[..., max(t, 0) : length + min(t, 0)] = source[..., max(-t, 0) : length - max(t, 0)]
        return made
