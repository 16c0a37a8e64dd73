"""A layer ``y = L(W, x) + b`` with constant weight, and what scaling its input or output does to W and b.

Cases: Conv, ConvTranspose, Gemm, and MatMul of a matrix with a constant matrix, an Add of one constant per
channel after it included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.decomposition import number, whole
from onnxplain.graph.names import Names
from onnxplain.graph.traits import Is, operators

__all__ = ["LinearLayer", "ends", "starts", "store"]

_CONVS = operators(Is.LAYER | Is.WINDOW)
_MATRIX = 2  # rank


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A linear layer as the graph has it.

    Attributes
    ----------
    node
        The Conv, ConvTranspose, Gemm or MatMul; its input 0 is ``x``.
    add
        The Add that gives a Conv, ConvTranspose or MatMul its bias, if there is one.
    weight
        The weight as it is stored.
    bias
        What is added, float64: (channels,), or (rows, channels) for some Gemms.  None if it is not constant.
    """

    node: ir.Node
    add: ir.Node | None
    weight: Array
    bias: Array | None

    @property
    def output(self) -> ir.Value:
        """The layer's output, its bias included."""
        return (self.add or self.node).outputs[0]

    @property
    def alone(self) -> bool:
        """Whether the output has one reader only, and so has everything inside."""
        inside = [self.node.outputs[0], self.output]
        return all(len(v.uses()) == 1 and not v.is_graph_output() for v in inside)

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return _channels(self.node, self.weight)

    def scale_output(self, factor: Array) -> Array:
        """Return the float64 weight of ``factor * L(W, x)``, factor (channels,)."""
        weight = self.weight.astype(np.float64)
        if self.node.op_type not in _CONVS:
            return weight * (factor[:, None] if _transposed(self.node) else factor)
        ones = (1,) * (weight.ndim - 2)
        if self.node.op_type == "Conv":
            return weight * factor.reshape(-1, 1, *ones)
        group = whole(self.node, "group", 1)  # ConvTranspose: (in, out / group, kernel)
        split = weight.reshape(group, -1, *weight.shape[1:])
        return np.asarray((split * factor.reshape(group, 1, -1, *ones)).reshape(weight.shape))

    def scale_input(self, factor: Array) -> Array:
        """Return the float64 weight of ``L(W, factor * x)``, factor (input channels,)."""
        weight = self.weight.astype(np.float64)
        if self.node.op_type not in _CONVS:
            return weight * (factor if _transposed(self.node) else factor[:, None])
        if self.node.op_type == "ConvTranspose":
            return weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
        split, per_group = self._by_group(weight, factor)
        return np.asarray((split * per_group).reshape(weight.shape))

    def shift_input(self, shift: Array) -> Array | None:
        """Return the float64 bias of ``L(W, x + shift) + b`` where it is a bias, shift (input channels,).

        It is none where a padded Conv, or a ConvTranspose, sums fewer terms at the border, and it cannot be
        stored where ``b`` is not constant.
        """
        if self.bias is None or self.node.op_type == "ConvTranspose":
            return None
        weight = self.weight.astype(np.float64)
        if self.node.op_type == "Conv":
            if _padded(self.node, weight.shape[2:]):
                return None
            split, per_group = self._by_group(weight, shift)
            summed = (split * per_group).sum(axis=tuple(range(2, split.ndim))).reshape(-1)
            return np.asarray(self.bias + summed)
        summed = (weight @ shift) if _transposed(self.node) else (shift @ weight)
        return np.asarray(self.bias + number(self.node, "alpha", 1.0) * summed)

    def write(self, weight: Array, bias: Array | None, x: ir.Value | None, before: ir.Node) -> ir.Value:
        """Write the layer again, with other content, in front of a node; returns its output.

        Parameters
        ----------
        weight
            The new weight.
        bias
            The new bias, or None to leave bias and Add as they are.
        x
            The new input.
        before
            Node of the main graph that the new node stands in front of.
        """
        graph, node = before.graph, self.node
        assert isinstance(graph, ir.Graph)
        dtype, name = self.weight.dtype, self.output.name
        inputs = [x, store(graph, f"{name}/weight", weight.astype(dtype)), *node.inputs[2:]]
        op_type, attributes = node.op_type, dict(node.attributes)
        if bias is not None:
            inputs[2:] = [store(graph, f"{name}/bias", bias.astype(dtype))]
            op_type = "Gemm" if op_type == "MatMul" else op_type
            attributes.pop("beta", None)
        made = ir.Node(
            "", op_type, inputs, attributes, num_outputs=1, metadata_props=dict(node.metadata_props)
        )
        graph.insert_before(before, made)
        return made.outputs[0]

    def _by_group(self, weight: Array, content: Array) -> tuple[Array, Array]:
        """Return a Conv's weight as (G, O, I, k...), and content per input channel as (G, 1, I, 1...)."""
        group = whole(self.node, "group", 1)
        ones = (1,) * (weight.ndim - 2)
        return weight.reshape(group, -1, *weight.shape[1:]), content.reshape(group, 1, -1, *ones)


def starts(node: ir.Node) -> LinearLayer | None:
    """Return the layer that begins with a node, with the Add that is the only reader of a MatMul."""
    layer = _layer(node)
    if layer is None or node.op_type != "MatMul" or not layer.alone:
        return layer
    reader = next(iter(node.outputs[0].uses())).node
    added = _ends_in_add(reader) if reader.graph is node.graph else None
    return layer if added is None else added


def ends(value: ir.Value | None) -> LinearLayer | None:
    """Return the layer that makes a value."""
    node = None if value is None else value.producer()
    if node is None:
        return None
    return _ends_in_add(node) if node.op_type == "Add" else _layer(node)


def store(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Store an array as a new initializer, whose name is another if it is taken."""
    free = Names(graph).free(name)
    tensor = ir.tensor(np.ascontiguousarray(array), name=free)
    value = ir.Value(
        name=free, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def _layer(node: ir.Node) -> LinearLayer | None:
    if node.domain not in ("", "ai.onnx") or node.op_type not in _CONVS | {"Gemm", "MatMul"}:
        return None
    weight = facts.constant(node.inputs[1])
    if weight is None:
        return None
    x = node.inputs[0]
    if node.op_type == "MatMul" and (x is None or facts.rank(x) != _MATRIX or weight.ndim != _MATRIX):
        return None
    return LinearLayer(node, None, weight, _bias(node, weight))


def _ends_in_add(add: ir.Node) -> LinearLayer | None:
    """Return the layer to whose output an Add adds a constant per channel, its bias."""
    if add.op_type != "Add" or add.domain not in ("", "ai.onnx"):
        return None
    for product, other in (add.inputs, add.inputs[::-1]):
        node = None if product is None else product.producer()
        layer = None if node is None or node.op_type not in _CONVS | {"MatMul"} else _layer(node)
        row = None if facts.is_of_lengths(other) else facts.constant(other)
        if layer is None or layer.bias is None or row is None or row.ndim > layer.weight.ndim:
            continue
        rank = layer.weight.ndim
        dims = (1,) * (rank - row.ndim) + row.shape
        if dims[1] in (1, layer.channels) and row.size == dims[1]:
            bias = layer.bias + np.broadcast_to(row.astype(np.float64).reshape(-1), layer.channels)
            return LinearLayer(layer.node, add, layer.weight, bias)
    return None


def _bias(node: ir.Node, weight: Array) -> Array | None:
    channels = _channels(node, weight)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return np.zeros(channels)
    stored = facts.constant(value)
    if stored is None or facts.is_of_lengths(value):
        return None
    bias = number(node, "beta", 1.0) * stored.astype(np.float64)
    one_row = bias.ndim < _MATRIX or bias.shape[0] == 1
    return np.broadcast_to(bias.reshape(-1), channels) if one_row else bias


def _channels(node: ir.Node, weight: Array) -> int:
    if node.op_type == "ConvTranspose":
        return int(weight.shape[1]) * whole(node, "group", 1)
    return int(weight.shape[0 if node.op_type == "Conv" or _transposed(node) else 1])


def _transposed(node: ir.Node) -> bool:
    return bool(whole(node, "transB", 0))


def _padded(node: ir.Node, kernel: tuple[int, ...]) -> bool:
    auto_pad = facts.attr(node, "auto_pad", "NOTSET")
    if auto_pad == "NOTSET":
        pads = facts.attr(node, "pads", ())
        assert isinstance(pads, tuple)
        return any(pads)
    return auto_pad != "VALID" and any(k != 1 for k in kernel)  # a kernel of one place needs no padding
