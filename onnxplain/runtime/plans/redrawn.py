"""Points of which what lies in a window is drawn anew, and what becomes of the scores there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.errors import MethodError
from onnxplain.features.gaussians import Gaussian
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.plans.windows import Losses, Slides, Windows, covering
from onnxplain.runtime.problem import Problem

__all__ = ["Evidence", "Measure", "Redrawn"]

#: What is compared of the score, and of its mean over draws.
Measure = Literal["difference", "log_odds"]

_LEAST = 2.0**-24  # float32 cannot tell a probability that is nearer to 1


@dataclass(frozen=True, eq=False)
class Redrawn:
    """The row, of which what lies in a window is drawn anew; several times for each window.

    Attributes
    ----------
    windows
        Which.
    samples
        Draws for each.
    seed
        Same seed, same bits.
    rows
        By feature, (M, ...): one of them is drawn, and stands there; empty: the baseline does.
    gaussians
        By feature: draw from these instead, given what lies around the window; empty: from rows.
    """

    windows: Windows
    samples: int
    seed: int
    rows: Arrays
    gaussians: dict[str, Gaussian]

    def count(self, problem: Problem) -> int:
        """Return the number of windows, times that of draws."""
        return self.samples * sum(s.count for s in self.windows.over(problem.features).values())

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Draw what lies in some of the windows."""
        which, made = np.arange(steps.start, steps.stop) // self.samples, {}
        for name, slides, places in self.windows.places(problem.features, which):
            x = problem.features[name]
            if places[-1] < 0 or places[0] >= slides.count:
                continue
            if self.gaussians:
                made[name] = self._conditional(name, x, slides, places, steps)
            else:
                start = problem.baselines[name]
                instead = self.rows[name][self._drawn_rows(steps)][:, None] if self.rows else start
                mixed = np.where(slides.covered(places)[:, None], instead, x)
                made[name] = mixed.reshape(len(which) * len(x), *x.shape[1:])
        return problem.at(made, len(which))

    def _drawn_rows(self, steps: slice) -> IntArray:
        drawn = uniforms(self.seed, 0, steps.start, steps.stop - steps.start, 1)[:, 0]
        count = len(next(iter(self.rows.values())))
        return np.minimum((drawn * count).astype(np.int64), count - 1)

    def _conditional(self, name: str, x: Array, slides: Slides, places: IntArray, steps: slice) -> Array:
        from scipy.special import ndtri

        size = int(np.prod(slides.window))
        drawn = uniforms(self.seed, 0, steps.start, len(places), size)
        normals = ndtri(drawn * (1 - 2.0**-52) + 2.0**-54)
        out: Array = np.tile(x, (len(places), 1, *(1,) * (x.ndim - 1))).reshape(len(places), *x.shape)
        for place in np.unique(places[(places >= 0) & (places < slides.count)]):
            mine = places == place
            start = slides.starts(np.array([place]))[0].tolist()
            lengths = zip(start, slides.window, slides.shape, strict=True)
            window = tuple(min(w, length - a) for a, w, length in lengths)
            where = (mine, slice(None), *(slice(a, a + w) for a, w in zip(start, window, strict=True)))
            out[where] = self.gaussians[name].drawn(x, start, window, normals[mine])
        return out.reshape(len(places) * len(x), *x.shape[1:])


@dataclass(frozen=True)
class Evidence:
    """What is lost when a window is drawn anew: of the score, or of its odds; averaged over windows.

    Attributes
    ----------
    windows, samples
        As the points have them.
    measure
        ``"difference"``, ``S(x) - mean S``; or ``"log_odds"``, ``log2 odds(S(x)) - log2 odds(mean S)``.
    """

    windows: Windows
    samples: int
    measure: Measure
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return True."""
        return True

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Evidence:
        """Begin with the score of the row itself.

        Raises
        ------
        MethodError
            If it is no probability, and odds are asked for.
        """
        score = problem.scores().astype(np.float64)
        if self.measure == "log_odds" and ((score < 0) | (score > 1)).any():
            raise MethodError(
                f"the score of sample {int(problem.rows[np.argmax((score < 0) | (score > 1))])} is no "
                "probability, so it has no odds; explain what comes out of the Softmax or Sigmoid "
                "(through_softmax=True), or take evidence='difference'"
            )
        return _Evidence(self, problem, score, *np.zeros((2, count // self.samples, problem.n)))


@dataclass
class _Evidence:
    asked: Evidence
    problem: Problem
    score: FloatArray
    totals: FloatArray
    squares: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        lost = self.score - answers.score
        which = np.arange(steps.start, steps.stop) // self.asked.samples
        np.add.at(self.totals, which, lost)
        np.add.at(self.squares, which, lost**2)

    def found(self) -> Found:
        n, features = self.asked.samples, self.problem.features
        lost = self.totals / n
        spread = np.maximum(self.squares / n - lost**2, 0) / (n - 1 if n > 1 else np.nan)
        if self.asked.measure == "log_odds":
            mean = (self.score - lost).clip(_LEAST, 1 - _LEAST)
            own = self.score.clip(_LEAST, 1 - _LEAST)
            lost = np.log2(own / (1 - own)) - np.log2(mean / (1 - mean))
            spread = spread / (mean * (1 - mean) * np.log(2)) ** 2
        windows, every = self.asked.windows, np.arange(len(lost))
        values, errors = (Losses(windows, self.problem, self.score) for _ in range(2))
        for first in range(0, len(lost), 256):
            part = every[first : first + 256]
            values.lose(part, lost[part])
            errors.lose(part, spread[part])
        times = {k: covering(v) for k, v in windows.over(features).items()}
        return Found(
            {k: v.astype(float_like(features[k])) for k, v in values.means().items()},
            errors={k: np.sqrt(v / times[k]) for k, v in errors.means().items()},
        )
