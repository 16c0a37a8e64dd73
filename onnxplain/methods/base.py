"""What every method is: a frozen dataclass of parameters that says what it asks of a model, and where."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from onnxplain._types import Arrays
from onnxplain.backward.asks import Ask, Combine, Walk
from onnxplain.backward.composites.composite import Composite
from onnxplain.errors import MethodError
from onnxplain.features.players import Players
from onnxplain.options import check_fields
from onnxplain.runtime.plans.combinations import Mean
from onnxplain.runtime.plans.plan import Found, Inner, Kind, Plan
from onnxplain.runtime.plans.points import Backgrounds
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["Method", "OnePass", "Said", "attributions"]


class Said(NamedTuple):
    """What a method says of itself: what its methods of the same names return."""

    needs: Ask
    margins: bool
    layers: tuple[str, ...]
    wants_target: bool
    wants_background: bool
    reads_rows: bool
    default_baseline: str | None

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Leave it behind where the method is pickled: it is asked anew there."""
        return _nothing, ()


def _nothing() -> None:
    pass


#: Under this name a steady method keeps what it says.
_SAID = "_said"


class Method(abc.ABC):
    """An explanation method.

    Subclasses are frozen dataclasses; their fields are their parameters, and are checked by their annotations
    (see :mod:`onnxplain.options`).  They implement :meth:`plan`, or :meth:`attribute` where they look at
    answers before they choose their next points.
    """

    #: Name by which the method is found.
    name: ClassVar[str]

    #: What a sample costs, in forward and backward passes and by the names of parameters;
    #: who needs gradients says "backward".
    cost: ClassVar[str] = "1 forward, 1 backward"

    #: What the values sum to; empty where nothing is promised.
    sums_to: ClassVar[str] = ""

    #: Whether the method starts from baselines, or compares with them.
    takes_baselines: ClassVar[bool] = False

    #: Whether the method looks at all rows of a background itself; baselines given as arrays are such rows.
    takes_background: ClassVar[bool] = False

    #: What stands for what is taken away from images and volumes of floats if no baselines are given: a name.
    usual_baseline: ClassVar[str | None] = None

    #: Whether what is found depends on which score is explained; if not, it need not be said.
    takes_target: ClassVar[bool] = True

    #: Why the method cannot be written into a file, where it has no plan; completes "method 'm' ...".
    no_file: ClassVar[str] = "looks at answers before it chooses its next points"

    #: Whether the method keeps players or takes them away, so that users may say who plays.
    takes_players: ClassVar[bool] = False

    #: Whether what the method says of itself depends on its parameters alone, of which none is a method or
    #: names a value inside, so that it is asked once.  Subclasses do not inherit this: they may say another.
    steady: ClassVar[bool] = False

    def __init_subclass__(cls, **told: Any) -> None:
        super().__init_subclass__(**told)
        cls.steady = cls.__dict__.get("steady", False)

    def __post_init__(self) -> None:
        check_fields(self, MethodError)

    def said(self) -> Said:
        """Return what the method says of itself, which is remembered if it is :attr:`steady`."""
        known: Said | None = self.__dict__.get(_SAID)
        if known is not None:
            return known
        made = Said(
            self.needs(), self.margins(), self.layers(), self.wants_target(), self.wants_background(),
            self.reads_rows(), self.default_baseline(),
        )  # fmt: skip
        if self.steady:
            self.__dict__[_SAID] = made
        return made

    def needs(self) -> Ask:
        """Return what the method asks of a model: that is checked, and nothing else is compiled for it.

        Scores, walks back or values inside; the score itself may always be asked for.  A plain gradient
        unless the method says otherwise.
        """
        return Walk()

    def margins(self) -> bool:
        """Return whether to explain what enters a closing Sigmoid, as well as what enters a Softmax."""
        return False

    def wants_baselines(self) -> bool:
        """Return whether baselines change what this method, with its parameters, finds."""
        return self.takes_baselines

    def wants_background(self) -> bool:
        """Return whether this method, with its parameters, looks at all rows of a background itself."""
        return self.takes_background

    def reads_rows(self) -> bool:
        """Return whether baselines given as arrays are rows of a background, each one for all samples."""
        return self.wants_background()

    def wants_target(self) -> bool:
        """Return whether it must be said which score is explained."""
        return self.takes_target

    def wants_players(self) -> bool:
        """Return whether this method, with its parameters, keeps players or takes them away."""
        return self.takes_players

    def default_baseline(self) -> str | None:
        """Return the name of the baseline that this method, with its parameters, has where none is given."""
        return self.usual_baseline

    def layers(self) -> tuple[str, ...]:
        """Return the values inside the model that are explained while the inputs are what is varied.

        Attributions are in their shapes.  None: those of what is varied.
        """
        return ()

    @classmethod
    def rebuilt(cls, parameters: Mapping[str, Any]) -> Method:
        """Make the method from parameters that a file of results holds; no other file is opened.

        Raises
        ------
        MethodError, TypeError
            If they make none.
        """
        return cls(**parameters)

    def plan(self) -> Plan | None:
        """Return the method as data; None if it chooses its points as it goes."""
        return None

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players | None] | None:
        """Return the method as data where it is known who plays, and the players as it counts them.

        For files, in which these are the same for all samples.

        Parameters
        ----------
        players
            Who plays; None: each element.
        features
            Arrays in the shape of one sample, (1, ...), by feature.
        background
            (M, ...) by feature; empty if there is one baseline only.

        Returns
        -------
        None if the next points depend on answers, or for another reason (:attr:`no_file`).

        Raises
        ------
        MethodError
            If these parameters are what no file can hold.
        """
        plan = self.plan()
        return None if plan is None else (plan, players)

    def question(self) -> Inner:
        """Return what another method's plan asks to have this one at its points."""
        return self.plan() or self

    def attribute(self, problem: Problem) -> Found:
        """Explain all rows of a problem.

        Raises
        ------
        MethodError
            If a subclass implements neither this nor :meth:`plan`.
        """
        plan = self.plan()
        if plan is None:
            raise MethodError(
                f"the method {type(self).__name__} has neither plan() nor attribute(); implement one of them"
            )
        return run(plan, problem)


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

    def needs(self) -> Walk:
        """Return the walk that the rules describe."""
        return Walk(self.rules(), self.combination(), self.accounts())

    def wants_baselines(self) -> bool:
        """Return whether the rules compare with a reference."""
        return self.rules().reference

    def question(self) -> Walk:
        """Return the walk."""
        return self.needs()

    def attribute(self, problem: Problem) -> Found:
        """Walk back once."""
        known: Said | None = self.__dict__.get(_SAID)
        walk = self.needs() if known is None else known.needs
        assert isinstance(walk, Walk)
        answer = problem.ask(walk)
        extras = {"kept": {k: np.asarray(v) for k, v in answer.kept.items()}} if walk.account else {}
        kind: Kind = "completeness" if walk.composite.reference else "conservation"
        return Found(answer.values, answer.reference, kind, None, extras)


def attributions(method: Method, problem: Problem) -> Found:
    """Explain all rows; where there is a background, the mean over its rows, each as baseline for all."""
    if problem.background and not method.wants_background():
        return run(Plan(Backgrounds(), method.question(), Mean(), method.name), problem)
    return method.attribute(problem)
