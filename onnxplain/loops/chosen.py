"""Which plan a method is in a file, where it is known who plays and what stands for those who are absent."""

from __future__ import annotations

from dataclasses import replace

from onnxplain._types import Arrays
from onnxplain.backward.asks import Probe, Scores, Walk
from onnxplain.errors import MethodError
from onnxplain.features.players import Players
from onnxplain.methods.base import Method, OnePass
from onnxplain.methods.inner.neurons import ThroughNeuron
from onnxplain.runtime.plans.combinations import Mean
from onnxplain.runtime.plans.plan import Inner, Plan
from onnxplain.runtime.plans.points import Backgrounds

__all__ = ["plan_of", "refuse_unplanned"]


def plan_of(
    method: Method, players: Players | None, features: Arrays, background: Arrays
) -> tuple[Plan, Players | None]:
    """Return a method as data, methods inside it too, and the players as it counts them.

    Parameters
    ----------
    method
        Any but those of one walk back.
    players
        Who plays; None: each element.
    features
        Arrays in the shape of one sample, (1, ...), by feature.
    background
        (M, ...) by feature.  A method that does not look at these itself is averaged over them, each as
        baseline for all samples, as :func:`onnxplain.methods.attributions` does.

    Raises
    ------
    MethodError
        If the method's points depend on answers, or cannot be held by a file.
    """
    if background and not method.wants_background():
        question, counted = _question(method, players, features, {})
        return Plan(Backgrounds(), question, Mean(), method.name), counted
    question, counted = _question(method, players, features, background)
    assert isinstance(question, Plan)
    return question, counted


def refuse_unplanned(method: Method) -> None:
    """Refuse a method that is never a plan, before it is asked what goes with it.

    Raises
    ------
    MethodError
        If the method's points depend on answers, or it asks the model for none.
    """
    if type(method).plan_for is Method.plan_for and method.plan() is None:
        raise _no_file(method)


def _no_file(method: Method) -> MethodError:
    return MethodError(
        f"method '{method.name}' {method.no_file}, and cannot be one graph; run it with the Explainer"
    )


def _question(
    asked: Inner, players: Players | None, features: Arrays, background: Arrays
) -> tuple[Inner, Players | None]:
    """Return what is asked, with plans in the place of methods."""
    if isinstance(asked, (Scores, Walk, Probe, ThroughNeuron)):
        return asked, players
    if isinstance(asked, OnePass):
        return asked.needs(), players
    if isinstance(asked, Plan):
        question, counted = _question(asked.question, players, features, background)
        return replace(asked, question=question), counted
    if not isinstance(asked, Method):
        raise MethodError(
            f"what {type(asked).__name__} looks for at the points cannot be written into a file; run it with "
            "the Explainer"
        )
    found = asked.plan_for(players, features, background)
    if found is None:
        raise _no_file(asked)
    return _question(found[0], found[1], features, background)
