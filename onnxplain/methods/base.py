"""What every method is: a frozen dataclass of parameters that turns a problem into attributions."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.composite import Composite
from onnxplain.backward.program import Combine, Question
from onnxplain.errors import MethodError
from onnxplain.methods.problem import Problem
from onnxplain.options import check_fields

__all__ = ["Found", "Method", "OnePass"]


@dataclass(frozen=True)
class Found:
    """What a method found.

    Attributes
    ----------
    values
        By feature, (n, ...).
    score
        (n,): the explained score at the given features.
    reference
        (n,): what the attributions of each row must sum to, or None if nothing is promised.
    extras
        Whatever else the method knows (standard errors, say).
    predictions
        The model's output, if the method's one walk brought it along.
    """

    values: Arrays
    score: FloatArray
    reference: FloatArray | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    predictions: Array | None = None


class Method(abc.ABC):
    """An explanation method.

    Subclasses are frozen dataclasses; their fields are their parameters, and are checked by their annotations
    (see :mod:`onnxplain.options`).
    """

    #: Name by which the method is found.
    name: ClassVar[str]

    #: Whether the baselines of a call are many references, each for all samples.
    takes_distribution: ClassVar[bool] = False

    #: Whether the method starts from baselines, or compares with them.
    takes_baselines: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self, MethodError)

    def question(self, question: Question) -> Question:
        """Return what the method's walks ask, given the question of a plain gradient."""
        return question

    def wants_baselines(self) -> bool:
        """Return whether baselines change what this method, with its parameters, finds."""
        return self.takes_baselines

    @abc.abstractmethod
    def attribute(self, problem: Problem) -> Found:
        """Explain all rows of a problem."""


class OnePass(Method):
    """A method that is one walk back: it exports into the model's graph."""

    @abc.abstractmethod
    def rules(self) -> Composite:
        """Return the rules to walk by."""

    def combination(self) -> Combine:
        """Return what becomes of the walk's result."""
        return "raw"

    def accounts(self) -> bool:
        """Return whether to say how much of what arrives each node keeps."""
        return False

    def wants_baselines(self) -> bool:
        """Return whether the rules compare with a reference."""
        return self.rules().reference

    def question(self, question: Question) -> Question:
        """Ask for the walk that the rules describe."""
        return replace(question, composite=self.rules(), combine=self.combination(), account=self.accounts())

    def attribute(self, problem: Problem) -> Found:
        """Walk back once."""
        rules = self.rules()
        walk = problem.walk(rules, self.combination(), account=self.accounts())
        reference = walk.score if rules.seed == "score" else None
        extras = {"kept": {k: np.asarray(v) for k, v in walk.kept.items()}} if self.accounts() else {}
        return Found(walk.values, walk.score, reference, extras, walk.predictions)
