"""What a model is made of, and what would stop an explanation, without running anything."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxplain.backward import engine
from onnxplain.backward.composites.composite import Composite, RuleTable
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.preparation import prepare
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.backward.registry import lookup
from onnxplain.errors import MethodError, OnnxplainError, TargetError
from onnxplain.graph import facts, interface
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.load import ModelSource
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.patterns.heads import before_softmax
from onnxplain.reading import read
from onnxplain.specialised import leaves_ranks_open

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
        What LRP does with it, with the composite asked for or else ``epsilon_plus``: the rules that its nodes
        get; ``"in a piece"`` if they are parts of pieces that take one rule, ``"rewritten"`` if others take
        their place before; ``""`` if it is not on the path.
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
    rule_table
        The rule of each node, (name, operator, rule), under the composite asked for; None if there was none,
        or it does not work.
    """

    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    operators: tuple[OperatorRow, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    rule_table: RuleTable | None = None


def inspect(
    model: ModelSource,
    *,
    output: str | None = None,
    composite: str | os.PathLike[str] | Composite | None = None,
    **options: Any,
) -> Inspection:
    """Look at a model without running it.

    Parameters
    ----------
    model
        Path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
    output
        Which output would be explained (default: the first of floats).
    composite
        Rules of LRP to show node by node: a name, a file, or a composite, as
        :class:`~onnxplain.methods.relevance.LRP` takes it.
    **options
        Of the composite.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, ExternalDataError
        If the model cannot be read.
    MethodError
        If there is no such composite, or it does not take an option.
    TargetError
        If it has no output of that name.
    """
    if composite is None and options:
        raise MethodError(f"'{next(iter(options))}' is an option of a composite; name one (composite=...)")
    rules_asked = None if composite is None else preset(composite, **options)
    normal = read(model)
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
        problems.append("no input is made of floats or reaches an embedding; use feature_ablation")
    table: RuleTable | None = None
    rules: dict[str, str] = {}
    shown = rules_asked or preset("conserving")
    if chosen and wrt:
        nodes, _ = engine.between(graph, chosen, wrt)
        if not nodes:
            problems.append(engine.no_path(graph, chosen, wrt))
        unknown = [node for node in nodes if lookup(node) is None]
        problems += [f"{engine.no_rule(node)}, and lies on the path" for node in unknown]
        if not problems:
            stops = _stopped_while_writing(normal, wrt, output)
            if leaves_ranks_open(normal):  # which the shapes of a call tell
                notes += [f"for inputs of any shape: {stop}" for stop in stops]
            else:
                problems += stops
        if not problems:
            try:
                table, left = _resolved(
                    normal, shown, output or str(floats[0].name), [str(v.name) for v in wrt]
                )
                rules = _rules_by_operator(table, nodes, left)
            except OnnxplainError as error:
                told = problems if rules_asked is not None else notes
                told.append(f"LRP with {shown.name} does not work: {error}")
    return Inspection(
        inputs,
        outputs,
        _operators(graph, rules),
        tuple(problems),
        tuple(notes),
        None if rules_asked is None else table,
    )


def _resolved(
    normal: Normalized, composite: Composite, output: str, wrt: Sequence[str]
) -> tuple[RuleTable, set[str]]:
    """Resolve a composite on the graph that it makes of the model.

    Returns what can be read of the table, and the operators that are left.
    """
    graph = prepare(normal.model, composite.preparation, wrt).graph
    values = {v.name: v for v in (*graph.inputs, *(o for n in graph for o in n.outputs))}
    score = before_softmax(values[output]) or values[output]
    explained = [values[n] for n in wrt]
    composite.must_follow(graph, [score], explained)
    table = composite.resolve(graph, [score], explained)
    return RuleTable(table.rows, {}), {n.op_type for n in graph}


def _rules_by_operator(table: RuleTable, walked: Sequence[ir.Node], left: set[str]) -> dict[str, str]:
    """Say what becomes of each operator on the way."""
    rules = {n.op_type: "in a piece" if n.op_type in left else "rewritten" for n in walked}
    for op_type in {op_type for _, op_type, _ in table}:
        rules[op_type] = ", ".join(dict.fromkeys(rule for _, found, rule in table if found == op_type))
    return rules


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
