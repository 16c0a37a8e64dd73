"""From a node to its ensemble: what the operators have in common, and how scores become outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.errors import NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.trees.attributes import broken, floats, integers
from onnxplain.graph.trees.classic import classic_table
from onnxplain.graph.trees.flatten import flatten
from onnxplain.graph.trees.unified import unified_table
from onnxplain.kernels.ensemble import Ensemble, Floats, Mode

__all__ = ["OPERATORS", "find", "parse"]

OPERATORS = ("TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble")
_DOMAIN = "ai.onnx.ml"
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")  # as TreeEnsemble numbers them
# In the order of onnxruntime, which is what computes; the standard's text swaps LOGISTIC and SOFTMAX.
_TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


def find(graph: ir.Graph) -> tuple[tuple[ir.Node, Ensemble], ...]:
    """Return every tree ensemble of a graph in its order, each with its node.

    Raises
    ------
    InvalidModelError
        If an ensemble is broken.
    """
    return tuple((n, parse(n)) for n in graph if n.domain == _DOMAIN and n.op_type in OPERATORS)


def parse(node: ir.Node) -> Ensemble:
    """Read a TreeEnsembleRegressor or -Classifier (ai.onnx.ml 1 to 4) or a TreeEnsemble (5).

    A chain of comparisons with single values that all lead to one node, as exporters write the membership of
    a set, becomes one question; other nodes with several parents are copied for each.

    Parameters
    ----------
    node
        A node of the domain ai.onnx.ml.

    Returns
    -------
    Ensemble
        ``covers`` are taken from ``nodes_hitrates`` if every node's is positive and the sum of its
        children's, as many exporters write 1 everywhere.

    Raises
    ------
    InvalidModelError
        If attributes are missing or differ in length, a child, leaf or target does not exist, nodes run in
        circles, a mode, aggregate or transform is unknown, a threshold is NaN, or a weight or base value
        is not finite.
    """
    unified = node.op_type == "TreeEnsemble"
    targets, labels = _targets(node)
    table = unified_table(node, targets) if unified else classic_table(node, targets)
    flat = flatten(node, table)
    base = np.zeros(0) if unified else floats(node, "base_values")
    if not np.isfinite(base).all():
        raise broken(node, f"base_values has {base[~np.isfinite(base)][0]}")
    aggregate = _choice(node, "aggregate_function", _AGGREGATES, "SUM")
    transform, pair, scores = _choice(node, "post_transform", _TRANSFORMS, "NONE"), "", targets
    if node.op_type == "TreeEnsembleClassifier" and targets == 2:
        scores, base, pair, transform = _two_classes(node, flat, base, transform)
    if base.size not in (0, scores):
        raise broken(node, f"base_values has {base.size} entries for {scores} scores")
    if scores == 1 and not pair and transform != "PROBIT":
        transform = "NONE"  # as onnxruntime leaves a single column
    dtype = _dtype(node)
    return Ensemble(
        name=facts.node_label(node),
        **flat,
        base=base if base.size else np.zeros(scores),
        aggregate=aggregate,
        post_transform=transform,
        pair=pair,
        dtype=dtype,
        output_dtype=dtype if unified else "float32",
        labels=labels,
    )


def _dtype(node: ir.Node) -> str:
    """In what onnxruntime compares: the input's dtype, integers as float32."""
    given = node.inputs[0].dtype if node.inputs and node.inputs[0] is not None else None
    tensors = (facts.attr(node, name) for name in ("nodes_values_as_tensor", "nodes_splits"))
    double = any(t.dtype == ir.DataType.DOUBLE for t in tensors if isinstance(t, ir.TensorProtocol))
    return "float64" if given == ir.DataType.DOUBLE or (double and given != ir.DataType.FLOAT) else "float32"


def _targets(node: ir.Node) -> tuple[int, tuple[str | int, ...]]:
    """Return how many targets or classes there are, and the classes."""
    if node.op_type != "TreeEnsembleClassifier":
        number = facts.attr(node, "n_targets", 1)
        if not isinstance(number, int) or number < 1:
            raise broken(node, f"n_targets is {number}")
        return number, ()
    texts = facts.attr(node, "classlabels_strings", ())
    labels = tuple(str(t) for t in texts) if isinstance(texts, tuple) else ()
    found = labels or tuple(integers(node, "classlabels_int64s").tolist())
    if not found:
        raise broken(node, "it names no classes")
    return len(found), found


def _choice(node: ir.Node, name: str, choices: tuple[str, ...], default: str) -> str:
    """Return an attribute that names one of several things; TreeEnsemble numbers them."""
    found = facts.attr(node, name, default)
    if isinstance(found, int) and 0 <= found < len(choices):
        return choices[found]
    if found not in choices:
        raise broken(node, f"{name} is '{found}'; known are {', '.join(choices)}")
    return str(found)


def _two_classes(
    node: ir.Node, flat: dict[str, Any], base: Floats, transform: str
) -> tuple[int, Floats, str, str]:
    """Return the number of scores, base, how one score becomes two columns, transform; may drop weights.

    This is what onnxruntime does.  Votes for the first class alone are one score; whether the other column
    is ``1 - s`` or ``-s`` hangs on the signs of the weights.  With votes for both and two base values, the
    score of the first class and the second base value are all that counts.
    """
    first, second = (flat["leaf_target"] == 0).any(), (flat["leaf_target"] == 1).any()
    if second and not _always_second(flat):
        raise NotExplainableError(
            f"{facts.node_label(node)}: some of its leaves vote for the first of two classes alone, where "
            "onnxruntime gives other columns than elsewhere; export the model with weights for both classes"
        )
    if second and base.size < 2:
        return 2, np.append(base, 0.0) if base.size and first else np.zeros(2), "", transform
    if second != first and base.size == 2:
        _keep(flat, 0)
        return 2, base * [first, second], "", transform
    if second:
        _keep(flat, 0)
        return 1, base[1:], "opposite", transform
    if transform == "PROBIT":
        raise NotExplainableError(
            f"{facts.node_label(node)}: onnxruntime does not define PROBIT of one score for two classes; "
            "export the model with weights for both classes"
        )
    if transform == "LOGISTIC":
        return 1, base, "opposite", transform
    return 1, base, "complement" if (flat["leaf_weight"] >= 0).all() else "opposite", "NONE"


def _always_second(flat: dict[str, Any]) -> bool:
    """Whether some tree votes for the second class at each of its leaves."""
    start, count = flat["leaf_start"], flat["mode"].size
    votes = np.concatenate([[0], np.cumsum(flat["leaf_target"] == 1)])
    lacking = (flat["mode"] == Mode.LEAF) & (votes[start[1:]] == votes[start[:-1]])
    tree = np.searchsorted(np.sort(flat["roots"]), np.arange(count), "right")
    return bool(np.unique(tree[lacking]).size < flat["roots"].size)


def _keep(flat: dict[str, Any], target: int) -> None:
    """Drop the votes for all others."""
    keep = flat["leaf_target"] == target
    kept = np.concatenate([[0], np.cumsum(keep)])
    flat["leaf_start"] = kept[flat["leaf_start"]].astype(np.int32)
    flat["leaf_target"], flat["leaf_weight"] = flat["leaf_target"][keep], flat["leaf_weight"][keep]
