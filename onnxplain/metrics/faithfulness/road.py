"""Remove and debias (Rong et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.answering import Posed
from onnxplain.backward.asks import Scores
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.neighbours import filled
from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import Order, ranks
from onnxplain.metrics.playing import channels
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Seed, Weight
from onnxplain.runtime.problem import Problem

__all__ = ["ROAD"]

_Percentage = Annotated[float, Field(gt=0, lt=100, description="a number above 0 and below 100")]


@dataclass(frozen=True)
class ROAD(Metric):
    """Whether the prediction survives without pixels, filled in from around them (Rong et al. 2022).

    Of each sample a share p of the pixels is taken away, those of the highest attribution first (``"morf"``)
    or of the lowest (``"lerf"``), and filled by noisy linear imputation: each pixel is the weighted mean of
    its up to eight neighbours (1/6 beside, 1/12 at corners, over the sum of those that the image has), for
    all missing pixels at once, plus Gaussian noise.  So little is left that tells where pixels are missing,
    which for constant baselines often tells the class.  The value is the mean over shares of ::

        1 if argmax f(x_p) is the target, else 0;

    its mean over samples is the paper's accuracy, and the curve is that of each share.  Most relevant first,
    a faithful explanation makes it low; least relevant first, high.  Pixels are places of an image, channels
    together.  The noise of a share is the same for all samples.

    Nothing is retrained.  Each sample and share costs one sparse system (of 224 by 224 pixels up to about a
    second) and one forward pass.

    In Quantus (0.6.0) images of several channels fail: it orders elements, and takes their numbers for those
    of pixels.

    Parameters
    ----------
    percentages
        Which shares of the pixels are taken away, in per cent.
    order
        ``"morf"`` or ``"lerf"``.
    quantity
        ``"accuracy"``, or ``"score"``, the explained score itself, for models that have no classes.
    noise
        Standard deviation of what is added to filled pixels, in units of the input.
    seed
        Same seed, same noise.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "road"
    higher_is_better: ClassVar[bool | None] = False
    usual_mask: ClassVar[str | None] = "pixels"

    percentages: tuple[_Percentage, ...] = tuple(float(p) for p in range(1, 100, 2))
    order: Order = "morf"
    quantity: Literal["accuracy", "score"] = "accuracy"
    noise: Weight = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.percentages:
            raise MethodError("ROAD: percentages are empty; give at least one")
        object.__setattr__(self, "higher_is_better", self.order == "lerf")

    def check(self, posed: Posed) -> None:
        """Refuse what is no image of floats, and an accuracy of what has no classes."""
        for name, array in posed.problem.features.items():
            if array.ndim != 4 or array.dtype.kind != "f":
                raise DataInputError(
                    f"road fills pixels in from their neighbours, and '{name}' has samples of shape "
                    f"{array.shape[1:]} and dtype {array.dtype}, which are no images of floats with "
                    "channels; take deletion or pixel_flipping for it"
                )
        shape, kind = posed.about.shape, posed.problem.driver.question.target
        if self.quantity == "accuracy" and (len(shape) != 1 or shape[0] < 2 or kind == "weights"):
            raise DataInputError(
                f"road's accuracy compares a class with the highest score, and what is explained is no class "
                f"among several (one sample's output has shape {shape}); give quantity='score'"
            )

    def measure(self, trial: Trial) -> Measured:
        """Take pixels away in order, and fill them in."""
        places = ranks(trial, descending=self.order == "morf")
        if self.quantity == "score":
            count = len(self.percentages)
            found = trial.at(count, lambda problem, steps: self._points(problem, steps, places))
        else:
            found = self._right(trial, places)
        at = np.array(self.percentages) / 100
        what = "score" if self.quantity == "score" else "whether the target is predicted"
        curves = {"road": Curve(at, found, "share of the pixels", what)}
        return self.result(found.mean(1), curves=curves)

    def _right(self, trial: Trial, places: IntArray) -> FloatArray:
        """Return whether the target is what is predicted, 1 or 0, (n, percentages)."""
        driver, count = trial.problem.driver, len(self.percentages)
        target = trial.problem.target[:, 0]
        found = np.zeros((trial.n, count))
        blocks = list(driver.blocks(trial.n, Scores()))
        with driver.bar(len(blocks) * count, "measuring") as bar:
            for block in blocks:
                part = trial.problem.take(block)
                for step in range(count):
                    points = self._points(part, slice(step, step + 1), places)
                    outputs = trial.outputs(points, part.rows)
                    found[block, step] = outputs.argmax(1) == target[block]
                    bar.update()
        return found

    def _points(self, problem: Problem, steps: slice, places: IntArray) -> Arrays:
        """Fill in what is gone at some shares, (m * r, ...) by feature."""
        own, total = places[problem.rows], places.shape[1]
        last = channels(problem)
        made: dict[str, list[Array]] = {name: [] for name in problem.features}
        for step in range(steps.start, steps.stop):
            gone = (own < int(total * self.percentages[step] / 100)).astype(np.float64)
            spread, noise = problem.players.spread(gone), self._noise(problem, step)
            for name, array in problem.features.items():
                axis = last[name] or 1
                where = np.moveaxis(spread[name], axis, -1)[..., 0] > 0
                images = np.moveaxis(array, axis, -1)
                new = np.stack([filled(x, g) for x, g in zip(images, where, strict=True)])
                new += where[..., None] * np.moveaxis(noise[name], axis - 1, -1)
                made[name].append(np.moveaxis(new, -1, axis).astype(array.dtype))
        return {name: np.concatenate(parts) for name, parts in made.items()}

    def _noise(self, problem: Problem, step: int) -> dict[str, FloatArray]:
        """Draw the noise of a share, by feature, shaped like one sample."""
        generator = np.random.Generator(np.random.Philox(counter=step << 128, key=self.seed))
        shapes = {name: array.shape[1:] for name, array in problem.features.items()}
        return {name: self.noise * generator.standard_normal(shape) for name, shape in shapes.items()}
