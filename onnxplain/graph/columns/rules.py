"""How each operator hands players on: element by element, moved, along axes, or all mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, IntArray
from onnxplain.graph import facts
from onnxplain.graph.classic.features import categories
from onnxplain.graph.columns.codes import NOBODY, merged, mixed_along, through
from onnxplain.graph.decomposition import CLASSIC, whole
from onnxplain.graph.evaluate import evaluate
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["Seen", "outputs_of"]


@dataclass(frozen=True)
class Seen:
    """What a rule reads of a node.

    Attributes
    ----------
    node
        The node; shapes are those of one sample.
    codes
        Of each input; None where it is left out.
    known
        Content of each input that is known before running, else None.
    opset
        Version of the standard.
    """

    node: ir.Node
    codes: Sequence[IntArray | None]
    known: Sequence[Array | None]
    opset: int

    @property
    def given(self) -> list[IntArray]:
        """Codes of the inputs that are not left out."""
        return [c for c in self.codes if c is not None]

    def free(self, position: int) -> bool:
        """Tell whether an input depends on no player."""
        if position >= len(self.codes):
            return True
        code = self.codes[position]
        return code is None or not code.any()


#: Codes of the outputs, as many as are known; None where the rule does not cover the node.
Rule: TypeAlias = "Callable[[Seen], list[IntArray] | None]"


def outputs_of(seen: Seen) -> list[IntArray | None]:
    """Return the codes of all outputs; None where the shape of one is not known."""
    node = seen.node
    rule = _CLASSIC.get(node.op_type) if node.domain == CLASSIC else _standard(node)
    made = rule(seen) if rule is not None else None
    if made is None:
        return [_all_mixed(seen, output) for output in node.outputs]
    rest = [_all_mixed(seen, output) for output in node.outputs[len(made) :]]
    return [*made, *rest]


def _standard(node: ir.Node) -> Rule | None:
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _RULES:
        return _RULES[node.op_type]
    if is_a(node, Is.ELEMENTWISE):
        return _elementwise
    if is_a(node, Is.MOVES) and not is_a(node, Is.PICKS):
        return _moved
    return _reduced if is_a(node, Is.REDUCES) else None


def _all_mixed(seen: Seen, output: ir.Value) -> IntArray | None:
    shape = facts.static_shape(output)
    if shape is None:
        return None
    all_of = [mixed_along(c.reshape(-1), None, keep=False) for c in seen.given]
    return np.full(shape, merged(all_of) if all_of else NOBODY, np.int64)


def _elementwise(seen: Seen) -> list[IntArray]:
    return [merged(np.broadcast_arrays(*seen.given))]


def _multiplied(seen: Seen) -> list[IntArray]:
    """Let through what is not multiplied by 0."""
    made = _elementwise(seen)[0]
    for factor in seen.known:
        if factor is not None:
            made = np.where(np.broadcast_to(factor == 0, made.shape), NOBODY, made)
    return [made]


def _first(seen: Seen) -> list[IntArray]:
    return seen.given[:1]


def _moved(seen: Seen) -> list[IntArray] | None:
    """Send the codes the way of the data, if the way itself is known."""
    row, inputs = traits(seen.node), []
    for k, code in enumerate(seen.codes):
        data = row.holds(k)
        if not data and code is not None and seen.known[k] is None:
            return None
        inputs.append(code if data else seen.known[k])
    made = evaluate(seen.node, inputs, seen.opset)
    return None if made is None else [np.asarray(m, np.int64) for m in made]


def _gather(seen: Seen) -> list[IntArray] | None:
    """Follow the data; or, where rows of a table are looked up, the index."""
    if seen.known[1] is not None or not seen.free(0):
        return _moved(seen)
    index, table = seen.codes[1], seen.codes[0]
    assert index is not None
    assert table is not None
    axis = whole(seen.node, "axis", 0) % table.ndim
    shape = (*table.shape[:axis], *index.shape, *table.shape[axis + 1 :])
    behind = (1,) * (table.ndim - axis - 1)
    return [np.array(np.broadcast_to(index.reshape(index.shape + behind), shape))]


def _reduced(seen: Seen) -> list[IntArray] | None:
    code = seen.given[0]
    axes = seen.known[1] if len(seen.known) > 1 else None
    if len(seen.codes) > 1 and seen.codes[1] is not None and axes is None:
        return None
    keep = bool(whole(seen.node, "keepdims", 1))
    if axes is None or not axes.size:
        if whole(seen.node, "noop_with_empty_axes", 0):
            return [code]
        return [mixed_along(code, None, keep=keep)]
    return [mixed_along(code, tuple(int(a) for a in axes.ravel()), keep=keep)]


def _chosen(seen: Seen) -> list[IntArray]:
    axis, keep = whole(seen.node, "axis", 0), bool(whole(seen.node, "keepdims", 1))
    return [mixed_along(seen.given[0], (axis,), keep=keep)]


def _along_last(seen: Seen) -> list[IntArray]:
    code = seen.given[0]
    axis = whole(seen.node, "axis", -1)
    return [np.array(np.broadcast_to(mixed_along(code, (axis,)), code.shape))]


def _product(seen: Seen) -> list[IntArray] | None:
    code, weight = seen.codes[0], seen.known[1]
    if code is None or weight is None or weight.ndim != 2 or code.ndim < 1:
        return None
    return [through(code, weight)]


def _gemm(seen: Seen) -> list[IntArray] | None:
    code, weight = seen.codes[0], seen.known[1]
    if code is None or weight is None or whole(seen.node, "transA", 0):
        return None
    made = through(code, weight.T if whole(seen.node, "transB", 0) else weight)
    bias = seen.codes[2] if len(seen.codes) > 2 else None
    return [made if bias is None else merged(np.broadcast_arrays(made, bias))]


def _texts(seen: Seen) -> list[IntArray] | None:
    return None if facts.attr(seen.node, "stopwords", ()) else _first(seen)


def _categories(seen: Seen) -> list[IntArray]:
    return [np.repeat(seen.given[0][..., None], categories(seen.node), -1)]


def _extracted(seen: Seen) -> list[IntArray] | None:
    index, code = seen.known[1], seen.given[0]
    if index is None:
        return None
    return [(code if code.ndim > 1 else code[None])[..., index.ravel()]]


def _vectorized(seen: Seen) -> list[IntArray] | None:
    widths = facts.attr(seen.node, "inputdimensions", ())
    assert isinstance(widths, tuple)
    parts = []
    for code, width in zip(seen.given, widths, strict=True):
        rows = code.reshape(1, -1) if code.ndim == 1 else code
        if rows.ndim != 2:
            return None
        parts.append(np.pad(rows[:, :width], ((0, 0), (0, max(0, width - rows.shape[1])))))
    return [np.concatenate(parts, axis=1)]


_RULES: Mapping[str, Rule] = {
    "ArgMax": _chosen,
    "ArgMin": _chosen,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _product,
    "Mul": _multiplied,
    "Softmax": _along_last,
    "LogSoftmax": _along_last,
    "StringNormalizer": _texts,
}
_CLASSIC: Mapping[str, Rule] = {
    "ArrayFeatureExtractor": _extracted,
    "Binarizer": _first,
    "CategoryMapper": _first,
    "FeatureVectorizer": _vectorized,
    "Imputer": _first,
    "LabelEncoder": _first,
    "Normalizer": _along_last,
    "OneHotEncoder": _categories,
    "Scaler": _first,
}
