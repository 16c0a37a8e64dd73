"""What a model is made of, and what would stop an explanation, without running anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward import engine
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.presets import preset
from onnxplain.backward.program import Question, build
from onnxplain.backward.registry import lookup
from onnxplain.errors import OnnxplainError, TargetError
from onnxplain.graph import facts, interface
from onnxplain.graph.heads import before_softmax
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import Normalized, normalize

__all__ = ["Inspection", "OperatorRow", "inspect"]


@dataclass(frozen=True)
class OperatorRow:
    """One kind of operator in the model.

    Attributes
    ----------
    op_type, domain, count
        What, and how often.
    gradient
        ``"rule"``, ``"zero"``, ``"none: <reason>"`` or ``"missing"``.
    rule
        What LRP with the composite ``epsilon_plus`` does with it, ``""`` if it is not on the path.
    """

    op_type: str
    domain: str
    count: int
    gradient: str
    rule: str


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect` found.

    Attributes
    ----------
    inputs, outputs
        What the model takes and gives.
    operators
        One row per kind of operator, most frequent first.
    problems
        What would stop an explanation, and where; empty if gradients work.
    notes
        What reading changed; methods that do not work although gradients do.
    """

    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    operators: tuple[OperatorRow, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def inspect(model: ModelSource, *, output: str | None = None) -> Inspection:
    """Look at a model without running it.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    output
        Which output would be explained (default: the first of floats).

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If the model cannot be read.
    TargetError
        If it has no output of that name.
    """
    normal = normalize(load(model), expand=needs_body)
    graph = normal.model.graph
    inputs, outputs = interface.inputs_of(graph), interface.outputs_of(graph)
    if output is not None and output not in [o.name for o in outputs]:
        raise TargetError(f"the model has no output '{output}'; it has {', '.join(o.name for o in outputs)}")
    notes = list(normal.notes)
    problems: list[str] = []
    floats = [v for v in graph.outputs if v.dtype is not None and facts.is_float(v)]
    chosen = [before_softmax(v) or v for v in floats if output is None or v.name == output][:1]
    if not chosen:
        which = "no output is" if output is None else f"output '{output}' is not"
        problems.append(f"{which} made of floats, so there is no score to explain")
    names = {e for i in inputs if i.explained for e in i.entries}
    wrt = [v for v in (*graph.inputs, *(o for n in graph for o in n.outputs)) if v.name in names]
    if not wrt:
        problems.append("no input is made of floats or reaches an embedding; use a perturbation method")
    rules: dict[str, str] = {}
    if chosen and wrt:
        nodes, _ = engine.path(graph, chosen, wrt)
        if not nodes:
            problems.append(engine.no_path(graph, chosen, wrt))
        unknown = [node for node in nodes if lookup(node) is None]
        problems += [f"{engine.no_rule(node)}, and lies on the path" for node in unknown]
        if not problems:
            problems += _stopped_while_writing(normal, wrt, output)
        if not problems:
            try:
                table = preset("epsilon_plus").resolve(graph, chosen, wrt)
                rules = {op_type: rule for _, op_type, rule in table}
            except OnnxplainError as error:
                notes.append(f"LRP with epsilon_plus does not work: {error}")
    return Inspection(inputs, outputs, _operators(graph, rules), tuple(problems), tuple(notes))


def _stopped_while_writing(normal: Normalized, wrt: Sequence[ir.Value], output: str | None) -> list[str]:
    """Write the gradient's program once and throw it away: some variants are refused only then."""
    floats = [str(v.name) for v in normal.model.graph.outputs if v.dtype and facts.is_float(v)]
    try:
        build(normal, Question(output or floats[0], tuple(str(v.name) for v in wrt), target_axes=0))
    except OnnxplainError as error:
        return [str(error)]
    return []


def _operators(graph: ir.Graph, rules: dict[str, str]) -> tuple[OperatorRow, ...]:
    counts = Counter((n.op_type, n.domain) for n in graph)
    example = {(n.op_type, n.domain): n for n in graph}
    rows = []
    for (op_type, domain), count in counts.most_common():
        row = lookup(example[op_type, domain])
        if row is None:
            gradient = "missing"
        elif row.vjp is not None or row.collective is not None:
            gradient = "rule"
        else:
            gradient = f"none: {row.reason}" if row.reason else "zero"
        rows.append(OperatorRow(op_type, domain, count, gradient, rules.get(op_type, "")))
    return tuple(rows)
