"""Where a classifier's scores are: before a closing Softmax, or behind a label that it gives alone."""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers

__all__ = ["before_probability", "before_softmax", "expose_scores"]

#: They change the shape or the dtype, and nothing else.
_SAME = movers(lacks=Is.REORDERS | Is.REPEATS | Is.DROPS | Is.FILLS)


def before_softmax(output: ir.Value) -> ir.Value | None:
    """Return what enters the Softmax or LogSoftmax that an output ends in, or None if it ends otherwise.

    Operators that only change the shape or the dtype may stand between the Softmax and the output.
    """
    return _before(output, ("Softmax", "LogSoftmax"))


def before_probability(output: ir.Value) -> ir.Value | None:
    """Return what enters the Softmax or Sigmoid that an output ends in, or None if it ends otherwise."""
    return _before(output, ("Softmax", "LogSoftmax", "Sigmoid"))


def _before(output: ir.Value, closing: tuple[str, ...]) -> ir.Value | None:
    value: ir.Value | None = output
    while value is not None:
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type in closing:
            return node.inputs[0]
        if node.op_type not in _SAME:
            return None
        value = node.inputs[0]
    return None


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
