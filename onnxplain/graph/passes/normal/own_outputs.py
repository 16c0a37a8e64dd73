"""Give outputs that no node makes a node of their own."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["OwnOutputs"]


class OwnOutputs(ir.passes.InPlacePass):
    """Put an Identity before outputs that are inputs or initializers.

    An initializer gives its name up to the output.  An input cannot: there the output is called
    ``<input>/output``, and :attr:`renamed` names it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.renamed: dict[str, str] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        graph = model.graph
        taken = {v.name for node in graph for v in node.outputs} | {v.name for v in graph.inputs}
        modified = False
        for place, value in enumerate(list(graph.outputs)):
            if value.producer() is not None:
                continue
            name = str(value.name)
            node = ir.node("Identity", [value], name=f"{name}/output")
            made = node.outputs[0]
            made.type, made.shape = value.type, value.shape.copy() if value.shape is not None else None
            other = f"{name}/output"
            while other in taken or other in graph.initializers:
                other += "_"
            if value.is_graph_input():
                made.name = self.renamed[name] = other
            else:
                graph.initializers.pop(name)
                value.name = other
                graph.register_initializer(value)
                made.name = name
            graph.append(node)
            graph.outputs[place] = made
            modified = True
        return ir.passes.PassResult(model, modified)
