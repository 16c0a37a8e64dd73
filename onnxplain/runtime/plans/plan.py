"""What a plan is: at which points a model is asked, what is asked there, and what becomes of the answers."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.backward.asks import Ask, Probe, Scores, Walk
from onnxplain.checks import Check, Completeness, Conservation, StandardError, Unchecked
from onnxplain.records import record
from onnxplain.runtime.problem import Problem

__all__ = [
    "Answers",
    "Anywhere",
    "Attributes",
    "Combination",
    "Found",
    "InOrder",
    "Kind",
    "Plan",
    "Points",
    "SamePlayers",
    "Sums",
    "innermost",
]

#: What the sum of the attributions must be: the score's difference from that at the baselines, or the score.
Kind = Literal["completeness", "conservation"]


@record
class Found:
    """What a method found.

    Attributes
    ----------
    values
        By feature, (n, ...).
    reference
        (n,): what the attributions of each row must sum to; None if nothing is promised.
    kind
        What kind of sum that is.
    errors
        By feature, (n, ...): the standard error of the values, for estimates.
    extras
        Whatever else the method knows: arrays, or arrays by feature.
    total
        (n,): the sum over players, where a player's elements each bear its whole number; None: over elements.
    notes
        What a person may want to know of how it was found.
    score
        (n,): what is explained, where that is made of the score, and not the score itself.
    """

    values: Mapping[str, Array]
    reference: FloatArray | None = None
    kind: Kind = "completeness"
    errors: Mapping[str, Array] | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    total: FloatArray | None = None
    notes: tuple[str, ...] = ()
    score: FloatArray | None = None

    @property
    def check(self) -> Check:
        """What can be checked of the values: the promised sum, or else their standard error."""
        if self.reference is None:
            return Unchecked() if self.errors is None else StandardError.of(self.errors, self.values)
        parts = (v.reshape(len(v), -1).astype(np.float64).sum(1) for v in self.values.values())
        total = sum(parts) if self.total is None else self.total
        delta = np.asarray(total - self.reference)
        return (Completeness if self.kind == "completeness" else Conservation)(self.reference, delta)


@record
class Answers:
    """What was answered at m points of n rows.

    Attributes
    ----------
    values
        By feature, (m, n, ...).
    score
        (m, n), where the model itself was asked.
    reference
        (m, n): what the values at each point must sum to, if anything.
    kind
        What kind of sum that is.
    errors
        By feature, (m, n, ...): standard errors of the values, if they are known.
    total
        (m, n): sums over players, where elements share a player's number.
    notes
        Of how they were found.
    probed
        Values inside, by name, (m, n, ...), where they were asked for.
    """

    values: Mapping[str, Array]
    score: FloatArray | None
    reference: FloatArray | None
    kind: Kind
    errors: Mapping[str, Array] = field(default_factory=dict)
    total: FloatArray | None = None
    notes: tuple[str, ...] = ()
    probed: Mapping[str, Array] = field(default_factory=dict)

    def part(self, points: slice) -> Answers:
        """Return what was answered at some of the points."""
        values, errors, probed = (
            {k: v[points] for k, v in of.items()} for of in (self.values, self.errors, self.probed)
        )
        score, reference, total = (
            None if v is None else v[points] for v in (self.score, self.reference, self.total)
        )
        return Answers(values, score, reference, self.kind, errors, total, self.notes, probed)


class Points(Protocol):
    """A recipe for points: for each row of a problem, the same number of others near it."""

    def count(self, problem: Problem) -> int:
        """Return how many points there are for a row."""

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Make some of the points: all rows at the first of them, then all at the second..."""


class SamePlayers:
    """Marks recipes of which all rows must have the same players; rows that have others are run apart."""


class Sums(Protocol):
    """What has been added up of the answers for some rows."""

    def add(self, steps: slice, answers: Answers) -> None:
        """Add the answers at some of the points."""

    def found(self) -> Found:
        """Return what came out, by row."""


class InOrder:
    """Marks sums that add up one point after the other: no bit depends on how these are cut into blocks."""


class Anywhere(abc.ABC):
    """Marks sums that add answers up where these are: on a GPU, nothing of them comes back before the end.

    Attributes
    ----------
    problem
        The rows, which lie there, too.
    """

    problem: Problem

    @abc.abstractmethod
    def fetch(self) -> None:
        """Bring what was added up to the host, if it is elsewhere."""


class Combination(Protocol):
    """What becomes of answers: a linear map, or moments; whatever is added up is added up in float64."""

    #: Whether what the answers' values must sum to tells what the result's must.
    keeps_sums: ClassVar[bool]

    def ends(self, *, checked: bool) -> bool:
        """Tell whether the scores at the rows themselves are needed."""

    def begin(self, problem: Problem, count: int, *, checked: bool) -> Sums:
        """Begin to add up answers at this many points of a problem's rows.

        Parameters
        ----------
        problem
            The rows.
        count
            How many points there are.
        checked
            Whether the result is to say what it must sum to.
        """


@runtime_checkable
class Attributes(Protocol):
    """Finds attributions in a way of its own: a method.

    What is found in ``extras["score"]``, (n,), stands for the scores where a plan adds these up.
    """

    def attribute(self, problem: Problem) -> Found:
        """Explain all rows of a problem."""


@dataclass(frozen=True)
class Plan:
    """A method that does not look at answers before it chooses its next points.

    Attributes
    ----------
    points
        Where to ask.
    question
        What to ask there: one of the three questions, another plan, or a method that chooses its points as
        it goes.
    combination
        What to make of the answers.
    what
        What the bar is called.
    """

    points: Points
    question: Inner
    combination: Combination
    what: str = "explaining"


Inner: TypeAlias = "Ask | Plan | Attributes"


def innermost(question: Inner) -> Ask | None:
    """Return what is asked of the model in the end; None if a method decides as it goes."""
    while isinstance(question, Plan):
        question = question.question
    return question if isinstance(question, (Scores, Walk, Probe)) else None
