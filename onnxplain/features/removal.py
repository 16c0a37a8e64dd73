"""What stands where a player is taken away, besides arrays and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError, OptionError
from onnxplain.features.places import image_axes
from onnxplain.options import Positive, Seed, check_fields, nearest

__all__ = ["REMOVALS", "Background", "Blur", "Mean", "Removal", "Uniform", "removal"]


@dataclass(frozen=True, eq=False)
class Background:
    """Rows that stand for what is usual: each is a baseline for all samples, and what comes out is averaged.

    Attributes
    ----------
    rows
        An array (M, ...), or a dict of such by input name.
    """

    rows: Any


@dataclass(frozen=True)
class Blur:
    """The sample itself, blurred by a Gaussian: details are gone, colours and light stay.

    At borders the outermost value goes on.  For inputs of floats.

    Attributes
    ----------
    sigma
        Standard deviation, in elements (10, as in Fong & Vedaldi 2017).
    axes
        Along which axes of the input; None: those of images and volumes that are neither samples nor
        channels: as the graph tells, or else those of a length of 3, 1 or 4, first or last; else the axis
        behind a square; else the first.
    """

    sigma: Positive = 10.0
    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self, OptionError)

    def instead(self, x: Array, samples: int | None, what: str, channel: int | None = None) -> Array:
        """Return what stands instead of samples, (n, ...).

        Parameters
        ----------
        x
            The samples.
        samples
            Their axis in what users give.
        what
            Name of the input, for errors.
        channel
            The axis of channels, where the graph tells it.
        """
        from skimage.filters import gaussian

        axes = _axes(self.axes, x, samples, what, channel)
        sigma = [self.sigma if k in axes else 0 for k in range(x.ndim)]
        made: Array = gaussian(x, sigma, mode="nearest", preserve_range=True).astype(x.dtype)
        return made


@dataclass(frozen=True)
class Mean:
    """The mean of each sample and channel: everything is gone but its colour.

    For inputs of floats.

    Attributes
    ----------
    axes
        Over which axes of the input; None as for :class:`Blur`.
    """

    axes: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self, OptionError)

    def instead(self, x: Array, samples: int | None, what: str, channel: int | None = None) -> Array:
        """Return what stands instead of samples, (n, ...).

        Parameters
        ----------
        x
            The samples.
        samples
            Their axis in what users give.
        what
            Name of the input, for errors.
        channel
            The axis of channels, where the graph tells it.
        """
        mean = x.mean(_axes(self.axes, x, samples, what, channel), dtype=np.float64, keepdims=True)
        return np.array(np.broadcast_to(mean, x.shape), x.dtype)


@dataclass(frozen=True)
class Uniform:
    """Random numbers, each equally likely between two bounds: no edge, no colour, no shape is left.

    All samples get the same draw, scaled to their bounds.  For inputs of floats.

    Attributes
    ----------
    low, high
        The bounds; None: the least and the largest number of each sample.
    seed
        Same seed, same bits.
    """

    low: float | None = None
    high: float | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, OptionError)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise OptionError(f"Uniform: low is {self.low:g} and high {self.high:g}; give low below high")

    def instead(self, x: Array, samples: int | None, what: str, channel: int | None = None) -> Array:
        """Return what stands instead of samples, (n, ...).

        Parameters
        ----------
        x
            The samples.
        samples
            Their axis in what users give.
        what
            Name of the input, for errors.
        channel
            The axis of channels, where the graph tells it.
        """
        _floats(x, what)
        rows = x.reshape(len(x), -1).astype(np.float64)
        low = rows.min(1, initial=np.inf) if self.low is None else np.full(len(x), self.low)
        high = rows.max(1, initial=-np.inf) if self.high is None else np.full(len(x), self.high)
        draw = np.random.default_rng(self.seed).random(rows.shape[1])
        made: Array = (low[:, None] + (high - low)[:, None] * draw).reshape(x.shape).astype(x.dtype)
        return made


#: Made of the samples themselves.
Removal: TypeAlias = "Blur | Mean | Uniform"
REMOVALS = (Blur, Mean, Uniform)

_NAMED: dict[str, Removal | None] = {"blur": Blur(), "mean": Mean(), "uniform": Uniform(), "zero": None}


def removal(given: Any, what: str) -> Any:
    """Return what a name stands for (None for zeros), for the input ``what``; anything else as it is.

    Raises
    ------
    DataInputError
        If the name is unknown.
    """
    if not isinstance(given, str):
        return given
    if given not in _NAMED:
        raise DataInputError(
            f"the baselines of '{what}' are {given!r}; give {', '.join(map(repr, _NAMED))}, or finite numbers"
            f"{nearest(given, _NAMED)}"
        )
    return _NAMED[given]


def _axes(
    axes: int | tuple[int, ...] | None, x: Array, samples: int | None, what: str, channel: int | None
) -> tuple[int, ...]:
    _floats(x, what)
    return image_axes(axes, x.shape, samples, what, channel)


def _floats(x: Array, what: str) -> None:
    if x.dtype.kind != "f":
        raise DataInputError(
            f"{what} is of {x.dtype}, and only floats can be blurred, averaged or drawn; give baselines of "
            "its own dtype"
        )
