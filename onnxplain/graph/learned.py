"""What a model has learned: its layers in order, and the constants that are their weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.einsum import spelled_out
from onnxplain.graph.evaluate import is_pure
from onnxplain.graph.quantized.standard import QUANTIZED
from onnxplain.graph.traits import movers, traits

__all__ = ["Layer", "Learned", "LearnedOf", "learned_layers", "unshared"]

#: What a constant is of its layer; what a normalisation has learned, scale and shift, is ``"norm"``.
LearnedOf: TypeAlias = Literal["weight", "bias", "norm"]

#: Inputs of operators: position, what it is, and what it is where nothing was learned (None: drawn).
_INPUTS: dict[str, tuple[tuple[int, LearnedOf, float | None], ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "DeformConv"), ((1, "weight", None), (2, "bias", 0.0))),
    "Gemm": ((0, "weight", None), (1, "weight", None), (2, "bias", 0.0)),
    "MatMul": ((0, "weight", None), (1, "weight", None)),
    "LSTM": ((1, "weight", None), (2, "weight", None), (3, "bias", 0.0), (7, "weight", None)),
    **dict.fromkeys(("GRU", "RNN"), ((1, "weight", None), (2, "weight", None), (3, "bias", 0.0))),
    "Gather": ((0, "weight", None),),
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization"),
        ((1, "norm", 1.0), (2, "norm", 0.0)),
    ),
    "RMSNormalization": ((1, "norm", 1.0),),
    "BatchNormalization": ((1, "norm", 1.0), (2, "norm", 0.0), (3, "norm", 0.0), (4, "norm", 1.0)),
}
#: Operators that add or multiply: what a vector among their operands is where nothing was learned.
_VECTORS: dict[str, float] = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
_MOVERS = movers()
#: Classic models keep what they learned in attributes.
_CLASSIC = ("TreeEnsemble", "SVM", "Linear")


@dataclass(frozen=True, eq=False)
class Learned:
    """A constant that was learned.

    Attributes
    ----------
    value
        The initializer.
    of
        What it is of its layer.
    number
        Its place among all learned constants of the model, in the order of the graph.
    fan_in, fan_out
        How many numbers each output is made of, and how many outputs each number goes into, counted as
        torch's initialisations count them; of the layer's weight, for a bias.
    width
        Number whose root bounds what torch draws: ``fan_in``, or the size of a recurrent layer's state.
    table
        Whether rows are picked from it.
    rest
        What it is where nothing was learned; None: such weights are drawn.
    copies
        Other initializers with the same numbers, and in which order of axes: a weight that two layers share,
        of which constant folding made two.
    """

    value: ir.Value
    of: LearnedOf
    number: int
    fan_in: int
    fan_out: int
    width: int
    table: bool = False
    rest: float | None = None
    copies: dict[ir.Value, tuple[int, ...]] = field(default_factory=dict)

    @property
    def array(self) -> Array:
        """Its content."""
        found = facts.constant(self.value)
        assert found is not None
        return found


@dataclass(frozen=True, eq=False)
class Layer:
    """A node with something learned, and what adds a bias right behind it.

    Attributes
    ----------
    name
        Of the node, or of its output if the node has none.
    op_type
        The operator.
    learned
        Its constants.  Layers may share some.
    """

    name: str
    op_type: str
    learned: tuple[Learned, ...]


def learned_layers(graph: ir.Graph) -> tuple[Layer, ...]:
    """Return the layers of a graph in normal form, in its order, those in bodies at their node's place.

    A layer is a node with a constant in the place of weights: Conv, ConvTranspose, DeformConv, Gemm, MatMul,
    Einsum, LSTM, GRU, RNN, a table of which Gather picks rows; and a normalisation with scale or shift.  The
    constant may come by way of nodes that compute it of constants alone.  Vectors along one axis that are
    added right behind a layer are its bias; others that are added or multiplied somewhere behind a layer are
    a normalisation's.  Nothing else counts (positions, masks, what prepares an input).

    Raises
    ------
    MethodError
        If the model has learned something that is found nowhere there: trees, support vector machines,
        operators of other domains, or quantised ones that are not understood.
    """
    return _Search().layers(graph)


class _Search:
    def __init__(self) -> None:
        self.known: dict[ir.Value, Learned] = {}
        self.glances: dict[tuple[object, ...], list[Learned]] = {}
        self.fixed: dict[ir.Value, bool] = {}
        self.made_by: dict[ir.Value, int] = {}  # the layer right before a value
        self.behind: set[ir.Value] = set()
        self.found: list[tuple[ir.Node, list[Learned]]] = []
        self.count = 0

    def layers(self, graph: ir.Graph) -> tuple[Layer, ...]:
        for node in graph.all_nodes():
            _refuse(node)
            self._visit(node)
        return tuple(
            Layer(node.name or str(node.outputs[0].name), node.op_type, tuple(dict.fromkeys(learned)))
            for node, learned in self.found
        )

    def _visit(self, node: ir.Node) -> None:
        operands = [v for v in node.inputs if v is not None and not self._is_fixed(v)]
        if not operands and node.inputs:
            return
        place = self._layer(node)
        if place is None:
            place = self._vector(node, operands)
        if place is not None:
            self.made_by[node.outputs[0]] = place
        elif node.op_type in _MOVERS and node.inputs[0] in self.made_by:
            self.made_by[node.outputs[0]] = self.made_by[node.inputs[0]]
        if place is not None or any(v in self.behind for v in operands):
            self.behind.update(node.outputs)
            for body in node.attributes.values():
                if body.type == ir.AttributeType.GRAPH:
                    self.behind.update(body.as_graph().inputs)

    def _layer(self, node: ir.Node) -> int | None:
        """Enter a node that is a layer of its own."""
        if node.domain not in ("", "ai.onnx"):
            return None
        places = _INPUTS.get(node.op_type, ())
        if node.op_type == "Einsum":
            places = tuple((k, "weight", None) for k in range(len(node.inputs)))
        learned: list[Learned] = []
        fans = (1, 1, 1)
        for k, of, rest in places:
            value = node.inputs[k] if k < len(node.inputs) else None
            if value is None or not self._is_fixed(value):
                continue
            shape = facts.static_shape(value)
            if shape is None or not facts.is_float(value) or math.prod(shape) == 0:
                continue
            if of == "weight":
                if node.op_type == "Gather" and len(shape) < 2:
                    continue
                fans = _fans(node, k, shape)
            sources = self._sources(value)
            learned += [self._enter(s, of, fans, rest, table=node.op_type == "Gather") for s in sources]
        return self._add(node, learned)

    def _vector(self, node: ir.Node, operands: Sequence[ir.Value]) -> int | None:
        """Enter what adds a vector to values, or multiplies them by one, behind a layer."""
        rest = _VECTORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rest is None or len(operands) != 1 or operands[0] not in self.behind:
            return None
        (vector,) = [v for v in node.inputs if v is not operands[0]]
        shape = None if vector is None else facts.static_shape(vector)
        if vector is None or shape is None or sum(d > 1 for d in shape) != 1 or not facts.is_float(vector):
            return None
        before = self.made_by.get(operands[0])
        of: LearnedOf = "norm"
        fans = (1, 1, 1)
        if rest == 0 and before is not None:
            first = self.found[before][1][0]
            of = "norm" if first.of == "norm" else "bias"
            fans = (first.fan_in, first.fan_out, first.width)
        elif rest == 0:
            of = "bias"
        learned = [self._enter(s, of, fans, rest) for s in self._sources(vector)]
        if rest == 0 and before is not None:
            self.found[before][1].extend(learned)
            return before
        return self._add(node, learned)

    def _add(self, node: ir.Node, learned: list[Learned]) -> int | None:
        if not learned:
            return None
        self.found.append((node, learned))
        return len(self.found) - 1

    def _enter(
        self,
        value: ir.Value,
        of: LearnedOf,
        fans: tuple[int, int, int],
        rest: float | None,
        *,
        table: bool = False,
    ) -> Learned:
        if value not in self.known:
            made = Learned(value, of, self.count, *fans, table=table, rest=rest)
            self.known[value] = self._tied(made) if of == "weight" else made
            self.count += self.known[value] is made
        return self.known[value]

    def _tied(self, made: Learned) -> Learned:
        """Find the same numbers, in the same order or with the axes in another, among what is known."""
        array = made.array
        ends = array[(0,) * array.ndim].item(), array[(-1,) * array.ndim].item()
        alike = self.glances.setdefault((array.dtype, tuple(sorted(array.shape)), *ends), [])
        for other in alike:
            turned = _turned(other.array, array)
            if turned is not None:
                other.copies[made.value] = turned
                return other
        alike.append(made)
        return made

    def _is_fixed(self, value: ir.Value) -> bool:
        """Tell whether a value is made of constants alone."""
        stack = [value]
        while stack:
            one = stack[-1]
            node = one.producer()
            if one not in self.fixed and facts.is_constant(one):
                self.fixed[one] = True
            elif one not in self.fixed and (node is None or not node.inputs or not is_pure(node)):
                self.fixed[one] = False
            if one in self.fixed:
                stack.pop()
                continue
            assert node is not None
            operands = [v for v in node.inputs if v is not None]
            open_ones = [v for v in operands if v not in self.fixed]
            if open_ones:
                stack += open_ones
            else:
                self.fixed[one] = all(self.fixed[v] for v in operands)
        return self.fixed[value]

    def _sources(self, value: ir.Value) -> list[ir.Value]:
        """Return the constants that a fixed value is made of; of more than one number, unless it is one."""
        node = value.producer()
        if facts.is_constant(value) or node is None:
            return [value]
        held = [v for k, v in enumerate(node.inputs) if v is not None and traits(node).holds(k)]
        made = itertools.chain.from_iterable(self._sources(v) for v in held)
        return [v for v in dict.fromkeys(made) if v.const_value is not None and v.const_value.size > 1]


def _turned(a: Array, b: Array) -> tuple[int, ...] | None:
    """Return the order of a's axes that makes it b; None if none does."""
    if a.ndim != b.ndim or (a.ravel() == a.ravel()[0]).all():
        return None
    for order in itertools.permutations(range(a.ndim)) if a.ndim <= 4 else (tuple(range(a.ndim)),):
        if tuple(a.shape[k] for k in order) == b.shape and np.array_equal(a.transpose(order), b):
            return order
    return None


def _fans(node: ir.Node, k: int, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return how many numbers go into an output, how many outputs a number goes into, and torch's width."""
    op = node.op_type
    if op == "Gather":
        axis = facts.attr(node, "axis", 0)
        assert isinstance(axis, int)
        return 1, math.prod(shape) // shape[axis], 1
    if op in ("Conv", "ConvTranspose", "DeformConv"):
        window = math.prod(shape[2:])
        fan_in, fan_out = shape[1] * window, shape[0] * window
    elif op in ("LSTM", "GRU", "RNN"):
        recurrence = node.inputs[2]
        assert recurrence is not None
        size = facts.static_dim(recurrence, -1) or shape[-1]
        return shape[-1], shape[1], size
    elif op == "Einsum":
        ranks = [0 if v is None else facts.rank(v) or 0 for v in node.inputs]
        terms, out, _ = spelled_out(str(facts.attr(node, "equation")), ranks)
        lengths = dict(zip(terms[k], shape, strict=False))
        fan_in = math.prod(d for letter, d in lengths.items() if letter not in out)
        fan_out = math.prod(d for letter, d in lengths.items() if letter in out)
    elif len(shape) < 2:
        fan_in, fan_out = shape[0] if shape else 1, 1
    else:
        turned = op == "Gemm" and bool(facts.attr(node, "transB" if k else "transA", 0))
        fan_in, fan_out = shape[-2:] if (k == 1) != turned else shape[:-3:-1]
    return fan_in, fan_out, fan_in


def _refuse(node: ir.Node) -> None:
    """Raise if a node has learned what cannot be found among its inputs."""
    label = facts.node_label(node)
    if node.domain == "ai.onnx.ml":
        if node.op_type.startswith(_CLASSIC):
            raise MethodError(
                f"{label} keeps what it learned in its attributes, and only weights of layers are drawn "
                "anew; compare with a model trained on other data instead (data_randomisation)"
            )
        return
    constants = [v for v in node.inputs if facts.is_constant(v)]
    if node.domain not in ("", "ai.onnx"):
        if any(v is not None and v.const_value is not None and v.const_value.size > 1 for v in constants):
            raise MethodError(
                f"{label} is no operator of the standard, so that it is not known which of its inputs are "
                "weights; export the model without it"
            )
    elif ("", node.op_type) in QUANTIZED and node.op_type.startswith(("QLinear", "ConvI", "MatMulI")):
        reason = node.metadata_props.get(facts.REASON_KEY, "it is not understood")
        raise MethodError(f"the weights of {label} cannot be drawn anew: {reason}; use the float model")


def unshared(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers, in a given order, each with what none before it has; those with nothing are gone."""
    seen: set[Learned] = set()
    made = []
    for layer in layers:
        fresh = tuple(one for one in layer.learned if one not in seen)
        seen.update(fresh)
        if fresh:
            made.append(replace(layer, learned=fresh))
    return tuple(made)
