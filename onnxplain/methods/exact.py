"""Exact Shapley values of scores that are sums: of what single players make, and of trees."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Scores
from onnxplain.errors import NotExplainableError
from onnxplain.methods.base import Method
from onnxplain.runtime.additive import Parts, Trees, find_parts, numbers_of, weights_of
from onnxplain.runtime.driver import Answer, Driver
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["Exact", "Numbers", "OfTrees", "Sum", "against"]

#: Rows that are explained at a time where a bar shows how far it is.
_BEHIND_A_BAR = 8192


@dataclass(frozen=True, eq=False)
class OfTrees:
    """What trees contribute to n rows, by each of their K scores.

    Attributes
    ----------
    values
        (n, P, K): by player.
    surplus
        (n, K): what the values sum to: the score less what is expected of it.
    pairs
        (n, P, P, K): by two players, if asked for.
    """

    values: FloatArray
    surplus: FloatArray
    pairs: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Sum:
    """The values of n rows.

    Attributes
    ----------
    values
        (n, P): by player.
    surplus
        (n,): what they must sum to.
    pairs
        (n, P, P): by two players, if asked for.
    score
        (n,): what is explained, where that is not the score itself.
    notes
        What to say of it.
    """

    values: FloatArray
    surplus: FloatArray
    pairs: FloatArray | None = None
    score: FloatArray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Numbers:
    """What the parts of a score are for n rows of a problem, and for the M rows of their background.

    Attributes
    ----------
    parts
        The sum that the score is.
    here, absent
        What the model says of the rows and of the background.
    weights
        How much each element of each part counts in each row's score.
    alike
        Rows of which the background is asked the same as of the first: about the same target, with the same
        beside it.
    players
        How many there are.
    driver
        Of the model: where it runs, and whether a bar is shown.
    """

    parts: Parts
    here: Answer
    absent: Answer
    weights: Arrays
    alike: Array
    players: int
    driver: Driver


class Exact(Method, abc.ABC):
    """A method for scores that are sums of what single players make, and of trees.

    That a score is such a sum is proven by the graph (:mod:`onnxplain.graph.columns`), and what the sum is
    made of is computed by the model's own nodes.  What is absent is drawn from the background, whole rows.
    """

    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    no_file: ClassVar[str] = "reads what single players contribute out of the model, and asks it nothing"

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def margins(self) -> bool:
        """Explain what enters a closing Sigmoid."""
        return True

    @abc.abstractmethod
    def of_trees(self, trees: Trees, x: Array, background: Array, count: int, device: str) -> OfTrees:
        """Return what an ensemble contributes.

        Parameters
        ----------
        trees
            The ensemble.
        x, background
            (n, columns) and (M, columns): what enters it.
        count
            Number of players.
        device
            Where the model runs: ``"cpu"`` or ``"cuda"``.
        """

    def attribute(self, problem: Problem) -> Found:
        """Explain all rows, those with the same players and the same background together."""
        problem = problem.resolved()
        sums = [self.summed(part) for part in self.alike(problem)]
        values = np.concatenate([s.values for s in sums])
        extras = {}
        if sums[0].pairs is not None:
            extras["interactions"] = np.concatenate([np.asarray(s.pairs) for s in sums])
        return Found(
            problem.players.spread(values),
            np.concatenate([s.surplus for s in sums]),
            extras=extras,
            total=values.sum(1),
            score=None if sums[0].score is None else np.concatenate([np.asarray(s.score) for s in sums]),
            notes=tuple(dict.fromkeys(note for s in sums for note in s.notes)),
        )

    def remarks(self, parts: Parts) -> tuple[str, ...]:
        """Return what to say of the parts."""
        return ()

    def alike(self, problem: Problem) -> Iterator[Problem]:
        """Cut a problem into rows with the same players and the same background."""
        own = any(len(v) > 1 for v in problem.players.ids.values())
        if problem.n == 1 or (problem.background and not own and (not _aside(problem) or _apart(problem))):
            yield problem
            return
        for row in range(problem.n):
            yield problem.take(slice(row, row + 1))

    def summed(self, problem: Problem) -> Sum:
        """Explain rows that have the same players and the same background."""
        return self.added(self.numbers(problem))

    def numbers(self, problem: Problem) -> Numbers:
        """Compute all that is added up, once for all rows of the background."""
        aside = problem.n > 1 and _aside(problem)
        parts, there = find_parts(problem, aside=aside), against(problem)
        here, absent = numbers_of(parts, problem), numbers_of(parts, there)
        weights = weights_of(parts, problem, here.probed)
        alike = (problem.target == problem.target[:1]).reshape(problem.n, -1).all(1)
        alike &= (np.arange(problem.n) == 0) | (not aside)
        return Numbers(parts, here, absent, weights, alike, problem.players.count, problem.driver)

    def added(self, numbers: Numbers, some: slice = slice(None)) -> Sum:
        """Add up, against some rows of the background."""
        parts, here, weights, count = numbers.parts, numbers.here, numbers.weights, numbers.players
        absent = {k: v[some] for k, v in numbers.absent.probed.items()}
        n = len(numbers.alike)
        values, surplus = np.zeros((n, count)), np.zeros(n)
        pairs: FloatArray | None = None
        for piece in parts.pieces:
            x, b = _flat(here.probed[piece.name]), _flat(absent[piece.name])
            gained = weights[piece.name] * (x - b.mean(0)) * (piece.owners >= 0)
            surplus += gained.sum(1)
            values += _by_player(gained, piece.owners, count)
        alone = values.copy()
        for trees in parts.trees:
            w, x = weights[trees.scores], here.probed[trees.input]
            made = self.beside(trees, x, absent[trees.input], count, numbers.driver)
            values += np.einsum("npk,nk->np", made.values, w)
            surplus += (made.surplus * w).sum(1)
            if made.pairs is not None:
                own = np.einsum("npqk,nk->npq", made.pairs, w)
                pairs = own if pairs is None else pairs + own
        if pairs is not None:
            pairs[:, np.arange(count), np.arange(count)] += alone
        difference = here.score.astype(np.float64) - numbers.absent.score[some].astype(np.float64).mean()
        self.confirm(parts, difference[numbers.alike], surplus[numbers.alike])
        return Sum(values, surplus, pairs, notes=self.remarks(parts))

    def beside(self, trees: Trees, x: Array, background: Array, count: int, driver: Driver) -> OfTrees:
        """Return what an ensemble contributes, where rows differ in columns that are nobody's.

        These are the rows' own in the background, too: rows that have the same there go together.
        """
        nobody, device = trees.owners < 0, driver.programs.device
        size = _BEHIND_A_BAR if driver.progress else len(x)
        blocks = [rows[k : k + size] for rows in _same(x[:, nobody]) for k in range(0, len(rows), size)]
        made = []
        with driver.bar(len(blocks), self.name) as bar:
            for rows in blocks:
                there = background.copy() if nobody.any() else background
                there[:, nobody] = x[rows[:1]][:, nobody]
                made.append(self.of_trees(trees, x[rows], there, count, device))
                bar.update()
        if len(made) == 1:
            return made[0]
        order = np.argsort(np.concatenate(blocks))
        pairs = [of.pairs for of in made if of.pairs is not None]
        return OfTrees(
            np.concatenate([of.values for of in made])[order],
            np.concatenate([of.surplus for of in made])[order],
            np.concatenate(pairs)[order] if pairs else None,
        )

    def confirm(self, parts: Parts, difference: FloatArray, surplus: FloatArray) -> None:
        """Compare what the parts add up to with what the model itself says.

        Raises
        ------
        NotExplainableError
            If they differ by more than float32 does.
        """
        size = max(1.0, float(np.abs(difference).max(initial=0.0)))
        if not np.allclose(difference, surplus, rtol=1e-2, atol=1e-3 * size):
            raise NotExplainableError(
                f"the score, taken for a sum of {', '.join(parts.summed)}, is none: a fault of onnxplain; "
                "please report it with the model, and use kernel_shap meanwhile"
            )


def _aside(problem: Problem) -> bool:
    """Tell whether rows may differ in what is nobody's, or in inputs that are not explained."""
    driver = problem.driver
    beside = any(driver.layout.axes[k] is not None for k in driver.fixed)
    return beside or any((v < 0).any() for v in problem.players.ids.values())


def _apart(problem: Problem) -> bool:
    """Tell whether what depends on these is made of nothing else."""
    try:
        find_parts(problem, aside=True)
    except NotExplainableError:
        return False
    return True


def _same(table: Array) -> list[IntArray]:
    """Sort rows, (n, ...), by what they hold, bit by bit (so that missing numbers are alike)."""
    if not table.shape[1]:
        return [np.arange(len(table))]
    bits = np.ascontiguousarray(table).view(np.uint8).reshape(len(table), -1)
    which = np.unique(bits, axis=0, return_inverse=True)[1].ravel()
    ends = np.cumsum(np.bincount(which))[:-1]
    return [np.asarray(rows) for rows in np.split(np.argsort(which, kind="stable"), ends)]


def against(problem: Problem) -> Problem:
    """Return the background as rows of a problem, for rows that share it.

    What is nobody's, and inputs that are not explained, stay those of the rows.
    """
    ids = problem.players.ids
    rows = problem.background or {k: v[:1] for k, v in problem.baselines.items()}
    made = {k: np.where(ids[k][:1] < 0, problem.features[k][:1], v) for k, v in rows.items()}
    made = {k: v.astype(problem.features[k].dtype) for k, v in made.items()}
    m = len(next(iter(made.values())))
    return replace(
        problem,
        features=made,
        baselines=made,
        background={},
        rows=np.repeat(problem.rows[:1], m),
        target=np.repeat(problem.target[:1], m, axis=0),
        grouping=problem.players.take(slice(0, 1)),
        known=None,
        given=False,
    )


def _flat(array: Array) -> FloatArray:
    return array.reshape(len(array), -1).astype(np.float64)


def _by_player(gained: FloatArray, owners: IntArray, count: int) -> FloatArray:
    """Add up (n, elements) by player, (n, P)."""
    made = np.zeros((count + 1, len(gained)))  # the last one is nobody's
    np.add.at(made, owners, gained.T)
    return np.asarray(made[:count].T)
