"""What the inputs of a linear operator contribute to its outputs, by the branches of one group of a rule.

Three kinds of operators know it: those that show a weight for each connection (:class:`Factors`), those whose
weights are all 1 or -1 or count as 1 (:class:`Alike`), and any at all under the one branch that changes
nothing (:class:`Whole`).  How relevance is shared out by contributions is the same for all of them, and in
:mod:`onnxplain.backward.rules.layers`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, lookup, written
from onnxplain.backward.rules.base import propagate
from onnxplain.backward.rules.even import evenly
from onnxplain.backward.rules.formula import Branch, Formula, Group, Part
from onnxplain.backward.rules.operands import data_part, part_of, scaled
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, rows

__all__ = ["WEIGHTED", "Alike", "Factors", "Setting", "Spreading", "Terms", "Weighed", "Whole", "total"]

#: Operators of two factors, each the other's weight, and the position of their bias.
WEIGHTED = {n: row.bias for n, row in rows(Is.BILINEAR).items() if row.weight == 1}

#: Sign of a part, where it has one.
_SIGN = {"same": 0, "positive": 1, "negative": -1, "one": 1, "square": 1}

#: Parts to add up, each with its factor.
Weighed: TypeAlias = list[tuple[float, Any]]


def total(op: Emitter, parts: Sequence[tuple[float, Any]]) -> Any:
    """Return the sum of factor times part; what is taken off comes last, for which a Sub is enough."""
    total: Any = None
    for factor, part in sorted(parts, key=lambda term: term[0] == -1.0):
        if total is not None and factor == -1.0:
            total = op.Sub(total, part)
            continue
        term = part if factor == 1.0 else op.Mul(part, factor)
        total = term if total is None else op.Add(total, term)
    return total


@dataclass(frozen=True)
class Setting:
    """Where a formula runs.

    Attributes
    ----------
    formula
        The formula.
    op
        Writes.
    node
        The node.
    output
        What the layer gives as it is.
    apart
        Whether biases are shared out by themselves, so that sums are without them.
    """

    formula: Formula
    op: Emitter
    node: NodeView
    output: ir.Value
    apart: bool


class Terms(abc.ABC):
    """Contributions of the inputs at some positions, which share their sums.

    Parameters
    ----------
    at
        Where.
    group
        Whose branches.
    positions
        Of the inputs.
    """

    #: Whether each input has sums of its own: it is one of the factors of a product.
    alone: ClassVar[bool] = False

    def __init__(self, at: Setting, group: Group, positions: Sequence[int]) -> None:
        self.at = at
        self.op, self.node, self.formula = at.op, at.node, at.formula
        self.group = group
        self.positions = positions

    @property
    def contribute(self) -> bool:
        """Whether anything contributes."""
        return True

    @abc.abstractmethod
    def sums(self) -> Any:
        """Return the sums of contributions, by output (and of biases, unless they are apart)."""

    @abc.abstractmethod
    def sign(self) -> int:
        """Return the sign that all terms of the sums have, or 0."""

    @abc.abstractmethod
    def back(self, k: int, r: Any) -> Weighed:
        """Return the sum over outputs of the contributions of input k, times r."""


class Spreading(Terms):
    """Contributions by which shares of biases can be spread."""

    @abc.abstractmethod
    def bias(self) -> Any:
        """Return the parts of the bias that the group counts, broadcast to the output; None for none."""

    @abc.abstractmethod
    def sizes(self) -> Any:
        """Return the sums of the magnitudes of the contributions, by output."""

    @abc.abstractmethod
    def back_sizes(self, k: int, r: Any) -> Weighed:
        """Return the sum over outputs of the magnitudes of the contributions of input k, times r."""

    @abc.abstractmethod
    def even(self, k: int, r: Any) -> tuple[float, Any]:
        """Return the sum over outputs of r over the number of inputs that an output is connected to."""

    def _size(self, value: ir.Value) -> Any:
        return self.op.once(("magnitude", value), lambda: self.op.Abs(value))


class Whole(Terms):
    """The one branch that changes nothing, on any operator: it needs no second forward."""

    def __init__(self, at: Setting, group: Group, positions: Sequence[int]) -> None:
        super().__init__(at, group, positions)
        self._entries: dict[ir.Value, Sequence[Entry]] = {}

    def sums(self) -> Any:
        """Return what the layer gives."""
        return self.at.output

    def sign(self) -> int:
        """Return 1 where the output is never negative."""
        return 1 if self.op.never_negative(self.at.output) else 0

    def back(self, k: int, r: Any) -> Weighed:
        """Return the input times the gradient."""
        if r not in self._entries:
            self._entries[r] = propagate(self.op, self.node, r)
        back = written(self._entries[r][k])
        return [] if back is None else [(1.0, self.op.Mul(self.node.input(k), back))]


class Factors(Spreading):
    """A layer that shows its weights: branches change them; each factor that varies is the input once."""

    alone = True

    def __init__(self, at: Setting, group: Group, positions: Sequence[int]) -> None:
        super().__init__(at, group, positions)
        (self.data,) = positions
        made = [_Changed(at, self.data, branch) for branch in group.branches]
        self.branches = [b for b in made if b.contributes or b.has_bias]
        self._sized: list[NodeView] = []

    @property
    def contribute(self) -> bool:
        """Whether anything contributes."""
        return any(b.contributes for b in self.branches)

    def sums(self) -> Any:
        """Run the branches forward."""
        return total(self.op, [(float(b.sign), self._forward(b.view)) for b in self.branches])

    def sign(self) -> int:
        """Return the sign that all terms of the sums have, or 0."""
        signs = {b.all_signed for b in self.branches}
        return signs.pop() if len(signs) == 1 else 0

    def back(self, k: int, r: Any) -> Weighed:
        """Run the branches back."""
        return [(float(b.sign), self._back(b.view, r, b.whole)) for b in self.branches if b.contributes]

    def bias(self) -> Any:
        """Return the parts of the bias that the group counts, so that they broadcast to the output."""
        position, node, op = WEIGHTED[self.node.op_type], self.node, self.op
        if self.formula.without_bias or position is None or node.optional(position) is None:
            return None
        value, beta = node.input(position), node.float("beta", 1.0) if node.op_type == "Gemm" else 1.0
        counted = [b for b in self.group.branches if b.bias != "zero"]
        if not counted:
            return None
        gamma = self.formula.gamma
        made = total(op, [(b.sign * beta, part_of(op, value, b.bias, gamma, beta)) for b in counted])
        axes = list(range(1, node.rank() - 1)) if node.op_type in ("Conv", "ConvTranspose") else []
        return op.Unsqueeze(made, axes) if axes else made

    def sizes(self) -> Any:
        """Run the branches forward with magnitudes."""
        self._sized = [self._magnitudes(b.view) for b in self.branches]
        return total(self.op, [(1.0, self._forward(view)) for view in self._sized])

    def back_sizes(self, k: int, r: Any) -> Weighed:
        """Run them back."""
        return [(1.0, self._back(view, r)) for view in self._sized]

    def even(self, k: int, r: Any) -> tuple[float, Any]:
        """Share evenly among connections."""
        return 1.0, evenly(self.op, self.node, self.data, r)

    def _forward(self, view: NodeView) -> Any:
        return self.op.clone(self.node.source, view.inputs)[0]

    def _back(self, view: NodeView, r: Any, whole: bool = False) -> Any:
        """Run a view back; the layer is linear, so its adjoint needs the data for its shape only."""
        x = self.node.input(self.data)
        inputs = [x if k == self.data else v for k, v in enumerate(view.inputs)]
        back = written(propagate(self.op, self.node.with_inputs(*inputs), r)[self.data])
        return back if whole else self.op.Mul(view.input(self.data), back)

    def _magnitudes(self, view: NodeView) -> NodeView:
        """Return a branch with the magnitudes of its operands, without a bias."""
        op, weight = self.op, 1 - self.data
        made = [v if op.never_negative(v) else self._size(v) for v in (view.input(0), view.input(1))]
        if self.node.op_type == "Gemm" and self.node.float("alpha", 1.0) < 0:
            made[weight] = op.once(("minus", made[weight]), lambda: op.Neg(made[weight]))
        return self.node.with_inputs(*made)


class _Changed:
    """A branch on a layer that shows its weights: changed operands, and what is known of them."""

    def __init__(self, at: Setting, data: int, branch: Branch) -> None:
        formula, op, node = at.formula, at.op, at.node
        self.sign = branch.sign
        self.whole = branch.input == "one"
        positive = op.never_negative(node.input(data))
        weight = 1 - data
        inputs = list(node.inputs)
        part = "same" if positive and branch.input == "positive" else branch.input
        inputs[data] = data_part(formula, op, node, data, part)
        alpha = node.float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
        weight_part: Part = "zero" if "weight" in formula.zero_params else branch.weight
        inputs[weight] = part_of(op, node.input(weight), weight_part, formula.gamma, alpha)
        bias = WEIGHTED[node.op_type]
        has_bias = bias is not None and node.optional(bias) is not None
        self.has_bias = has_bias and branch.bias != "zero" and not (formula.without_bias or at.apart)
        if bias is not None and has_bias:
            beta = node.float("beta", 1.0) if node.op_type == "Gemm" else 1.0
            counts = self.has_bias
            inputs[bias] = part_of(op, node.input(bias), branch.bias, formula.gamma, beta) if counts else None
        while inputs and inputs[-1] is None:
            inputs.pop()
        self.view = node.with_inputs(*inputs)
        known = facts.constant(inputs[weight])
        nothing = known is not None and not known.any()
        self.contributes = not ((positive and branch.input == "negative") or nothing)
        sign = 1 if positive and branch.input == "same" else _SIGN.get(branch.input, 0)
        sign *= _SIGN.get(branch.weight, 0)
        bias_sign = _SIGN.get(branch.bias, 0) if self.has_bias else sign
        self.all_signed = self.sign * sign if sign == bias_sign else 0


class Alike(Spreading):
    """Sums and differences, whose weights are 1 and -1, and pools, whose weights count as 1.

    Operands of a sum that do not vary are its bias.
    """

    def __init__(self, at: Setting, group: Group, positions: Sequence[int]) -> None:
        super().__init__(at, group, positions)
        row = lookup(at.node.source)
        self.is_sum = row is not None and row.category is Category.SUM
        count = len(at.node.inputs)
        self.ratio = 1.0 / count if at.node.op_type == "Mean" else 1.0
        self.signs = [-1.0 if at.node.op_type == "Sub" and k == 1 else 1.0 for k in range(count)]
        self.found = {k: self._found(k) for k in positions}
        self._values: dict[int, tuple[float, Any]] = {}

    def _found(self, k: int) -> list[tuple[float, Part]]:
        """Return the factors and the parts of an operand that make its contribution."""
        positive = self.op.never_negative(self.node.input(k))
        found: list[tuple[float, Part]] = []
        for b in self.group.branches:
            factor = self.ratio * b.sign * scaled(self.formula, b.weight, self.signs[k])
            if factor and not (positive and b.input == "negative"):
                found.append((factor, "same" if positive and b.input == "positive" else b.input))
        return found

    @property
    def contribute(self) -> bool:
        """Whether anything contributes."""
        return any(self.found.values())

    def sums(self) -> Any:
        """Add up the contributions, or run the operator on them."""
        bias = None if self.at.apart else self.bias()
        return self._forward([self._value(k) for k in self.positions if self.found[k]], bias)

    def sign(self) -> int:
        """Return the sign that all terms of the sums have, or 0."""
        signs = {self._sign(k, *term) for k in self.positions for term in self.found[k]}
        if not self.at.apart:
            signs |= {b.sign * _SIGN.get(b.bias, 0) for b in self._biased()}
        return signs.pop() if len(signs) == 1 else 0

    def back(self, k: int, r: Any) -> Weighed:
        """Multiply the contribution of an operand."""
        found = self.found[k]
        if not found:
            return []
        back = self._back(r)
        if all(part == "one" for _, part in found):
            return [(sum(factor for factor, _ in found), back)]
        sign, value = self._value(k)
        return [(sign, self.op.Mul(value, back))]

    def bias(self) -> Any:
        """Return the parts of what does not vary, added up."""
        op, node, gamma = self.op, self.node, self.formula.gamma
        parts = []
        for b in self._biased():
            for k in self._fixed():
                part = part_of(op, node.input(k), b.bias, gamma, self.signs[k])
                parts.append((self.ratio * b.sign * self.signs[k], part))
        return total(op, parts) if parts else None

    def sizes(self) -> Any:
        """Add up magnitudes, or run the operator on them."""
        values = [self._value(k)[1] for k in self.positions if self.found[k]]
        return self._forward([(1.0, self._size(v)) for v in values], None)

    def back_sizes(self, k: int, r: Any) -> Weighed:
        """Multiply the magnitude of the contribution of an operand."""
        if not self.found[k]:
            return []
        return [(1.0, self.op.Mul(self._size(self._value(k)[1]), self._back(r)))]

    def even(self, k: int, r: Any) -> tuple[float, Any]:
        """Share evenly among operands, or among what a pool reduces."""
        if self.is_sum:
            return 1.0 / len(self.positions), r
        ones = self._forward([(1.0, self.op.full_like(self.node.x, 1.0))], None)
        return 1.0, self._back(self.op.Div(r, self.op.Max(ones, 1e-6)))

    def _fixed(self) -> list[int]:
        """Return the positions of what does not vary."""
        return [k for k in range(len(self.node.inputs)) if k not in self.positions] if self.is_sum else []

    def _biased(self) -> list[Branch]:
        """Return the branches that count a bias."""
        if self.formula.without_bias or not self._fixed():
            return []
        return [b for b in self.group.branches if b.bias != "zero"]

    def _value(self, k: int) -> tuple[float, Any]:
        """Return the contribution of an operand, written once, and the sign to take it by."""
        if k not in self._values:
            parts = [(f, data_part(self.formula, self.op, self.node, k, part)) for f, part in self.found[k]]
            minus = len(parts) == 1 and parts[0][0] == -1.0
            made = parts[0][1] if minus else total(self.op, parts)
            self._values[k] = -1.0 if minus else 1.0, self.op.annotate(made, self.node.input(k))
        return self._values[k]

    def _sign(self, k: int, factor: float, part: Part) -> int:
        known = part == "same" and self.op.never_negative(self.node.input(k))
        sign = 1 if known else _SIGN.get(part, 0)
        return sign if factor > 0 else -sign

    def _forward(self, values: Weighed, bias: Any) -> Any:
        if self.is_sum:
            added = [*values, *([] if bias is None else [(1.0, bias)])]
            return self.op.expand_like(total(self.op, added), self.node.y)
        ((sign, value),) = values
        made = self.node.y
        if value is not self.node.x:
            made = self.op.clone(self.node.source, [value, *self.node.inputs[1:]])[0]
        return total(self.op, [(sign, made)])

    def _back(self, r: Any) -> Any:
        return r if self.is_sum else written(propagate(self.op, self.node, r)[0])
