"""Windows that slide over features: points without one, and what becomes of the scores there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray, Shape
from onnxplain.errors import DataInputError
from onnxplain.features.places import space
from onnxplain.kernels import masked_batches as kernels
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.moving import OnDevice, only_numbers
from onnxplain.runtime.plans.plan import Answers, Found, InOrder
from onnxplain.runtime.problem import Problem

__all__ = ["Lengths", "Losses", "Overlaps", "Slides", "Windows", "WithoutWindow", "covering", "without"]

#: Along each axis of a sample, for each feature; or the same for all.
Lengths: TypeAlias = "int | tuple[int, ...] | tuple[tuple[int, ...], ...] | None"


@dataclass(frozen=True)
class Slides:
    """The places of a window that slides over an array; at the end of an axis it is cut off.

    Attributes
    ----------
    shape
        Of the array, one sample's.
    window, strides
        Along each of its axes: how long, and how far from one place to the next.
    """

    shape: Shape
    window: Shape
    strides: Shape

    @property
    def counts(self) -> Shape:
        """How many places there are along each axis."""
        sizes = zip(self.shape, self.window, self.strides, strict=True)
        return tuple(-(-(length - window) // stride) + 1 for length, window, stride in sizes)

    @property
    def count(self) -> int:
        """How many places there are."""
        return math.prod(self.counts)

    def starts(self, which: IntArray) -> IntArray:
        """Return where windows begin, (m, axes)."""
        if not self.shape:
            return np.zeros((len(which), 0), np.int64)
        places = np.stack(np.unravel_index(which, self.counts), 1)
        return np.asarray(places * np.array(self.strides), np.int64)

    def boxes(self, which: IntArray) -> tuple[IntArray, Shape]:
        """Return windows as the kernels take them: where they begin, (m, axes), and how long they are.

        Those that are not in this array begin beyond its end.
        """
        own = (which >= 0) & (which < self.count)
        if not self.shape:
            return np.where(own, 0, 1)[:, None], (1,)
        return np.where(own[:, None], self.starts(np.where(own, which, 0)), self.shape), self.window

    def covered(self, which: IntArray) -> Array:
        """Return which elements lie in windows, bool (m, ...); none in those that are not in this array."""
        own = (which >= 0) & (which < self.count)
        inside: Array = own.reshape(-1, *(1,) * len(self.shape))
        starts = self.starts(np.where(own, which, 0))
        for axis, (length, window) in enumerate(zip(self.shape, self.window, strict=True)):
            behind = np.arange(length) - starts[:, axis, None]
            along = (behind >= 0) & (behind < window)
            inside = inside & along.reshape(
                len(which), *(length if k == axis else 1 for k in range(len(self.shape)))
            )
        return np.broadcast_to(inside, (len(which), *self.shape))


@dataclass(frozen=True)
class Windows:
    """Windows over all features: those of the first one, then those of the second...

    Attributes
    ----------
    shapes
        Lengths of the window: for each feature a tuple with an entry for each axis of a sample, or one such
        tuple, or a number for all axes of space (channels are covered whole).  None: an eighth of these.
    strides
        From one window to the next; a number is for all axes.  None: 1, or half the window if that is None.
    """

    shapes: Lengths = None
    strides: Lengths = None

    def over(self, features: Mapping[str, Array]) -> dict[str, Slides]:
        """Lay the windows over features, (n, ...).

        Raises
        ------
        DataInputError
            If a window does not fit one of them.
        """
        return {
            name: self._slides(name, array.shape[1:], k, len(features))
            for k, (name, array) in enumerate(features.items())
        }

    def places(
        self, features: Mapping[str, Array], which: IntArray
    ) -> Iterator[tuple[str, Slides, IntArray]]:
        """Yield for each feature its windows, and which of them some of all are (or none)."""
        first = 0
        for name, slides in self.over(features).items():
            yield name, slides, which - first
            first += slides.count

    def _slides(self, name: str, shape: Shape, place: int, features: int) -> Slides:
        chosen = space(shape)
        window = _for(self.shapes, name, place, features)
        if window is None:
            window = tuple(-(-d // 8) if k in chosen else d for k, d in enumerate(shape))
        elif isinstance(window, int):
            window = tuple(window if k in chosen else d for k, d in enumerate(shape))
        strides = _for(self.strides, name, place, features)
        if strides is None:
            strides = tuple(max(1, w // 2) for w in window) if self.shapes is None else 1
        if isinstance(strides, int):
            strides = (strides,) * len(shape)
        for what, lengths in (("sliding_window_shapes", window), ("strides", strides)):
            if len(lengths) != len(shape):
                raise DataInputError(
                    f"{what} of '{name}' is {lengths}, and a sample of it has the shape {shape}; give a "
                    "number for each of its axes (without that of the samples)"
                )
        for axis, (length, w, stride) in enumerate(zip(shape, window, strides, strict=True)):
            if w > length:
                raise DataInputError(
                    f"the window of '{name}' is {w} long along axis {axis} of a sample, which has {length}: "
                    f"it is larger than the input, {shape}; give smaller sliding_window_shapes"
                )
            if stride > w and w < length:
                raise DataInputError(
                    f"the window of '{name}' is {w} long along axis {axis} of a sample, moves by {stride} "
                    "and misses elements; give strides that are no larger than the window"
                )
        return Slides(shape, window, strides)


def _for(given: Lengths, name: str, place: int, features: int) -> int | tuple[int, ...] | None:
    """Return what is meant for one of the features.

    Raises
    ------
    DataInputError
        If there is nothing for it.
    """
    if not isinstance(given, tuple) or not any(isinstance(entry, tuple) for entry in given):
        return given  # type: ignore[return-value]  # no tuple is in it
    if len(given) != features:
        raise DataInputError(
            f"there are windows for {len(given)} inputs, and {features} are explained ('{name}' among them); "
            "give a tuple for each, in their order"
        )
    own = given[place]
    assert isinstance(own, tuple)
    return own


@dataclass(frozen=True)
class WithoutWindow(OnDevice):
    """The row without what lies in a window: the baseline stands there.

    Attributes
    ----------
    windows
        Which.
    """

    windows: Windows

    def count(self, problem: Problem) -> int:
        """Return the number of windows."""
        return sum(slides.count for slides in self.windows.over(problem.features).values())

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be moved on a GPU, or has more axes than windows have there."""
        many = next((k for k, v in problem.features.items() if v.ndim - 1 > kernels.MOST_AXES), None)
        if many is not None:
            return f"a sample of '{many}' has more than {kernels.MOST_AXES} axes"
        return only_numbers(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take away what lies in some of the windows."""
        return without(self.windows, problem, np.arange(steps.start, steps.stop))


def without(windows: Windows, problem: Problem, which: IntArray) -> Problem:
    """Return rows without what lies in some windows, given in rising order: the baseline stands there."""
    made: Arrays = {}
    out = problem.written(len(which))
    for name, slides, own in windows.places(problem.features, which):
        if own[-1] >= 0 and own[0] < slides.count:
            x, instead = problem.features[name], problem.baselines[name]
            made[name] = kernels.cover(x, instead, *slides.boxes(own), out[name])
    return problem.at(made, len(which))


@dataclass(frozen=True)
class Overlaps:
    """What the score loses without a window, averaged over the windows in which an element lies.

    Attributes
    ----------
    windows
        Which.
    """

    windows: Windows
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return True."""
        return True

    def begin(self, problem: Problem, count: int, *, checked: bool) -> Losses:
        """Begin with the score of the row itself."""
        return Losses(self.windows, problem, problem.scores().astype(np.float64))


@dataclass
class Losses(InOrder):
    """Sums over windows, by element."""

    windows: Windows
    problem: Problem
    score: FloatArray
    totals: Arrays = field(default_factory=dict)

    def add(self, steps: slice, answers: Answers) -> None:
        """Add what is lost without some of the windows."""
        assert answers.score is not None
        self.lose(np.arange(steps.start, steps.stop), self.score - answers.score)

    def lose(self, which: IntArray, lost: FloatArray) -> None:
        """Add what is lost without some of the windows, (m, n)."""
        for name, slides, places in self.windows.places(self.problem.features, which):
            if places.size and places[-1] >= 0 and places[0] < slides.count:
                if name not in self.totals:
                    self.totals[name] = np.zeros((lost.shape[1], *slides.shape))
                kernels.sum_boxes(self.totals[name], lost, *slides.boxes(places))

    def found(self) -> Found:
        """Return the means."""
        values: Arrays = {}
        for name, mean in self.means().items():
            values[name] = mean.astype(float_like(self.problem.features[name]))
        return Found(values)

    def means(self) -> dict[str, FloatArray]:
        """Return what is lost without each element, over the windows in which it lies."""
        slides, nothing = self.windows.over(self.problem.features), np.zeros(())
        shape = self.score.shape
        return {
            name: np.broadcast_to(self.totals.get(name, nothing), shape + own.shape) / covering(own)
            for name, own in slides.items()
        }


def covering(slides: Slides) -> FloatArray:
    """Return in how many windows each element lies."""
    times: FloatArray = np.ones(slides.shape)
    sizes = zip(slides.shape, slides.window, slides.strides, slides.counts, strict=True)
    for axis, (length, window, stride, count) in enumerate(sizes):
        behind = np.arange(length)[:, None] - stride * np.arange(count)
        along = ((behind >= 0) & (behind < window)).sum(1)
        times = times * along.reshape([-1 if k == axis else 1 for k in range(len(slides.shape))])
    return times
