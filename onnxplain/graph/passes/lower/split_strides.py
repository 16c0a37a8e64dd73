"""Write transposed convolutions with strides as several plain ones, and put their results together.

Cases: ConvTranspose over two axes that a walk back wrote (never the model's own), with constant weight, no
bias, no dilation, explicit pads, at least eight channels out of each group, or one in each of as many groups.

With stride s, every s-th row and column of the result takes every s-th row and column of the kernel alone:

    y[s q + r - p] = sum_t W[r + s t] g[q - t],    r = 0, ..., s - 1,  along each axis,

which is a plain convolution of g with a part of the kernel, for each r.  onnxruntime runs these on blocked
values on all threads; the transposed form it does not.  The products are the same, their sums in another
order.  Our operator ``Interleave`` puts the parts together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.passes.lower.flip_transposed_convs import flip
from onnxplain.graph.passes.lower.matching import DOMAIN, held

__all__ = ["SplitStrides"]

_AXES = 2
_LONGEST = 16  # kernels beyond are as wide as images
_MOST_PARTS = 16
_FEWEST_CHANNELS = 8  # fewer leave blocks of channels mostly empty


class SplitStrides(ir.passes.InPlacePass):
    """Lower for the CPU, where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in list(model.graph):
            if node.op_type == "ConvTranspose" and facts.is_written(node):
                modified |= _split(model.graph, node)
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
        return ir.passes.PassResult(model, modified)


@dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution."""

    kernel: int
    stride: int
    begin: int
    end: int
    more: int  # output padding

    def part(self, r: int) -> tuple[int, int, int] | None:
        """Return where the part r begins in the result, and a plain convolution's pads; None if it is empty.

        A part has as many places as the input, or more, so that it is never empty: those outside of the
        result count for nothing.

        Raises
        ------
        ValueError
            If the pads would be negative.
        """
        taps = len(range(r, self.kernel, self.stride))
        if not taps:
            return None
        first = -((r - self.begin) // self.stride)  # the first q whose place is not before the result
        pads = taps - 1 - first, (self.more + self.kernel - 1 - self.end - r) // self.stride
        if min(pads) < 0:
            raise ValueError
        missing = max(taps - 1 - sum(pads), 0)
        return self.stride * first + r - self.begin, pads[0], pads[1] + missing

    def longer(self, r: int) -> int:
        """Return how many more places part r has in the result than in the input."""
        taps = len(range(r, self.kernel, self.stride))
        first = -((r - self.begin) // self.stride)
        return (self.more + self.kernel - 1 - self.end - r) // self.stride - first if taps else -_LONGEST

    def rest(self, r: int) -> int:
        """Return how many places the result has behind the last one of part r."""
        return (self.more + self.kernel - 1 - self.end - r) % self.stride


def _axes(node: ir.Node, kernel: tuple[int, ...]) -> list[_Axis] | None:
    """Return the axes of a node that fits."""
    ones, zeros = (1,) * _AXES, (0,) * _AXES
    strides, more = facts.attr(node, "strides", ones), facts.attr(node, "output_padding", zeros)
    pads = facts.attr(node, "pads", zeros + zeros)
    plain = facts.attr(node, "dilations", ones) == ones and "output_shape" not in node.attributes
    if not plain or facts.attr(node, "auto_pad", "NOTSET") != "NOTSET" or strides == ones:
        return None
    assert isinstance(strides, tuple)
    assert isinstance(more, tuple)
    assert isinstance(pads, tuple)
    if max(kernel) > _LONGEST or strides[0] * strides[1] > _MOST_PARTS:
        return None
    return [
        _Axis(int(kernel[k]), int(strides[k]), int(pads[k]), int(pads[k + _AXES]), int(more[k]))
        for k in range(_AXES)
    ]


#: Of each part (its first row and column of the kernel): where it begins in the result, and pads, by axis.
_Parts: TypeAlias = "dict[tuple[int, int], tuple[tuple[int, int, int], tuple[int, int, int]]]"


def _split(graph: ir.Graph, node: ir.Node) -> bool:
    weight = node.inputs[1]
    content = facts.constant(weight)
    if content is None or weight is None or content.ndim != 2 + _AXES or content.dtype != np.float32:
        return False
    group = facts.attr(node, "group", 1)
    assert isinstance(group, int)
    axes = _axes(node, content.shape[2:])
    depthwise = content.shape[:2] == (group, 1) and group >= _FEWEST_CHANNELS
    if axes is None or len(node.inputs) > 2 or (content.shape[1] < _FEWEST_CHANNELS and not depthwise):
        return False
    parts = _parts(axes)
    if parts is None:
        return False
    made, begins = [], []
    for (i, j), (down, across) in parts.items():
        name = f"{node.name}/part_{i}_{j}"
        kernel = _weight(graph, f"{weight.name}/part_{i}_{j}", content, group, (i, j), axes)
        attrs: dict[str, int | Sequence[int]] = {
            "group": group,
            "pads": [down[1], across[1], down[2], across[2]],
        }
        made.append(ir.node("Conv", [node.inputs[0], kernel], attrs, name=name))
        made[-1].outputs[0].name = name
        begins += [down[0], across[0]]
    first = next(iter(parts))
    ends = [axis.rest(r) for axis, r in zip(axes, first, strict=True)]
    _put_together(graph, node, made, {"strides": [a.stride for a in axes], "begins": begins, "ends": ends})
    if not weight.uses() and not weight.is_graph_output():
        graph.initializers.pop(str(weight.name), None)
    return True


def _parts(axes: list[_Axis]) -> _Parts | None:
    """Return the parts that are not empty, first the one by whose length the result's is known."""
    try:
        found = {
            (i, j): (axes[0].part(i), axes[1].part(j))
            for i, j in itertools.product(range(axes[0].stride), range(axes[1].stride))
        }
    except ValueError:
        return None
    parts = {k: (down, across) for k, (down, across) in found.items() if down and across}
    i, j = (max(range(axis.stride), key=axis.longer) for axis in axes)
    if (i, j) not in parts or min(axes[0].longer(i), axes[1].longer(j)) < 0:
        return None
    return {(i, j): parts[i, j]} | parts


def _put_together(
    graph: ir.Graph, node: ir.Node, made: list[ir.Node], attributes: dict[str, list[int]]
) -> None:
    """Put the parts of a transposed convolution in its place."""
    together = ir.node(
        "Interleave", [conv.outputs[0] for conv in made], attributes, domain=DOMAIN, name=node.name
    )
    new, old = together.outputs[0], node.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    for each in (*made, together):
        each.outputs[0].type = old.type
        each.metadata_props[facts.WRITTEN_KEY] = ""
    ir.convenience.replace_nodes_and_values(graph, node, [node], [*made, together], [old], [new])


def _weight(
    graph: ir.Graph, name: str, content: Array, group: int, start: tuple[int, int], axes: list[_Axis]
) -> ir.Value:
    """Return a part of the kernel as the weight of a plain convolution."""
    part = flip(content[:, :, start[0] :: axes[0].stride, start[1] :: axes[1].stride], group)
    return held(graph, name, part)
