"""A copy of a model, opened for a question: inner values that are varied are inputs now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward.asks import Probe
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import between
from onnxplain.backward.preparation import prepare
from onnxplain.backward.question import Question, find_output, find_value, scored_value
from onnxplain.errors import DataInputError
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized

__all__ = ["Opened", "named", "open_model", "refuse_nested"]


@dataclass
class Opened:
    """The graph that a program is written into.

    Attributes
    ----------
    model
        A copy of the model, prepared for the rules.
    op
        Writes into it.
    names
        Names that are free in it.
    output
        The explained output.
    scored
        The value whose entries are the scores: the output, or what enters a closing Softmax.
    closing
        Whether it is the latter.
    wrt, probed
        The explained values, and those that are asked for.
    """

    model: ir.Model
    op: Emitter
    names: Names
    output: ir.Value
    scored: ir.Value
    closing: bool
    wrt: list[ir.Value]
    probed: list[ir.Value]

    def like_output(self, value: ir.Value) -> ir.Value:
        """Bring what has the shape of the scored value into that of the output."""
        return self.op.reshape_like(value, self.output) if self.closing else value

    def like_scored(self, value: ir.Value) -> ir.Value:
        """Undo :meth:`like_output`."""
        return self.op.reshape_like(value, self.scored) if self.closing else value


def open_model(source: Normalized, question: Question, keep: Sequence[str]) -> Opened:
    """Copy and open a model.

    Parameters
    ----------
    source, question
        The model, and what to compute.
    keep
        Names of other outputs that stay.

    Raises
    ------
    DataInputError, TargetError
        If there is no value of a name, or two are computed from one another.
    """
    composite = question.walk.composite
    model = prepare(source.model.clone(), composite.preparation, question.kept, in_place=True)
    graph = model.graph
    output = find_output(graph, question.output)
    scored, closing = scored_value(output, question)
    if not output.is_graph_output():
        graph.outputs.append(output)
    wrt = [find_value(graph, name) for name in question.wrt]
    probed = [find_value(graph, n) for n in question.ask.values] if isinstance(question.ask, Probe) else []
    names = Names(graph)
    if (question.cut and not question.nested) or composite.reference:  # a reference of its own for each
        refuse_nested(graph, wrt)
    op = Emitter(graph, source.opset, scope=names.scope("onnxplain"))
    if question.cut:
        _keep_outputs(graph, question.output, *keep)
        cut = {v: _cut(graph, v, names) for v in wrt if not v.is_graph_input()}
        wrt, scored = [cut.get(v, v) for v in wrt], cut.get(scored, scored)
        probed = [cut.get(v, v) for v in probed]
        if output in cut:  # the output itself is given
            output = named(op, cut[output], names.free(f"given/{question.output}"), like=cut[output])
    return Opened(model, op, names, output, scored, closing, wrt, probed)


def refuse_nested(graph: ir.Graph, wrt: list[ir.Value]) -> None:
    """Refuse to vary two values on their own of which one is computed from the other."""
    if all(v.is_graph_input() for v in wrt):
        return
    for value in wrt:
        _, reached = between(graph, [], [value])
        for other in wrt:
            if other is not value and other in reached:
                raise DataInputError(
                    f"'{other.name}' is computed from '{value.name}', so they cannot be explained in one "
                    "call; explain them one after the other"
                )


def _keep_outputs(graph: ir.Graph, *names: str) -> None:
    """Forget the model's other outputs; they may be values that are cut."""
    kept = [v for v in graph.outputs if v.name in names]
    graph.outputs.clear()
    graph.outputs.extend(kept)


def _cut(graph: ir.Graph, value: ir.Value, names: Names) -> ir.Value:
    """Make an inner value an input, and forget how it was computed."""
    new = ir.Value(name=value.name, type=value.type, shape=value.shape)
    value.name = names.free(f"{value.name}/computed")
    ir.convenience.replace_all_uses_with(value, new, replace_graph_outputs=True)
    graph.inputs.append(new)
    return new


def named(op: Emitter, value: ir.Value, name: str, like: ir.Value | None = None) -> ir.Value:
    """Give a value another name, and maybe the type of one that it is like."""
    result = op.Identity(value, _fold=False)
    assert isinstance(result, ir.Value)
    result.name = name
    return result if like is None else op.annotate(result, like)
