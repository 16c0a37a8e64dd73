"""What a score is the sum of: numbers that one player makes each, and scores of trees, times constants."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.errors import NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.classic.trees import is_ensemble, scores_of
from onnxplain.graph.columns.follow import Columns
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["Parts", "parts"]

_WAY_OUT = "use kernel_shap (or exact_shapley, for few players), which asks for scores alone"


@dataclass(frozen=True)
class Parts:
    """A score is a constant, and a sum over elements of these values, each times a constant.

    Attributes
    ----------
    pieces
        Values of which each element depends on one player at most.
    ensembles
        Nodes of trees, in whose inputs each column depends on one player at most.
    """

    pieces: tuple[ir.Value, ...]
    ensembles: tuple[ir.Node, ...]


def parts(columns: Columns, scored: ir.Value) -> Parts:
    """Take a value apart into what it is the sum of.

    Parameters
    ----------
    columns
        Who made what.
    scored
        The value whose entries are the scores.

    Raises
    ------
    NotExplainableError
        Naming the node that mixes players in another way.
    """
    pieces: dict[ir.Value, None] = {}
    ensembles: dict[ir.Node, None] = {}
    seen, stack = {scored}, [scored]
    while stack:
        value = stack.pop()
        if columns.apart(value):
            if not columns.free(value):
                pieces[value] = None
            continue
        node = value.producer()
        assert node is not None  # inputs are apart
        if is_ensemble(node) and value is scores_of(node):
            _own_columns(node, columns)
            ensembles[node] = None
            continue
        found = _summands(node, columns)
        if found is None:
            raise NotExplainableError(_refusal(node, value))
        fresh = [v for v in found if v not in seen]
        seen.update(fresh)
        stack += fresh
    integers = next((v for v in pieces if not facts.is_float(v)), None)
    if integers is not None:
        raise NotExplainableError(f"'{integers.name}' holds whole numbers that are added up; {_WAY_OUT}")
    return Parts(tuple(pieces), tuple(ensembles))


def _own_columns(node: ir.Node, columns: Columns) -> None:
    """Raise if a column of the trees' input is made of several players."""
    x = node.inputs[0]
    assert x is not None
    if not columns.apart(x):
        mixer = facts.node_label(columns.mixers[x])
        raise NotExplainableError(
            f"{mixer} makes columns out of several inputs before the trees of {facts.node_label(node)}, so "
            "that exact values for single inputs are not known; let these be one player (feature_mask=), "
            f"explain the trees' own columns (wrt='{x.name}'), or {_WAY_OUT}"
        )


def _summands(node: ir.Node, columns: Columns) -> list[ir.Value] | None:
    """Return the inputs in which a node is linear, if it is in all that depend on players."""
    if node.domain not in ("", "ai.onnx"):
        return None
    row = traits(node)
    used = [k for k, v in enumerate(node.inputs) if not columns.free(v)]
    taken = [v for k in used if (v := node.inputs[k]) is not None]
    if node.op_type in ("Add", "Sub", "Sum", "Mean", "Neg", "Identity"):
        return taken
    if node.op_type == "Cast":
        floats = all(facts.is_float(v) for v in (*taken, node.outputs[0]))
        return taken if floats else None
    if node.op_type == "Div":
        return taken if used == [0] else None
    if is_a(node, Is.BILINEAR):
        factors = [k for k in used if k != row.bias]
        return taken if len(factors) <= 1 else None
    if is_a(node, Is.AVERAGES) or (is_a(node, Is.MOVES) and not is_a(node, Is.PICKS | Is.CASTS)):
        return taken if all(row.holds(k) for k in used) else None
    return None


def _refusal(node: ir.Node, value: ir.Value) -> str:
    behind = _behind_trees(value)
    label = facts.node_label(node)
    if behind is not None:
        return (
            f"{label} stands behind the trees of {facts.node_label(behind)} and is not linear, so the score "
            f"is no sum of theirs; name an output in front of it (output=), or {_WAY_OUT}"
        )
    return (
        f"{label} is not linear in what several inputs make together, so exact values for single inputs are "
        "not known; use integrated_gradients, let the inputs be one player (feature_mask=), or "
        f"{_WAY_OUT}"
    )


def _behind_trees(value: ir.Value) -> ir.Node | None:
    """Return an ensemble that a value is computed from."""
    seen, stack = {value}, [value]
    while stack:
        node = stack.pop().producer()
        if node is None:
            continue
        if is_ensemble(node):
            return node
        fresh = [v for v in node.inputs if v is not None and v not in seen]
        seen.update(fresh)
        stack += fresh
    return None
