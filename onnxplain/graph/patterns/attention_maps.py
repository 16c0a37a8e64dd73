"""Where a transformer's attention weights are: what Softmax makes and the next product mixes values by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.errors import NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers

__all__ = ["AttentionMap", "attention_maps"]

#: Operators that hand weights on, by the places of the inputs that they hand on.
_HANDS_ON: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(movers(lacks=Is.REORDERS | Is.DROPS | Is.FILLS) - {"Flatten"}, (0,)),  # keys stay an axis
    **dict.fromkeys(("DequantizeLinear", "Expand", "QuantizeLinear", "Transpose"), (0,)),
    "Where": (1, 2),
}

#: Operators that only change the unit of the weights (of a quantised product, say) by one number.
_SCALES = frozenset(["Add", "Clip", "Div", "Mul", "Round", "Sub"])


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The attention weights of one layer.

    Attributes
    ----------
    value
        The weights, (..., Lq, Lk): what the values are multiplied by, with batch and heads as axes of their
        own where the graph has them so.
    product
        The node that mixes the values.
    """

    value: ir.Value
    product: ir.Node

    @property
    def name(self) -> str:
        """The name of :attr:`value`."""
        return str(self.value.name)

    @property
    def stacked(self) -> bool:
        """Whether batch and heads are not known to be the first two of four axes: (N * heads, L, L), say."""
        found = facts.dims(self.value)
        if found is None or len(found) != 4:
            return True
        return isinstance(found[0], int) and found[0] > 1 and not isinstance(found[1], int)

    @property
    def cross(self) -> bool:
        """Whether queries and keys are certainly of different number (attention to other tokens)."""
        found = facts.dims(self.value)
        if found is None:
            return False
        n_q, n_k = found[-2:]
        return isinstance(n_q, int) and isinstance(n_k, int) and n_q != n_k

    def by_sample(self, weights: Array, n: int) -> Array:
        """Bring weights, or their gradient, into one form.

        Parameters
        ----------
        weights
            As the graph makes them, for ``n`` samples; where :attr:`stacked`, for ``n`` copies of one.
        n
            Number of samples.

        Returns
        -------
        (n, heads, L, L); where :attr:`stacked`, (1, heads, L, L).

        Raises
        ------
        NotExplainableError
            If queries and keys differ in number, or the first axis is not the batch.
        """
        length = weights.shape[-1]
        if weights.shape[-2] != length:
            raise NotExplainableError(self.refusal(weights.shape))
        if not self.stacked:
            if len(weights) != n:
                raise NotExplainableError(
                    f"the attention weights '{self.name}' have shape {weights.shape} for {n} samples, so "
                    "their first axis is not the batch (attention within windows, say); use "
                    "integrated_gradients or lrp"
                )
            return weights
        flat = weights.reshape(-1, length, length)
        if len(flat) % n:
            raise NotExplainableError(
                f"the attention weights '{self.name}' have shape {weights.shape}, which does not hold heads "
                f"for {n} samples; use integrated_gradients or lrp"
            )
        by_sample = flat.reshape(n, -1, length, length)
        by_head = flat.reshape(-1, n, length, length)
        # Copies of one sample are alike, so they tell which of the two axes is the batch.
        return by_head[None, :, 0] if _spread(by_sample, 0) > _spread(by_head, 1) else by_sample[:1]

    def refusal(self, shape: Sequence[facts.Dim]) -> str:
        """Say that tokens attend to others than themselves here, and what to do."""
        spelled = ", ".join("?" if d is None else str(d) for d in shape)
        return (
            f"the attention weights '{self.name}' (into {facts.node_label(self.product)}) have shape "
            f"({spelled}): as many queries as keys are needed, and attention to other tokens is not rolled "
            "out; explain an output before it, or use integrated_gradients or lrp"
        )


def attention_maps(graph: ir.Graph) -> tuple[AttentionMap, ...]:
    """Find the attention weights of a graph in normal form, in forward order.

    They are what a Softmax over the last axis makes and, maybe through a change of shape or dtype, rounding,
    a dropout or a mask (Where), enters a product with computed values as its left operand: MatMul, or an
    Einsum that sums over their last axis.  Attention to other tokens is among them
    (:attr:`AttentionMap.cross`).

    Parameters
    ----------
    graph
        A graph in normal form.
    """
    made = (_follow(node.outputs[0]) for node in graph if _is_softmax(node))
    return tuple(m for m in made if m is not None)


def _is_softmax(node: ir.Node) -> bool:
    if node.op_type != "Softmax" or node.domain not in ("", "ai.onnx"):
        return False
    axis, rank = facts.attr(node, "axis", -1), facts.rank(node.outputs[0])
    return axis == -1 or (rank is not None and axis == rank - 1)


def _follow(start: ir.Value) -> AttentionMap | None:
    """Go from a Softmax to the product that it enters, if there is one."""
    stack, seen = [(start, start, True)], {start}
    while stack:
        value, best, same = stack.pop()
        for node, index in value.uses():
            if node.graph is not start.graph:
                continue
            if _mixes(node, index) and (facts.rank(value) or 3) in (3, 4):
                return AttentionMap(best, node)
            output, scaled = node.outputs[0], _scales(node, index)
            if output not in seen and (scaled or _hands_on(node, index)):
                seen.add(output)
                unit = same and not scaled
                better = facts.rank(output) == 4 or facts.rank(best) != 4
                stack.append((output, output if unit and better and facts.is_float(output) else best, unit))
    return None


def _hands_on(node: ir.Node, index: int) -> bool:
    """Whether a node's output holds the weights of one of its inputs, the last axis still the keys."""
    if node.domain not in ("", "ai.onnx") or index not in _HANDS_ON.get(node.op_type, ()):
        return False
    value, output = node.inputs[index], node.outputs[0]
    if value is None or not (facts.is_float(output) or node.op_type == "QuantizeLinear"):
        return False
    before, after = facts.dims(value), facts.dims(output)
    if node.op_type == "Transpose":
        perm = facts.attr(node, "perm")
        return isinstance(perm, tuple) and perm[-2:] == (len(perm) - 2, len(perm) - 1)
    if not before or not after:
        return True
    return not (isinstance(before[-1], int) and isinstance(after[-1], int)) or before[-1] == after[-1]


def _scales(node: ir.Node, index: int) -> bool:
    """Whether a node's output holds the weights of one of its inputs in another unit."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in _SCALES:
        return False
    others = [v for k, v in enumerate(node.inputs) if k != index and v is not None]
    return all(facts.dims(v) in ((), (1,)) for v in others)


def _mixes(node: ir.Node, index: int) -> bool:
    """Whether a node multiplies computed values by the weights that enter at a place."""
    if node.domain not in ("", "ai.onnx") or len(node.inputs) != 2:
        return False
    other = node.inputs[1 - index]
    if other is None or facts.is_constant(other):
        return False
    if node.op_type == "MatMul":
        return index == 0
    return node.op_type == "Einsum" and _sums_over_keys(str(facts.attr(node, "equation", "")), index)


def _sums_over_keys(equation: str, index: int) -> bool:
    """Whether an equation sums over the last axis of an operand, whose axis before is that of the result."""
    terms, _, result = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) != 2 or "." in equation or not result or len(operands[index]) < 3:
        return False
    *shared, query, key = tuple(operands[index])
    other = operands[1 - index]
    summed = key in other and key not in result
    kept = query in result and query not in other
    return summed and kept and all(s in other and s in result for s in shared)


def _spread(array: Array, axis: int) -> float:
    return float(np.ptp(array, axis=axis).max(initial=0.0))
