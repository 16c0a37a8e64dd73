"""The smallest smooth mask that takes the score away, or keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field

from onnxplain._types import Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Walk
from onnxplain.features.places import behind_samples, spatial_axes
from onnxplain.features.soft_masks import Canvas, OfPlayers, canvas, roughness
from onnxplain.graph.interface import inputs_of
from onnxplain.methods.base import Method
from onnxplain.options import Count, Positive, Seed, Share, Weight
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.plans.adam import Adam
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.plans.run import joined
from onnxplain.runtime.problem import Problem

__all__ = ["MeaningfulPerturbation"]

_Cells: TypeAlias = Annotated[float, Field(ge=0, le=100, description="a number from 0 to 100")]
_Power: TypeAlias = Annotated[float, Field(ge=1, le=10, description="a number from 1 to 10")]


@dataclass(frozen=True)
class MeaningfulPerturbation(Method):
    """Meaningful perturbation (Fong & Vedaldi 2017): a mask m in 0..1, found by Adam through the gradient.

    With the baseline b, ``P(m) = m x + (1 - m) b`` and ``t = (S(P(m)) - S(b)) / |S(x) - S(b)|``:

    * ``"deletion"``: ``min l1 sum |1 - m| + tv sum |grad m|^tv_beta + max(t, 0)``; what is found is 1 - m,
      the least that must go for the score to fall to the baseline's.
    * ``"preservation"``: ``min l1 sum |m| + tv sum |grad m|^tv_beta - min(t, 1)``; what is found is m, the
      least that must stay for the score to be that of the input.

    The sums go over the mask's cells.  The paper explains probabilities, which end at 0 and 1 by themselves;
    t makes that of scores of any scale.  The baseline of images and volumes is the paper's blur
    (``ox.Blur(10)``), if none is given; else zeros.

    Parameters
    ----------
    game
        Which.
    n_steps, learning_rate
        Of Adam.
    l1, tv, tv_beta
        Weights of the mask's size and of its total variation, and the power in that.  The paper's ``l1`` of
        1e-4 goes with probabilities (``through_softmax=True``): these are gone long before scores in front of
        a Softmax have fallen to the baseline's, for which 1e-3 chooses what matters most.
    mask_size
        Cells of the mask along each axis of space, at most; it is interpolated, and shared by channels.
    mask_sigma
        Standard deviation of the Gaussian that smooths it, in cells (0.625: the paper's 5 pixels).
    jitter
        In each step the mask lies 0 to ``jitter - 1`` places aside, so that none fits single pixels only.
    bounded
        Whether t counts up to its bound only, as above; False for ``t`` itself, so that a mask is the better
        the lower (or higher) the score.  Where ``S(x) < S(b)``, t has no bound.
    init
        Where all numbers of the mask begin.  At 1 is the input itself, where what is said twice has no
        gradient.
    axes
        Which axes of the input are space; None: of images and volumes as in ``ox.Blur``; where there is none,
        each element has a number of its own, and nothing is smoothed.
    seed
        Same seed, same bits: of the jitter.

    Notes
    -----
    With ``feature_mask``, each player has one number, without smoothing.  Tokens that are walked back to
    their embedding get the mean of its numbers.  ``extras["mask"]`` holds the cells by input (or by
    ``"players"``), ``extras["history"]`` the ``"score"`` at each step and at the end, and the ``"loss"``,
    (n, steps).  A mask may find what the network reacts to and nobody sees (Fong & Vedaldi,
    3.2): trust it less the rougher it is, and see whether the score at the end reached that of the baseline.
    """

    name: ClassVar[str] = "meaningful_perturbation"
    cost: ClassVar[str] = "n_steps + 3 forwards and backwards"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    usual_baseline: ClassVar[str | None] = "blur"
    game: Literal["deletion", "preservation"] = "deletion"
    n_steps: Count = 300
    learning_rate: Positive = 0.1
    l1: Weight = 1e-3
    tv: Weight = 1e-2
    tv_beta: _Power = 3.0
    mask_size: Count = 28
    mask_sigma: _Cells = 0.625
    jitter: Count = 4
    bounded: bool = True
    init: Share = 0.5
    axes: int | tuple[int, ...] | None = None
    seed: Seed = 0

    def attribute(self, problem: Problem) -> Found:
        """Find a mask for each row, as many at a time as fit."""
        space = {k: self._space(problem, k) for k in problem.features}
        problem.walk()  # of all rows, whose parts then know their scores
        blocks = list(problem.driver.blocks(problem.n, Walk()))
        with problem.driver.bar(len(blocks) * self.n_steps, self.name) as bar:
            parts = [problem if len(blocks) == 1 else problem.take(block) for block in blocks]
            return joined([self._found(part, space, bar) for part in parts])

    def _space(self, problem: Problem, name: str) -> tuple[int, ...] | None:
        x, what = problem.features[name], f"'{name}'"
        if self.axes is not None:
            return behind_samples(self.axes, problem.driver.layout.axes[name], x.ndim, what)
        return spatial_axes(x.shape, what, channel_of(problem, name)) if x.ndim in (4, 5) else None

    def _found(self, problem: Problem, space: Mapping[str, tuple[int, ...] | None], bar: Any) -> Found:
        game = _Game(self, problem, space)
        shifts = np.random.default_rng(self.seed).integers(0, self.jitter, (self.n_steps, 8))
        adam, mask = Adam(self.learning_rate), game.start()
        scores, losses = [], []
        for shift in shifts:
            score, loss, slope = game.at(mask, shift)
            mask = {k: v.clip(0, 1) for k, v in adam.down(mask, slope).items()}
            scores.append(score)
            losses.append(loss)
            bar.update(1)
        middle = np.full(8, (self.jitter - 1) // 2)
        scores.append(game.at(mask, middle)[0])
        gone = self.game == "deletion"
        values: Arrays = {}
        for name, m in game.spread(mask, middle).items():
            x = problem.features[name]
            part = (1 - m if gone else m) / game.parts.get(name, 1)
            values[name] = np.broadcast_to(part, x.shape).astype(x.dtype)
        history = {"score": np.stack(scores, 1), "loss": np.stack(losses, 1)}
        return Found(values, extras={"mask": mask, "history": history})


class _Game:
    """What is lost or kept under masks of some rows."""

    def __init__(
        self, method: MeaningfulPerturbation, problem: Problem, space: Mapping[str, tuple[int, ...] | None]
    ) -> None:
        self.method, self.problem = method, problem
        self.players = None if problem.grouping is None else OfPlayers(problem.players)
        self.canvases: dict[str, Canvas] = {}
        for name, x in problem.features.items():
            axes = space[name]
            within = None if axes is None else tuple(k - 1 for k in axes)
            sizes = method.mask_size, method.mask_sigma, method.jitter - 1
            self.canvases[name] = canvas(x.shape[1:], within, *sizes)
        self.parts = _parts(problem)
        self.smooth = [k for k, axes in space.items() if axes is not None and self.players is None]
        here = problem.scores().astype(np.float64)
        there = problem.at(problem.baselines).walk().score.astype(np.float64)
        far = np.abs(here - there) > 1e-6 * np.abs(here)
        self.scale = np.where(far, np.abs(here - there), 1.0)
        self.zero, self.bounded = there, method.bounded & far & (here > there)

    def start(self) -> dict[str, FloatArray]:
        """Return the first mask."""
        n, init = self.problem.n, self.method.init
        if self.players is not None:
            return {"players": np.full((n, self.problem.players.count), init)}
        return {k: np.full((n, *c.cells), init) for k, c in self.canvases.items()}

    def spread(self, mask: Mapping[str, FloatArray], shift: IntArray) -> dict[str, FloatArray]:
        """Return a mask at the places of the features."""
        if self.players is not None:
            return self.players.spread(mask["players"])
        return {k: c.spread(mask[k], shift) for k, c in self.canvases.items()}

    def at(
        self, mask: Mapping[str, FloatArray], shift: IntArray
    ) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        """Return score and loss, (n,), and the loss's gradient at the mask."""
        features, baselines = self.problem.features, self.problem.baselines
        points, ways = {}, {}
        for name, m in self.spread(mask, shift).items():
            ways[name] = features[name] - baselines[name]
            points[name] = (baselines[name] + m * ways[name]).astype(features[name].dtype)
        answer = self.problem.at(points).walk()
        given = {k: answer.values[k] * way for k, way in ways.items()}
        sign = 1.0 if self.method.game == "deletion" else -1.0
        if self.players is not None:
            slope = {"players": self.players.gather(given)}
        else:
            slope = {k: c.gather(given[k], shift) for k, c in self.canvases.items()}
        score = answer.score.astype(np.float64)
        reached = (score - self.zero) / self.scale
        best = 0.0 if sign > 0 else -1.0
        loss = np.where(self.bounded, np.maximum(sign * reached, best), sign * reached)
        counts = np.where(self.bounded & (sign * reached <= best), 0, 1 / self.scale)
        for name, m in mask.items():
            slope[name] = sign * (slope[name] * counts.reshape(-1, *(1,) * (m.ndim - 1)) - self.method.l1)
            size = (1 - m if sign > 0 else m).reshape(len(m), -1).sum(1)
            loss = loss + self.method.l1 * size
            if name in self.smooth:
                rough, rougher = roughness(m, self.method.tv_beta)
                loss = loss + self.method.tv * rough
                slope[name] += self.method.tv * rougher
        return score, loss, slope


def _parts(problem: Problem) -> dict[str, int]:
    """Return how many numbers add up to each token's, for features that are embeddings."""
    driver, axes = problem.driver, problem.driver.layout.axes
    made: dict[str, int] = {}
    for info in inputs_of(driver.programs.source.model.graph):
        if info.role not in ("token", "number") or info.name not in driver.fixed:
            continue
        each = driver.fixed[info.name].size // (1 if axes[info.name] is None else driver.layout.n)
        for entry in info.entries:
            if entry in problem.features:
                size = problem.features[entry].size // problem.n
                made[entry] = len(info.entries) * max(size // max(each, 1), 1)
    return made
