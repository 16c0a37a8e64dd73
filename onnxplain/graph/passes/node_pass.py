"""What passes share that look at one kind of node at a time."""

from __future__ import annotations

import abc
from collections.abc import Set
from typing import ClassVar

import onnx_ir as ir

__all__ = ["NodePass"]


class NodePass(ir.passes.InPlacePass):
    """Offers every node of some operators of the standard, in all graphs, to :meth:`rewrite`.

    Attributes
    ----------
    operators
        Names of the operators.
    """

    operators: ClassVar[Set[str]]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Go through the model's graph and all bodies."""
        modified = False
        opset = model.graph.opset_imports.get("", 18)
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                if node.op_type in self.operators and node.domain in ("", "ai.onnx"):
                    modified |= self.rewrite(graph, node, opset)
        return ir.passes.PassResult(model, modified)

    @abc.abstractmethod
    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Rewrite one node, in a given version of the standard; return whether anything changed."""
