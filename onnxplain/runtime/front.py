"""Parts of a model that compute values inside it, without any walk back."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.graph.build import Ops
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.positions import write_positions

__all__ = ["end_in", "front", "token_positions"]


def front(source: ir.Model, names: tuple[str, ...]) -> ir.Model:
    """Return the part of a model that computes some of its values from its inputs."""
    model = source.clone()
    end_in(model, [_value(model.graph, name) for name in names])
    return model


def token_positions(source: Normalized, tokens: str, entry: str) -> ir.Model:
    """Return what computes, for each number of an embedding, which token of an input it is for."""
    model = source.model.clone()
    given = next(v for v in model.graph.inputs if v.name == tokens)
    op = Ops(model.graph, source.opset, Names(model.graph).scope("onnxplain/positions"))
    made = write_positions(op, given, _value(model.graph, entry))
    end_in(model, [made])
    return model


def _value(graph: ir.Graph, name: str) -> ir.Value:
    return next(v for node in graph for v in node.outputs if v.name == name)


def end_in(model: ir.Model, outputs: list[ir.Value]) -> None:
    """Leave a model with these outputs, and with what they need."""
    graph = model.graph
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    common.RemoveUnusedNodesPass()(model)
    for value in [v for v in graph.inputs if not v.uses() and not v.is_graph_output()]:
        graph.inputs.remove(value)
