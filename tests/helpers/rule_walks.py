"""Walks back by modified rules through the cases of :mod:`rule_cases`, on the reference evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from onnxplain.backward.difference.reference_input import add_reference, reference_of
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.ledger import kept_by_node
from onnxplain.backward.preparation import prepare
from onnxplain.errors import NotExplainableError, UnsupportedRuleError
from onnxplain.runtime.programs import lower
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rule_cases import Walkable

    from onnxplain._types import Arrays
    from onnxplain.backward.composites.composite import Composite


class Walk:
    """A walk back by a composite from all outputs of a case, each with a seed of its own.

    Parameters
    ----------
    case
        What to walk through.
    composite
        By which rules.
    bent
        Whether the outputs go through a function that is not linear first, so that rules that walk with two
        multipliers do.
    """

    def __init__(self, case: Walkable, composite: Composite, *, bent: bool = False) -> None:
        source = case.problem.forward
        model = prepare(source.model.clone(), composite.preparation, case.wrt, in_place=True)
        graph = model.graph
        op = Emitter(graph, source.opset, scope="walk")
        by_name = {str(v.name): v for v in (*graph.inputs, *graph.outputs)}
        wrt = [by_name[name] for name in case.wrt]
        ends = [by_name[name] for name in case.outputs]
        if bent:
            ends = [op.annotate(op.Atan(v), v) for v in ends]
        there = ends
        if composite.reference:
            starts = {v: _input(graph, f"reference/{v.name}", v) for v in wrt}
            replaced = add_reference(op, starts)
            ends = [replaced.get(v, v) for v in ends]
            there = [reference_of(op, v) for v in ends]
        seeds = {v: _input(graph, f"seed/{k}", v) for k, v in enumerate(ends)}
        self.table = composite.resolve(graph, ends, wrt)
        op.ledger = []
        found = backward(op, seeds, wrt, self.table)
        kept = kept_by_node(op)
        results = [found[v] for v in wrt]
        self.wrt, self.count, self.nodes = case.wrt, len(ends), [name for name, _ in kept]
        made = [*ends, *there, *results, *(v for _, v in kept)]
        graph.outputs.clear()
        for k, value in enumerate(made):
            graph.outputs.append(op.Identity(value, _fold=False))
            graph.outputs[k].name = f"made/{k}"
        lower(model, "cpu")
        self._run = Evaluator(model)

    def __call__(
        self, point: Arrays, seeds: Sequence[np.ndarray], reference: Arrays | None = None
    ) -> tuple[list[np.ndarray], list[np.ndarray], Arrays, dict[str, float]]:
        """Return the outputs at the input and at the reference, the results, and what each node kept."""
        feeds = {**point, **{f"seed/{k}": s for k, s in enumerate(seeds)}}
        feeds.update({f"reference/{k}": v for k, v in (reference or {}).items()})
        made = [np.asarray(v) for v in self._run(feeds).values()]
        n, m = self.count, len(self.wrt)
        results = dict(zip(self.wrt, made[2 * n : 2 * n + m], strict=True))
        for name, result in results.items():
            assert result.shape == point[name].shape
            assert np.isfinite(result).all(), f"what {name} gets is not finite"
        kept = dict(zip(self.nodes, map(float, made[2 * n + m :]), strict=True))
        return made[:n], made[n : 2 * n], results, kept


def _input(graph: ir.Graph, name: str, like: ir.Value) -> ir.Value:
    made = ir.Value(name=name, type=like.type, shape=like.shape)
    graph.inputs.append(made)
    return made


def walk(case: Walkable, composite: Composite, table: str, *, bent: bool = False) -> Walk | None:
    """Write a walk; None where it is refused, as the table must say."""
    refused = case.listed(f"{table}.refused")
    try:
        made = Walk(case, composite, bent=bent)
    except NotExplainableError:
        if case.problem.adjoint is None:
            pytest.skip("no gradient flows, as the gradients' tests confirm")
        raise
    except UnsupportedRuleError as error:
        _says_what_to_do(str(error))
        if refused:
            return None
        raise
    assert not refused, "not refused, but listed"
    return made


def _says_what_to_do(message: str) -> None:
    """An error names the node, the rule or the composite, and a way out."""
    assert " node '" in message
    assert "rule '" in message or "composite '" in message
    assert (
        "use integrated_gradients" in message or "give it the rule" in message or "use a gradient" in message
    )


def seeds_of(case: Walkable) -> list[np.ndarray]:
    made, rng = case.forward(case.point), case.rng()
    return [rng.standard_normal(np.shape(made[name])) for name in case.outputs]
