"""Write pooling that rounds its size up (``ceil_mode``) so that ONNX's inference counts its windows right.

Cases: MaxPool, AveragePool and LpPool with explicit pads or none (``VALID``) and known sizes, of which the
last window would begin behind the input.  onnxruntime leaves that window out; ONNX's shape inference counts
it, and everything behind would be of another shape than what runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops

__all__ = ["TrimCeilPools"]

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


class TrimCeilPools(ir.passes.InPlacePass):
    """Replace ``ceil_mode`` by the pads that give the windows which onnxruntime computes.

    Lengths behind a pool that changed are forgotten, and pools behind it wait: infer shapes and run the pass
    again until nothing changes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        opset = model.graph.opset_imports.get("", 18)
        for graph in (model.graph, *model.graph.subgraphs()):
            stale: set[ir.Value] = set()
            for node in list(graph):
                if any(v in stale for v in node.inputs):
                    _forget(node, stale)
                elif node.op_type in _POOLS and node.domain in ("", "ai.onnx") and _trim(graph, node, opset):
                    _forget(node, stale)
                    modified = True
        return ir.passes.PassResult(model, modified)


def _forget(node: ir.Node, stale: set[ir.Value]) -> None:
    """Forget the lengths of what a node makes; the numbers of axes stay."""
    for value in node.outputs:
        rank = facts.rank(value)
        value.shape = None if rank is None else ir.Shape([None] * rank)
        stale.add(value)


@dataclass(frozen=True)
class _Axis:
    """How windows slide along one axis."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    behind: int

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def counted(self) -> int:
        """Windows as ONNX's inference counts them."""
        return math.ceil((self.size + self.before + self.behind - self.reach) / self.stride) + 1

    @property
    def windows(self) -> int:
        """Windows as onnxruntime does: each begins before the input ends."""
        beyond = (self.counted - 1) * self.stride >= self.size + self.before
        return self.counted - beyond if self.counted > 1 else self.counted

    @property
    def end(self) -> int:
        """What the last window reaches beyond the input."""
        return max((self.windows - 1) * self.stride + self.reach - self.size - self.before, 0)


def _axes(node: ir.Node) -> list[_Axis] | None:
    """Return the axes of a pool of known sizes with ``ceil_mode``, else None."""
    kernel, x = facts.attr(node, "kernel_shape"), node.inputs[0]
    shape = None if x is None else facts.dims(x)
    auto = facts.attr(node, "auto_pad", "NOTSET")
    if not facts.attr(node, "ceil_mode", 0) or auto not in ("NOTSET", "VALID"):
        return None
    if not isinstance(kernel, tuple) or shape is None or len(shape) != len(kernel) + 2:
        return None
    sizes, n = [d for d in shape[2:] if isinstance(d, int)], len(kernel)
    strides, dilations = (facts.attr(node, name, (1,) * n) for name in ("strides", "dilations"))
    pads = facts.attr(node, "pads", (0,) * 2 * n) if auto == "NOTSET" else (0,) * 2 * n
    if len(sizes) < n or not all(isinstance(a, tuple) for a in (strides, dilations, pads)):
        return None
    assert isinstance(strides, tuple)
    assert isinstance(dilations, tuple)
    assert isinstance(pads, tuple)
    columns = zip(sizes, kernel, strides, dilations, pads[:n], pads[n:], strict=True)
    return [_Axis(*column) for column in columns]


def _trim(graph: ir.Graph, node: ir.Node, opset: int) -> bool:
    axes, x = _axes(node), node.inputs[0]
    if axes is None or x is None or all(a.windows == a.counted for a in axes):
        return False
    average = node.op_type == "AveragePool"
    counts_pads = average and bool(facts.attr(node, "count_include_pad", 0))
    outside = any(max(a.before, a.end) >= a.kernel for a in axes)  # more than onnxruntime pads
    before, end = [a.before for a in axes], [a.end for a in axes]
    if counts_pads or outside:
        if (average and not counts_pads) or (len(node.outputs) > 1 and node.outputs[1].uses()):
            return False
        put = [a.behind for a in axes] if counts_pads else end
        op = Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/pads")
        op.before = node
        lowest = -math.inf if node.op_type == "MaxPool" else None
        node.replace_input_with(0, op.Pad(x, [0, 0, *before, 0, 0, *put], lowest))
        end = [max(e - p, 0) for e, p in zip(end, put, strict=True)]
        before = [0] * len(axes)
    for name in ("ceil_mode", "count_include_pad", "auto_pad"):
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", [*before, *end])
    return True
