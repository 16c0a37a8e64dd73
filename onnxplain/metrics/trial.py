"""What a metric looks at: a model, its samples, and their attributions; and what it may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.answering import Posed
from onnxplain.attribution import Attribution
from onnxplain.backward.asks import Scores
from onnxplain.errors import MethodError
from onnxplain.explainer import Explainer
from onnxplain.features.players import Players
from onnxplain.methods import Method
from onnxplain.metrics.each import of_rows
from onnxplain.metrics.points import Made, Without
from onnxplain.runtime import axes as moved
from onnxplain.runtime.plans.combinations import Each
from onnxplain.runtime.plans.plan import Plan, Points
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem
from onnxplain.targets.weights import Weights

__all__ = ["Trial", "by_feature"]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a metric looks at.

    Samples are rows, in all arrays the first axis; features are the inputs (or values inside) that were
    explained.

    Attributes
    ----------
    explainer
        Of the model.
    posed
        The samples as a problem: its baselines stand where features are taken away, its players are what is
        taken away together.
    values
        The attributions, float64 (n, ...) by feature, shaped like ``features``.
    masks
        The ground truth, bool (n, ...) by feature; None if it was not given.
    method
        What explains; None where attributions were given ready.
    target
        What is explained, as it was given.
    options
        What the explainer is told besides, when it explains again.
    pooled
        Whether each element holds its player's whole attribution.
    attribution
        What the method found at the samples themselves; None where attributions were given ready.
    """

    explainer: Explainer
    posed: Posed
    values: dict[str, FloatArray]
    masks: dict[str, Array] | None = None
    method: Method | None = None
    target: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pooled: bool = False
    attribution: Attribution | None = None

    @property
    def problem(self) -> Problem:
        """The samples, as methods work on them."""
        return self.posed.problem

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.problem.n

    @property
    def features(self) -> Arrays:
        """What is varied, (n, ...) by name."""
        return self.problem.features

    @property
    def baselines(self) -> Arrays:
        """What stands where features are taken away, (n, ...) by name."""
        return self.problem.baselines

    @property
    def players(self) -> Players:
        """What is taken away together: single elements, unless a ``feature_mask`` was given."""
        return self.problem.players

    @cached_property
    def score(self) -> FloatArray:
        """(n,): the explained scores, float64."""
        return self.problem.scores().astype(np.float64)

    @property
    def flat(self) -> FloatArray:
        """(n, D): the attributions of all elements in a row."""
        return np.asarray(_flat(self.values, np.float64))

    @property
    def flat_masks(self) -> Array:
        """Bool (n, D): the ground truth of all elements in a row."""
        assert self.masks is not None  # Metric.needs_masks
        return np.asarray(_flat(self.masks, bool))

    @cached_property
    def present(self) -> Array:
        """Bool (n, P): which players a sample has; images may have different numbers of segments."""
        there = np.zeros((self.n, self.players.count + 1), bool)
        for ids in self.players.ids.values():
            full = np.broadcast_to(ids, (self.n, *ids.shape[1:])).reshape(self.n, -1)
            np.put_along_axis(there, full, values=True, axis=1)
        return there[:, :-1]

    @cached_property
    def weights(self) -> FloatArray:
        """(n, P): the attribution of each player, the sum of those of its elements; 0 of who is not there."""
        sums = np.zeros((self.n, self.players.count + 1))
        sizes = np.zeros_like(sums)
        for name, ids in self.players.ids.items():
            full = np.broadcast_to(ids, (self.n, *ids.shape[1:])).reshape(self.n, -1)
            rows = np.broadcast_to(np.arange(self.n)[:, None], full.shape)
            np.add.at(sums, (rows, full), self.values[name].reshape(self.n, -1))
            np.add.at(sizes, (rows, full), 1.0)
        if self.pooled:
            sums /= np.maximum(sizes, 1)
        return sums[:, :-1]

    def with_values(self, values: dict[str, FloatArray]) -> Trial:
        """Return the same trial of other attributions."""
        return replace(self, values=values)

    def scores(self, points: Points) -> FloatArray:
        """Return the scores at points, float64 (n, count), run in blocks that fit."""
        found = run(Plan(points, Scores(), Each(), "measuring"), self.problem)
        scores: FloatArray = found.extras["scores"]
        return scores

    def without(self, steps: int, kept: Callable[[slice, IntArray], Array]) -> FloatArray:
        """Return the scores without some players, float64 (n, steps).

        Parameters
        ----------
        steps
            How many choices there are.
        kept
            Who stays: from some of the steps and the numbers of samples, (r,), to bool (m, r, P).
        """
        return self.scores(Without(steps, kept))

    def at(self, steps: int, make: Callable[[Problem, slice], Arrays]) -> FloatArray:
        """Return the scores at points that a function makes, float64 (n, steps); see :class:`Made`."""
        return self.scores(Made(steps, make))

    def outputs(self, points: Arrays, rows: IntArray) -> Array:
        """Return the model's output, as the model gives it, at points.

        Parameters
        ----------
        points
            (m, ...) by feature.
        rows
            (m,): the sample that each of them is near.
        """
        driver, problem = self.problem.driver, self.problem
        near = problem.points.take(rows)
        near = replace(near, features={**near.features, **points})
        answer = driver.ask(Scores(), near, predictions=True)
        return self.posed.about.rows(np.asarray(answer.predictions))

    def explain(self, points: Arrays, rows: IntArray, *, target: Any = None) -> dict[str, FloatArray]:
        """Explain points by the method: what is explained is the samples' own target, not what is predicted.

        Parameters
        ----------
        points
            (m, ...) by feature; those that are left out stay as they are.
        rows
            (m,): the sample that each of them is near.
        target
            Another target, for each of the points.

        Returns
        -------
        dict of arrays, float64 (m, ...) by feature.

        Raises
        ------
        MethodError
            If there is no method, or what is explained is no input.
        """
        asked = self.targets(rows) if target is None else target
        return self.explained_by(self.explainer, points, rows, asked)

    def explained_by(
        self, explainer: Explainer, points: Arrays, rows: IntArray, target: Any
    ) -> dict[str, FloatArray]:
        """Explain points by the method, of another model with the same inputs; see :meth:`explain`."""
        if self.method is None:
            raise MethodError("this metric explains anew; give it a method, not ready attributions")
        layout, given = self.posed.samples.layout, self.posed.samples.arrays
        strange = [k for k in self.features if k not in given]
        if strange:
            raise MethodError(
                f"'{strange[0]}' is a value inside the model, and this metric explains other inputs; "
                "measure attributions of inputs"
            )
        fed: Arrays = {}
        for name, array in given.items():
            axis = layout.axes[name]
            if name in self.features:
                fed[name] = moved.laid_out(points.get(name, self.features[name][rows]), axis)
            else:
                fed[name] = array if axis is None else np.take(array, rows, axis=axis)
        options: dict[str, Any] = {**self.options, "method": self.method, "wrt": tuple(self.features)}
        for name in ("feature_mask", *(("baselines",) if not self.method.reads_rows() else ())):
            options[name] = of_rows(options.get(name), self.posed.samples, rows)
        if layout.whole:  # the arrays are one sample, which cannot lie beside others
            parts = []
            for m in range(len(rows)):
                one = target[m] if isinstance(target, list) else target
                alone = given | {k: v[m] for k, v in points.items()}
                parts.append(by_feature(explainer(alone, one, **options)))
            return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        return by_feature(explainer(fed, target, **options))

    def targets(self, rows: IntArray) -> Any:
        """Return the targets of some samples, as the explainer takes them."""
        kind, target = self.problem.driver.question.target, self.problem.target[rows]
        if kind == "weights":
            return Weights(target)
        if kind not in ("index", "predicted"):
            return self.target
        if target.shape[1] == 0:
            return None
        if target.shape[1] == 1:
            return [int(t) for t in target[:, 0]]
        return [tuple(int(t) for t in row) for row in target]


def by_feature(found: Attribution) -> dict[str, FloatArray]:
    """Return attributions with samples first, float64 by feature."""
    made: dict[str, FloatArray] = {}
    for name, array in found.arrays.items():
        made[name] = moved.first(array, found.sample_axes.get(name, 0)).astype(np.float64)
    return made


def _flat(arrays: Mapping[str, Array], dtype: Any) -> Array:
    return np.concatenate([v.reshape(len(v), -1).astype(dtype) for v in arrays.values()], axis=1)
