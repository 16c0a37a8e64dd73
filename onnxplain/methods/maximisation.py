"""Activation maximisation: an input that makes the score high, found by its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.asks import Walk
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.painting import Colours, Frequencies
from onnxplain.features.places import behind_samples, channel_axis
from onnxplain.methods.base import Method
from onnxplain.options import Count, Positive, Seed, Share, Weight
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.plans.adam import Adam
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.plans.run import joined
from onnxplain.runtime.problem import Problem

__all__ = ["ActivationMaximisation"]

_Percent: TypeAlias = Annotated[float, Field(ge=0, lt=100, description="a number from 0 to below 100")]
_Numbers: TypeAlias = Annotated[
    float | tuple[float, ...], Field(description="a finite number, or one for each channel")
]
_Range: TypeAlias = Annotated[tuple[float, float], Field(description="two numbers, the lower one first")]
_REGULARISERS = ("decay", "blur_sigma", "clip_norm", "clip_contribution")


@dataclass(frozen=True)
class ActivationMaximisation(Method):
    """Activation maximisation: ``x* = argmax S(x)`` within a range, from noise, by gradient ascent.

    What is found is no attribution but an input; :func:`onnxplain.visualise` makes a picture of it.

    * ``"pixel"`` (Yosinski et al. 2015): ``x <- r(x + rate * width * g / rms(g))``, where r is decay, blur,
      and what clips to 0; 0 is the model's own, the mean where inputs are normalised.
    * ``"fourier"`` (Olah et al. 2017): Adam on the real and imaginary parts of the spectrum, scaled by
      wavelength; a sigmoid keeps pixels within the range.

    Parameters
    ----------
    space
        Which; ``"fourier"`` needs axes of space.
    n_steps, learning_rate
        How many, and how far each goes (None: 0.05 of Adam's, or 0.02 of the range's width for pixels).
    jitter
        Each step sees the input moved by up to so many places along the axes of space (and round the edge),
        so that no pattern of single pixels is found.
    range, mean, std
        Pixels lie between two numbers (None: anywhere), and the input is ``(pixel - mean) / std``.
    decorrelate
        Fourier: move the three colours together, as they do in photographs.
    decay
        Pixel: ``x <- (1 - decay) x``.
    blur_sigma, blur_every
        Pixel: blur x by so much (0 for none), once in so many steps.
    clip_norm, clip_contribution
        Pixel: what percentage of places is set to 0, those with the smallest norm over channels, or with the
        smallest ``|sum_c x_c g_c|``.
    axes
        Which axes of the input are space.  None: those that are neither samples nor channels, where the graph
        tells channels; else so of images and volumes, and of series, (N, C, L), the longest.
    seed
        Same seed, same bits.

    Notes
    -----
    ``extras["history"]["activation"]``, (n, n_steps + 1): the score at each step (moved by the jitter), and
    at the end.  ``extras["pixels"]``: the input in the units of ``range``, by name.

    Raises
    ------
    MethodError
        If a parameter makes no sense, or is one of the other space's.
    """

    name: ClassVar[str] = "activation_maximisation"
    cost: ClassVar[str] = "n_steps + 1 forwards and backwards"
    space: Literal["fourier", "pixel"] = "fourier"
    n_steps: Count = 256
    learning_rate: Positive | None = None
    jitter: Annotated[int, Field(ge=0, le=10**6, description="a whole number, 0 for none")] = 8
    range: _Range | None = (0.0, 1.0)
    mean: _Numbers = 0.0
    std: _Numbers = 1.0
    decorrelate: bool = True
    decay: Share = 0.0
    blur_sigma: Weight = 0.0
    blur_every: Count = 4
    clip_norm: _Percent = 0.0
    clip_contribution: _Percent = 0.0
    axes: int | tuple[int, ...] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space == "fourier":
            for name in _REGULARISERS:
                if getattr(self, name):
                    raise MethodError(f"{name} is for space='pixel'; the fourier space needs none of it")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise MethodError(f"range is {self.range}; give two numbers, the lower one first")
        for name in ("mean", "std"):
            if not np.size(getattr(self, name)):
                raise MethodError(f"{name} is (); give a number, or one for each channel")
        if np.min(self.std) <= 0:
            raise MethodError(f"std is {self.std}; give numbers above 0")

    def attribute(self, problem: Problem) -> Found:
        """Climb from noise, for as many rows at a time as fit."""
        if len(problem.features) != 1:
            names = ", ".join(problem.features)
            raise DataInputError(f"one input is made at a time, not {names}; name it (wrt=)")
        ((name, x),) = problem.features.items()
        axis = problem.driver.layout.axes[name]
        canvas = _Painting(self, x, f"'{name}'", axis, channel_of(problem, name))
        parts = list(problem.driver.blocks(problem.n, Walk()))
        with problem.driver.bar(len(parts) * self.n_steps, self.name) as bar:
            found = [self._climb(problem.take(part), name, canvas, bar) for part in parts]
        return joined(found)

    def _climb(self, problem: Problem, name: str, canvas: _Painting, bar: Any) -> Found:
        shape = problem.features[name].shape
        climb = _Pixels(self, canvas, shape) if self.space == "pixel" else _Spectrum(self, canvas, shape)
        shifts = np.random.default_rng((self.seed, 1)).integers(
            -self.jitter, self.jitter + 1, (self.n_steps, len(canvas.axes))
        )
        scores = []
        for step, shift in enumerate(shifts):
            seen = np.roll(climb.x, tuple(shift), canvas.axes)
            answer = problem.at({name: seen.astype(canvas.dtype)}).walk()
            gradient = np.roll(answer.values[name].astype(np.float64), tuple(-shift), canvas.axes)
            climb.step(gradient, step)
            scores.append(answer.score)
            bar.update(1)
        made: Arrays = {name: climb.x.astype(canvas.dtype)}
        scores.append(problem.at(made).walk().score)
        pixels = climb.x * canvas.std + canvas.mean
        return Found(made, extras={"pixels": {name: pixels}, "history": {"activation": np.stack(scores, 1)}})


class _Painting:
    """What an input looks like: its space, its channels, its units."""

    def __init__(
        self,
        method: ActivationMaximisation,
        x: Array,
        what: str,
        samples: int | None,
        channel: int | None,
    ) -> None:
        self.dtype = x.dtype
        each = x.shape[1:]
        self.channels: int | None = channel
        if method.axes is not None:
            self.axes = behind_samples(method.axes, samples, x.ndim, what)
            others = [k for k in range(1, x.ndim) if k not in self.axes]
            self.channels = others[0] if len(others) == 1 else None
        elif channel is not None:
            self.axes = tuple(k for k in range(1, x.ndim) if k != channel)
        elif x.ndim in (4, 5):
            self.channels = (channel_axis(each) or 0) + 1
            self.axes = tuple(k for k in range(1, x.ndim) if k != self.channels)
        elif x.ndim == 3:
            self.axes = (int(np.argmax(each)) + 1,)
            self.channels = 3 - self.axes[0]
        else:
            self.axes = ()
        if method.space == "fourier" and not self.axes:
            raise DataInputError(
                f"{what} has samples of shape {each}, which have no space; take space='pixel', or say with "
                "axes= which axes are space (or time)"
            )
        self.mean = self._by_channel(method.mean, x, "mean", what)
        self.std = self._by_channel(method.std, x, "std", what)

    def _by_channel(self, given: float | tuple[float, ...], x: Array, which: str, what: str) -> FloatArray:
        array = np.asarray(given, np.float64)
        if array.ndim and array.size > 1:
            if self.channels is None or x.shape[self.channels] != array.size:
                raise DataInputError(
                    f"{which} has {array.size} numbers, and {what} samples of shape {x.shape[1:]}; give one, "
                    "or one for each channel"
                )
            return array.reshape([-1 if k == self.channels else 1 for k in range(x.ndim)])
        return array.reshape(())


class _Spectrum:
    """Climbs by Adam on the spectrum."""

    def __init__(self, method: ActivationMaximisation, canvas: _Painting, shape: tuple[int, ...]) -> None:
        self.canvas = canvas
        coloured = method.decorrelate and canvas.channels is not None and shape[canvas.channels] == 3
        low, high = method.range or (None, None)
        self.colours = Colours(low, high, canvas.channels if coloured else None)
        self.waves = Frequencies(shape, canvas.axes)
        self.adam = Adam(method.learning_rate or 0.05)
        self.numbers = self.waves.start(method.seed)
        self._paint()

    def _paint(self) -> None:
        self.pixels = self.colours.pixels(self.waves.picture(self.numbers))
        self.x = (self.pixels - self.canvas.mean) / self.canvas.std

    def step(self, gradient: FloatArray, number: int) -> None:
        """Climb by one step."""
        slope = self.waves.back(self.colours.back(self.pixels, gradient / self.canvas.std))
        scale = np.abs(slope).reshape(len(slope), -1).max(1)
        slope /= np.where(scale > 0, scale, 1).reshape(-1, *(1,) * (slope.ndim - 1))
        self.numbers = self.adam.down({"": self.numbers}, {"": -slope})[""]
        self._paint()


class _Pixels:
    """Climbs by steps of one size, and regularises."""

    def __init__(self, method: ActivationMaximisation, canvas: _Painting, shape: tuple[int, ...]) -> None:
        self.method, self.canvas = method, canvas
        low, high = method.range or (-0.5, 0.5)
        self.width = (high - low) / canvas.std
        noise = np.random.default_rng(method.seed).normal(0, 0.01, (1, *shape[1:]))
        middle = ((low + high) / 2 - canvas.mean) / canvas.std
        self.x: FloatArray = np.repeat(middle + self.width * noise, shape[0], 0)

    def step(self, gradient: FloatArray, number: int) -> None:
        """Climb by one step."""
        method, canvas = self.method, self.canvas
        rms = np.sqrt(np.square(gradient).mean(tuple(range(1, gradient.ndim)), keepdims=True))
        rate = method.learning_rate or 0.02
        x = self.x + rate * self.width * gradient / np.where(rms > 0, rms, 1)
        x = x * (1 - method.decay)
        if method.blur_sigma and (number + 1) % method.blur_every == 0:
            from skimage.filters import gaussian

            sigma = [method.blur_sigma if k in canvas.axes else 0 for k in range(x.ndim)]
            x = gaussian(x, sigma, mode="nearest", preserve_range=True)
        others = tuple(k for k in range(1, x.ndim) if k not in canvas.axes) if canvas.axes else ()
        norms = np.sqrt(np.square(x).sum(others, keepdims=True))
        contributions = np.abs((x * gradient).sum(others, keepdims=True))
        for sizes, percent in ((norms, method.clip_norm), (contributions, method.clip_contribution)):
            if percent:
                least = np.percentile(sizes, percent, axis=tuple(range(1, x.ndim)), keepdims=True)
                x = np.where(sizes < least, 0, x)
        if method.range is not None:
            low, high = ((edge - canvas.mean) / canvas.std for edge in method.range)
            x = np.clip(x, low, high)
        self.x = x
