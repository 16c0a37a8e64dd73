"""Write walks back through Gelu as ``ai.onnxplain::GeluBackward``, however the model spells it.

Cases: ``x P(X <= x)`` of a normal X, by erf or by the usual approximation with tanh, as one operator or
written out, with a bias before it or not; what a walk back writes for it is a function of one value x,
elementwise, times what arrives.  It is recognised by that function: evaluated in double precision at many
places, it must be a multiple of Gelu's slope, and proportional to what arrives.  Its constants must be single
numbers.

The walk then reads nothing of the model's Gelu but x, so that onnxruntime runs that as one operator, too.
The slope is computed to some 1e-7, so results differ by that.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import number, put, roots

__all__ = ["FuseGelu"]

_ERF = np.vectorize(math.erf, otypes=[np.float64])
_MEANING: dict[str, Callable[..., Any]] = {
    "Identity": lambda x: x,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Erf": _ERF,
    "Tanh": np.tanh,
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Where": np.where,
    "Sum": lambda *terms: sum(terms),
}
_CORES = ("Erf", "Tanh")
#: Nodes around a core that are looked at, and steps from one gradient to another that is a multiple of it.
_MOST, _STEPS = 48, 4
#: How near a function must be to a slope, as a share of its scale: what rounding of its constants makes.
_CLOSE = {ir.DataType.FLOAT: 1e-5, ir.DataType.FLOAT16: 5e-4}
_FEW, _MANY = np.array([0.4, -1.3, 2.2]), np.linspace(-7, 7, 113)


class FuseGelu(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        cores = [n for n in model.graph if n.op_type in _CORES and _means(n)]
        order = {n: k for k, n in enumerate(model.graph)} if cores else {}
        fit = set(roots(model)) if cores else set()
        for core in cores:
            behind = [n for n in _behind(core) if n in fit and facts.is_written(n)]
            for root in sorted(behind, key=order.__getitem__, reverse=True):
                found = _match(root, core) if root.graph is not None and core.graph is not None else None
                if found is not None:
                    attributes = {"factor": [found.factor]} | ({"tanh": 1} if found.by_tanh else {})
                    put(model, root, "GeluBackward", (found.x, found.g), attributes)
                    modified = True
        return ir.passes.PassResult(model, modified)


class _Gelu(NamedTuple):
    """A walk back through Gelu: factor * g * (its slope at x)."""

    x: ir.Value
    g: ir.Value
    factor: float
    by_tanh: bool


def _match(root: ir.Node, core: ir.Node) -> _Gelu | None:
    made, start = root.outputs[0], core.inputs[0]
    assert start is not None
    for x in _above(start):
        rank = facts.rank(x)
        function = _Function(x, rank or 0)
        if function.reads(start) and (g := function.factor_of(made)) is not None:
            found = _slope(
                functools.partial(function.values, made, g), _CLOSE[made.dtype or ir.DataType.FLOAT]
            )
            if found is not None and x.dtype == g.dtype == made.dtype and _repeats(g, rank):
                return _Gelu(x, g, *found)
    return None


def _slope(function: Callable[[Array, float], Array], close: float) -> tuple[float, bool] | None:
    """Return the factor of a function that is a multiple of g and of Gelu's slope, and whether by tanh."""
    fits: dict[float, tuple[float, bool]] = {}
    for by_tanh, slope in ((False, _by_erf), (True, _by_tanh)):
        factor = float(function(_FEW[:1], 1.0)[0] / slope(_FEW[:1])[0])
        off = 0.0
        for at, g in itertools.product((_FEW, _MANY), (1.0, -3.0)):
            off = max(off, float(np.abs(function(at, g) - factor * g * slope(at)).max()))
            if not (factor and off <= close * abs(factor)):  # nor what is no number
                break
        else:
            fits[off] = factor, by_tanh
    return fits[min(fits)] if fits else None


def _by_erf(x: Array) -> Array:
    found: Array = (1 + _ERF(x / math.sqrt(2))) / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return found


def _by_tanh(x: Array) -> Array:
    tanh = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    found: Array = (1 + tanh) / 2 + x * (1 - tanh * tanh) * inner / 2
    return found


class _Function:
    """What is made of a value x, by elementwise steps with single numbers."""

    def __init__(self, x: ir.Value, rank: int) -> None:
        self._x, self._rank = x, rank
        self._known: dict[ir.Value, bool] = {x: True}

    def reads(self, value: ir.Value) -> bool:
        """Whether a value is made of x."""
        if value not in self._known:
            self._known[value] = False
            node = value.producer() if len(self._known) < _MOST else None
            if node is not None and _means(node):
                self._known[value] = any(v is not None and self.reads(v) for v in node.inputs)
        return self._known[value]

    def factor_of(self, made: ir.Value) -> ir.Value | None:
        """Return the one value beside x that another is made of; None where there are several, or none."""
        others: dict[ir.Value, None] = {}
        stack, seen = [made], {made}
        while stack:
            value = stack.pop()
            node = value.producer()
            if value is self._x or number(value) is not None:
                continue
            if not self.reads(value) or node is None:
                others[value] = None
                continue
            above = [v for v in node.inputs if v is not None and v not in seen]
            seen.update(above)
            stack += above
        for _ in range(_STEPS):
            others = dict.fromkeys(_scaled(v) for v in others)
        found = next(iter(others), None)
        return found if len(others) == 1 and found is not None and not facts.is_constant(found) else None

    def values(self, made: ir.Value, g: ir.Value, at: Array, arriving: float) -> Array:
        """Return a value at these x, with so much arriving; nan where a constant is no single number."""
        known: dict[ir.Value, Any] = {self._x: at, g: arriving}

        def of(value: ir.Value) -> Any:
            if value not in known:
                held, node = facts.constant(value), value.producer()
                if held is not None:
                    known[value] = _wide(held) if held.size == 1 and held.ndim <= self._rank else math.nan
                else:
                    assert node is not None
                    known[value] = _MEANING[node.op_type](*(of(v) for v in node.inputs if v is not None))
            return known[value]

        with np.errstate(all="ignore"):
            found: Array = np.broadcast_to(of(made), at.shape)
        return found


def _wide(held: Array) -> Any:
    """Return a single number in double precision, or a truth value."""
    return held.item() if held.dtype == bool else float(held.item())


def _means(node: ir.Node) -> bool:
    """Whether a node is a step whose meaning is known."""
    plain = node.domain in ("", "ai.onnx") and len(node.outputs) == 1
    return plain and node.op_type in _MEANING and all(v is not None for v in node.inputs)


def _scaled(value: ir.Value) -> ir.Value:
    """Return what a value is a multiple of, by one step."""
    node = value.producer()
    if node is None or not _means(node) or node.op_type not in ("Mul", "Div", "Neg", "Identity"):
        return value
    numbers = [number(v) is not None for v in node.inputs]
    single = numbers in ([False], [False, True]) or (numbers == [True, False] and node.op_type == "Mul")
    found = node.inputs[numbers.index(False)] if single else value
    return found if found is not None else value


def _above(value: ir.Value) -> Iterator[ir.Value]:
    """Yield what a value is made of, nearest first, and itself; no constants."""
    seen, queue = {value}, [value]
    while queue and len(seen) < _MOST:
        value = queue.pop(0)
        yield value
        node = value.producer()
        above = node.inputs if node is not None and _means(node) else ()
        queue += [v for v in above if v is not None and v not in seen and not facts.is_constant(v)]
        seen.update(queue)


def _behind(core: ir.Node) -> Iterator[ir.Node]:
    """Yield the steps that are made of a node's result."""
    seen: set[ir.Node] = set()
    queue = [core]
    while queue and len(seen) < _MOST:
        for use in queue.pop(0).outputs[0].uses():
            if use.node not in seen and _means(use.node) and use.node.graph is core.graph:
                seen.add(use.node)
                queue.append(use.node)
                yield use.node


def _repeats(g: ir.Value, rank: int | None) -> bool:
    """Whether what arrives has no more axes than the values."""
    own = facts.rank(g)
    return own is not None and rank is not None and own <= rank
