"""The steps of our operator ``ai.onnxplain::Elementwise``: how nodes become steps, and what steps make."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.bounded import Bounds, bounds
from onnxplain.graph.passes.lower.mask_by_hard_sigmoid import STEEP
from onnxplain.graph.passes.lower.matching import DOMAIN

__all__ = ["FIRST", "KINDS", "VARIADIC", "Program", "is_mask", "is_program", "of_zeros"]

_Number = np.float32

#: What a step does, as ``csrc/kernels/elementwise.hpp`` numbers it.
_MEANING: dict[str, Callable[..., object]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Reciprocal": np.reciprocal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Greater": np.greater,
    "Less": np.less,
    "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal,
    "Equal": np.equal,
    "Not": np.logical_not,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Where": np.where,
}
KINDS = {kind: number for number, kind in enumerate(_MEANING)}
_MEANINGS = tuple(_MEANING.values())

#: Operators of any number of inputs, and the step that is taken again and again.
VARIADIC = {"Sum": "Add", "Max": "Max", "Min": "Min"}

#: Numbers for a step: its kind, and up to three operands.
FIRST = 4
_MOST_OPERANDS = FIRST - 1

#: What fits a kernel's parameters in any case (csrc/kernels/elementwise_threads.hpp).
_MOST_INPUTS, _MOST_CONSTANTS, _MOST_STEPS = 16, 64, 96


def is_program(node: ir.Node) -> bool:
    """Whether a node is such an operator."""
    return node.op_type == "Elementwise" and node.domain == DOMAIN


def is_mask(node: ir.Node) -> bool:
    """Whether a node is a comparison that was written as a steep hard sigmoid."""
    slope = facts.attr(node, "alpha", 0.2)
    return node.op_type == "HardSigmoid" and isinstance(slope, float) and abs(slope) >= STEEP


def of_zeros(node: ir.Node) -> bool:
    """Whether a program makes zero where all its inputs are zero."""
    encoded = list(node.attributes["program"].as_ints())
    constants = node.attributes["constants"].as_floats()
    made: list[object] = [_Number(0)] * len(node.inputs) + [_Number(c) for c in constants]
    with np.errstate(all="ignore"):
        for k in range(0, len(encoded), FIRST):
            kind, *operands = encoded[k : k + FIRST]
            value = _MEANINGS[kind](*(made[i] for i in operands if i >= 0))
            made.append(np.asarray(value, _Number)[()])
    return bool(made[-1] == 0)


class Program:
    """Nodes in order as the steps of one operator.

    Constant numbers are held by the operator, unless they give the result axes that no tensor gives it.
    """

    def __init__(self, order: Sequence[ir.Node]) -> None:
        made = {n.outputs[0] for n in order}
        entering = dict.fromkeys(v for n in order for v in n.inputs if v is not None and v not in made)
        ranks = [facts.rank(v) or 0 for v in entering if not _is_number(v)]
        held = [v for v in entering if ranks and _is_number(v) and (facts.rank(v) or 0) <= max(ranks)]
        remade: dict[ir.Value, Bounds] = {}
        for v in entering:
            found = bounds(v)
            if found is not None and found.source in entering and bounds(found.source) is None:
                remade[v] = found
        self.inputs = [v for v in entering if v not in held and v not in remade]
        self.constants = [float(np.asarray(facts.constant(v)).item()) for v in held]
        numbers = {v: k for k, v in enumerate([*self.inputs, *held])}
        rectified = {n.outputs[0]: found for n in order if (found := bounds(n.outputs[0])) is not None}
        ends = {
            v: self._held([end for end in (found.low, found.high) if end is not None])
            for v, found in (remade | rectified).items()
        }
        masks = {n: self._held([_bound(n)]) for n in order if is_mask(n)}
        programs = {n: self._held(n.attributes["constants"].as_floats()) for n in order if is_program(n)}
        self.constants = self.constants or [0.0]
        self._given = len(self.inputs) + len(self.constants)
        self.encoded: list[int] = []
        for v, found in remade.items():
            numbers[v] = self._rectify(found, numbers[found.source], ends[v])
        for node in order:
            made_here = node.outputs[0]
            operands = [numbers[v] for v in node.inputs if v is not None]
            kind = node.op_type
            if made_here in rectified:
                numbers[made_here] = self._rectify(rectified[made_here], operands[0], ends[made_here])
            elif node in programs:
                numbers[made_here] = self._inline(node, operands, programs[node])
            elif node in masks:
                bound = len(self.inputs) + masks[node]
                numbers[made_here] = self._chain("Greater" if _rises(node) else "Less", [*operands, bound])
            else:
                numbers[made_here] = self._chain(VARIADIC.get(kind, kind), operands)

    def _held(self, constants: Sequence[float]) -> int:
        """Hold constants; return the place of the first among them."""
        self.constants += constants
        return len(self.constants) - len(constants)

    def _rectify(self, found: Bounds, number: int, first: int) -> int:
        """Add the steps of a rectified value, whose bounds are held from ``first`` on."""
        bound = len(self.inputs) + first
        for kind, end in (("Max", found.low), ("Min", found.high)):
            if end is not None:  # first, so that a negative zero stays one
                number = self._chain(kind, [bound, number])
                bound += 1
        return number

    @property
    def is_small(self) -> bool:
        """Whether a GPU's kernel takes it."""
        return (
            len(self.inputs) <= _MOST_INPUTS
            and len(self.constants) <= _MOST_CONSTANTS
            and len(self.encoded) // FIRST <= _MOST_STEPS
        )

    def _inline(self, node: ir.Node, operands: list[int], first: int) -> int:
        """Add a program's steps, whose constants are held from ``first`` on; return the last's number."""
        encoded = node.attributes["program"].as_ints()
        count = len(node.attributes["constants"].as_floats())
        first += len(self.inputs)
        numbers = [*operands, *range(first, first + count)]
        for k in range(0, len(encoded), FIRST):
            kind, *places = encoded[k : k + FIRST]
            self.encoded += [kind, *(numbers[i] if i >= 0 else -1 for i in places)]
            numbers.append(self._last())
        return self._last()

    def _last(self) -> int:
        """Return the number of the last step's result."""
        return self._given + len(self.encoded) // FIRST - 1

    def _chain(self, kind: str, operands: list[int]) -> int:
        """Add a step (several, where the standard takes any number of operands); return its number."""
        if len(operands) > _MOST_OPERANDS or (kind in VARIADIC.values() and len(operands) > 2):
            rest = self._chain(kind, operands[:-1])
            return self._chain(kind, [rest, operands[-1]])
        self.encoded += [KINDS[kind], *operands, *[-1] * (_MOST_OPERANDS - len(operands))]
        return self._last()


def _rises(mask: ir.Node) -> bool:
    slope = facts.attr(mask, "alpha")
    assert isinstance(slope, float)
    return slope > 0


def _bound(mask: ir.Node) -> float:
    slope, beta = facts.attr(mask, "alpha"), facts.attr(mask, "beta")
    assert isinstance(slope, float)
    assert isinstance(beta, float)
    return -beta / slope


def _is_number(value: ir.Value) -> bool:
    held = facts.constant(value)
    return held is not None and held.size == 1
