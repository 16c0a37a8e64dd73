"""``method="auto"``: the most exact method that a model allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from onnxplain.attribution import Attribution
from onnxplain.errors import (
    DataInputError,
    MethodError,
    NotExplainableError,
    UnsupportedOperatorError,
    UnsupportedRuleError,
)
from onnxplain.features.removal import REMOVALS, Background
from onnxplain.graph import facts
from onnxplain.graph.classic.trees import is_ensemble
from onnxplain.graph.interface import InputInfo
from onnxplain.methods import LRP, DeepLiftShap, FeatureAblation, KernelShap, LinearShap, Method, TreeShap

__all__ = ["AUTO", "explain_best"]

#: The name that stands for no method, but a choice.
AUTO = "auto"

_TABLE = 2  # axes
#: What may stand against a method in a model, and in its inputs (missing numbers, for walks).
_REFUSALS = (DataInputError, NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError)


@dataclass(frozen=True)
class _Candidate:
    method: Method
    baselines: Any
    why: str


def explain_best(
    explain: Callable[..., Attribution],
    graph: ir.Graph,
    inputs: Sequence[InputInfo],
    baselines: Any,
    *,
    grouped: bool,
    named: bool,
    parameters: Any,
) -> Attribution:
    """Explain by the first method that the model allows: exact, one walk back, or player by player.

    Parameters
    ----------
    explain
        Takes a method, and baselines by their name.
    graph, inputs
        The model, and what it takes.
    baselines
        As the user gives them; arrays are rows of a background.
    grouped
        Whether elements are put together.
    named
        Whether the user says what is explained; else no column of a table may be left out.
    parameters
        What else the user gives: there must be nothing.

    Returns
    -------
    Attribution
        Its notes say what was chosen, why, and what stood against the others.

    Raises
    ------
    MethodError
        If there are parameters.
    """
    if parameters:
        raise MethodError(f"method 'auto' takes no parameters, not {', '.join(parameters)}; name the method")
    against: list[str] = []
    *first, last = _candidates(graph, inputs, baselines, grouped=grouped, named=named)
    for candidate in first:
        found = _tried(explain, candidate)
        if isinstance(found, Attribution):
            return _noted(found, candidate, against)
        against.append(f"not {candidate.method.name}: {found}")
    return _noted(explain(last.method, baselines=last.baselines), last, against)


def _candidates(
    graph: ir.Graph, inputs: Sequence[InputInfo], baselines: Any, *, grouped: bool, named: bool
) -> Iterator[_Candidate]:
    """Yield what may do, the best first; the last one is for any model."""
    table = all(facts.rank(v) is not None and (facts.rank(v) or 0) <= _TABLE for v in graph.inputs)
    if any(is_ensemble(node) for node in graph):
        yield _Candidate(TreeShap(), baselines, "exact Shapley values of its trees")
    elif table:
        yield _Candidate(LinearShap(), baselines, "exact Shapley values of a score that is linear")
    left_out = table and not named and any(i.data and not i.explained for i in inputs)
    if any(i.explained for i in inputs) and not grouped and not left_out:
        walk = LRP() if baselines is None else DeepLiftShap()
        yield _Candidate(walk, baselines, "the score is shared out in one walk back")
    yield _Candidate(
        KernelShap(), baselines, "Shapley values by scores alone, exact where there are few players"
    )
    plain = baselines is None or isinstance(baselines, (int, float, str, Background, *REMOVALS))
    rows = baselines if plain else Background(baselines)
    yield _Candidate(FeatureAblation(), rows, "it asks for scores alone, and explains any model")


def _tried(explain: Callable[..., Attribution], candidate: _Candidate) -> Attribution | str:
    """Explain, or say what stands against it."""
    try:
        return explain(candidate.method, baselines=candidate.baselines)
    except _REFUSALS as error:
        return str(error)


def _noted(found: Attribution, chosen: _Candidate, against: Sequence[str]) -> Attribution:
    return replace(
        found, notes=(*found.notes, f"method auto chose {chosen.method.name}: {chosen.why}", *against)
    )
