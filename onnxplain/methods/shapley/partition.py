"""Owen values over a hierarchy of players."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from onnxplain._types import Arrays, IntArray
from onnxplain.errors import MethodError
from onnxplain.features.hierarchy import Tree, correlated, given_tree, halves, is_hierarchy, nearby
from onnxplain.features.players import Players, elements
from onnxplain.methods.shapley.game import Game
from onnxplain.methods.shapley.permutation import MORE
from onnxplain.options import Count, Positive, Seed
from onnxplain.runtime.plans.games.owen import Owen, contexts
from onnxplain.runtime.plans.games.settle import Design, settle
from onnxplain.runtime.plans.games.walks import Walks
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import gathered
from onnxplain.runtime.problem import Problem

__all__ = ["PartitionShap"]

#: Coalitions that are written down at most, and how often each is met.
_LISTED, _REPEATED = 1 << 16, 8


@dataclass(frozen=True)
class PartitionShap(Game):
    """Owen values (Owen 1977) over a hierarchy, as of shap's PartitionExplainer.

    ``A_i`` is the mean of what player i adds, over all orders in which the players of each node of the
    hierarchy are not parted by others.  Exact where ``n_samples`` is enough for all such coalitions (about
    ``4/3 P^2`` of P players that are halved again and again); else by random such orders, each walked forward
    and backward, with standard errors.  (shap's asks the parts first that matter most, and shares out evenly
    what is below where it stops.)

    Parameters
    ----------
    link
        ``"identity"`` or ``"logit"``, see :class:`ExactShapley`.
    hierarchy
        ``"adjacent"``: players are halved by where they lie, along the longest axis, as shap does with texts
        and images, and segments of each image are by their centres.  ``"correlation"``: columns that go
        together in the background, joined by average linkage of ``1 - |correlation|``.  Or one's own: nested
        tuples of players as ``feature_mask`` numbers them, ``((0, 1), (2, 3, 4))``; or a linkage of SciPy's.
    n_samples
        Coalitions.  None: 500, or 20 for each player if that is more; with ``tol`` at most 100 times as many.
    tol, seed
        As of :class:`ShapleyValueSampling`; so are ``extras``.

    Raises
    ------
    MethodError
        If the hierarchy has other players, or ``n_samples`` is less than one order needs, twice the number of
        players.
    DataInputError
        If there is no background to correlate.
    NotFiniteError
        If a score has no log-odds.
    """

    name: ClassVar[str] = "partition_shap"
    leaves_out: ClassVar[bool] = False
    cost: ClassVar[str] = "n_samples forwards at most, times background rows"
    hierarchy: Literal["adjacent", "correlation"] | tuple[Any, ...] = "adjacent"
    n_samples: Count | None = None
    tol: Positive | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.hierarchy, str) and not is_hierarchy(self.hierarchy):
            raise MethodError(
                "PartitionShap: hierarchy holds other numbers than players; give 'adjacent', 'correlation', "
                "nested tuples of whole numbers from 0, each once, or a linkage (rows of 4 floats)"
            )

    @property
    def stop(self) -> float | None:
        """The tolerance."""
        return self.tol

    def attribute(self, problem: Problem) -> Found:
        """Play for all rows; in a hierarchy of one's own, players without elements bring nothing."""
        if isinstance(self.hierarchy, str):
            return super().attribute(problem)
        found = self.play(problem.resolved())
        return found if problem.grouping is not None else replace(found, total=None)

    def play(self, problem: Problem) -> Found:
        """Play for rows that have the same players, numbered by where they are."""
        players = problem.players
        if self.hierarchy == "adjacent":
            there = replace(problem, grouping=nearby(players, problem.features))
            found = settle(there, self.design(players.count), self.link, self.tol, self.name)
            return found if problem.grouping is not None else replace(found, total=None)
        if not isinstance(self.hierarchy, str):
            return self._settled(problem, given_tree(self.hierarchy, players.count))
        places = players.placed(problem.n)
        if len(places) == 1:
            return self._settled(problem, correlated(players, problem.background))
        problem.scores()  # of all rows, whose parts then know them
        parts = [problem.take(rows) for rows in places]
        return gathered(places, [self._settled(p, correlated(p.players, p.background)) for p in parts])

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players] | None:
        """Return all rounds as one, over the tree of these players."""
        players = players or elements(features)
        if self.hierarchy == "adjacent":
            there = nearby(players, features)
            return self.at_once(self.design(there.count), there)
        if not isinstance(self.hierarchy, str):
            tree = given_tree(self.hierarchy, players.count)
        else:
            tree = correlated(players, background)
        return self.at_once(self._over(tree, players.count), players)

    def _settled(self, problem: Problem, tree: Tree) -> Found:
        design = self._over(tree, problem.players.count)
        return settle(problem, design, self.link, self.tol, self.name)

    def design(self, players: int) -> Design:
        """Ask over the tree that halves players."""
        return self._over(halves(players), players)

    def _over(self, tree: Tree, players: int) -> Design:
        samples = self.n_samples or max(500, 20 * players) * (1 if self.tol is None else MORE)
        if contexts(tree) <= _REPEATED * min(samples, _LISTED):
            owen = Owen(tree, players)
            if sum(owen.sizes) <= samples:
                return owen
        least = 2 * (players - 1)
        if samples < least:
            raise MethodError(
                f"partition_shap asks for {least} coalitions along an order of {players} players and back, "
                f"not n_samples={samples}; give at least {least}, or put elements together (feature_mask=)"
            )
        return Walks(players, _Orders(tree, self.seed), samples // least, True, self.tol is not None)


@dataclass(frozen=True)
class _Orders:
    tree: Tree
    seed: int

    def __call__(self, number: int) -> IntArray:
        return self.tree.order(np.random.default_rng([self.seed, number]))
