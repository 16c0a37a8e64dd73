"""Where a classifier's scores are: before a closing Softmax, or behind a label that it gives alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers

__all__ = ["before_link", "before_softmax", "expose_scores"]

#: They change the shape or the dtype, and nothing else.
_SAME = movers(lacks=Is.REORDERS | Is.REPEATS | Is.DROPS | Is.FILLS)
_SOFTMAX = ("Softmax", "LogSoftmax")


#: 1 if a score rises with one operand, as the other is constant, -1 if it falls, else 0.
_Way: TypeAlias = "Callable[[Array], int] | None"


def _always(c: Array) -> int:
    return 1


def _signs(c: Array) -> int:
    return int((c > 0).all()) - int((c < 0).all())


#: With the first operand, and with the second.
_WAYS: dict[str, tuple[_Way, _Way]] = {
    "Add": (_always, _always),
    "Div": (_signs, None),
    "Mul": (_signs, _signs),
    "Pow": (None, lambda base: _signs(base - 1) if (base > 0).all() else 0),
    "Sub": (_always, lambda c: -1),
}


def before_softmax(output: ir.Value) -> ir.Value | None:
    """Return what enters the Softmax or LogSoftmax that an output ends in, or None if it ends otherwise.

    Operators that only change the shape or the dtype may stand between the Softmax and the output.
    """
    value: ir.Value | None = output
    while value is not None:
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type in _SOFTMAX:
            return node.inputs[0]
        if node.op_type not in _SAME:
            return None
        value = node.inputs[0]
    return None


def before_link(output: ir.Value) -> tuple[ir.Value, str] | None:
    """Return what enters the link that an output ends in, and the link's operator.

    Links are a Softmax, and what makes each score of one raw score, the larger the larger: Sigmoid (odds),
    Exp (counts, durations), a power of a constant (isolation forests).  Constants may be added to them, and
    they may be scaled.
    """
    value, rising, link = output, True, ""
    while True:
        node = value.producer()
        step = None if node is None or node.domain not in ("", "ai.onnx") else _step(node)
        if node is None or step is None:
            return None
        value, rises, closes = step
        rising = rising == rises
        link = link or (node.op_type if closes else "")
        if link and rising:
            return value, link
        if node.op_type in _SOFTMAX:
            return None


def _step(node: ir.Node) -> tuple[ir.Value, bool, bool] | None:
    """Return what a node computes each score of, whether the score rises with it, and if that is a link."""
    first, second = (*node.inputs, None)[:2]
    if first is None:
        return None
    if node.op_type in (*_SOFTMAX, "Sigmoid", "Exp"):
        return first, True, True
    if node.op_type in _SAME or node.op_type == "Neg":
        return first, node.op_type != "Neg", False
    if second is None or node.op_type not in _WAYS:
        return None
    for given, constant, way in zip((first, second), (second, first), _WAYS[node.op_type], strict=True):
        c = facts.constant(constant)
        if c is not None and way is not None and way(c) and _even(c, given):
            return given, way(c) > 0, node.op_type == "Pow"
    return None


def _even(constant: Array, like: ir.Value) -> bool:
    """Tell whether a constant leaves a value's shape as it is."""
    rank = facts.rank(like)
    if constant.size == 1:
        return constant.ndim <= (1 if rank is None else rank)
    return rank is not None and constant.shape == (facts.static_dim(like, rank - 1),)


#: Operators that choose by scores, and that pass on what was chosen (by the input that holds it).
_CHOICES = frozenset({"ArgMax", "ArgMin", "TopK", "Hardmax"})
_PASSED = {**dict.fromkeys(movers(), 0), "LabelEncoder": 0, "Gather": 1, "ArrayFeatureExtractor": 1}


def expose_scores(graph: ir.Graph) -> str | None:
    """Make the scores behind a label an output, where a model gives no floats; return a note.

    A classifier that ends in ArgMax or TopK gives integers, which have no gradient; what it chose by has one.
    """
    if any(facts.is_float(v) for v in graph.outputs if v.dtype is not None):
        return None
    for output in list(graph.outputs):
        scores = _chosen_by(output)
        if scores is not None and not scores.is_graph_output() and not scores.is_graph_input():
            graph.outputs.append(scores)
            return f"output '{output.name}' is no score; '{scores.name}', by which it is chosen, is explained"
    return None


def _chosen_by(output: ir.Value) -> ir.Value | None:
    """Return the floats by which an output was chosen, or None."""
    value: ir.Value | None = output
    while value is not None:
        node = value.producer()
        if node is None:
            return None
        if node.op_type in _CHOICES:
            scores = node.inputs[0]
            return scores if scores is not None and facts.is_float(scores) else None
        index = _PASSED.get(node.op_type)
        value = None if index is None else node.inputs[index]
    return None
