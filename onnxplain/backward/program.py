"""The graph that answers a question: prediction, score, and what the walk back gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common

import onnxplain.backward.ops  # noqa: F401  (fills the table)
from onnxplain._types import Array
from onnxplain.backward.asks import Combine, Probe
from onnxplain.backward.difference.reference_input import add_reference, reference_of, twins_by_name
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, must_reach
from onnxplain.backward.ledger import kept_by_node
from onnxplain.backward.opened import Opened, named, open_model, refuse_nested
from onnxplain.backward.picking import Picked, pick
from onnxplain.backward.preparation import prepare
from onnxplain.backward.question import GRADIENT, Question, find_output, find_value, scored_value
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized

__all__ = ["Program", "build", "check", "finish"]


@dataclass(frozen=True)
class Program:
    """A graph for one question.

    Attributes
    ----------
    model
        Inputs: those of the model that are needed (and cut values), then :attr:`target`.  Outputs:
        :attr:`prediction`, :attr:`score` (N,), then the others.
    inputs
        Names of the inputs besides the target.
    target
        Name of the target's input ("target", unless the model uses that name itself).
    prediction, score
        Names of outputs.
    attributions
        Names of outputs: what a walk gives for each explained value, or the gradients of probed ones.
    rule_table
        Rows (node, operator, rule); empty for plain gradients.
    references
        Names of the inputs for the references of the explained values, one each; empty where the rules need
        none, or know them.
    reference_score
        Name of the output with the score at the reference, (N,); None where the rules need no reference.
    kept
        Pairs of a node ("operator name") and the output, a scalar, with what it keeps.
    probed
        Names of the outputs with the probed values.
    index
        Name of the output with the target's index, int64 (N,) or (N, k); None where nothing is predicted.
    twins
        By name of a value: the name of that which has its place, and its shape, at the reference.
    """

    model: ir.Model
    inputs: tuple[str, ...]
    target: str
    prediction: str
    score: str
    attributions: tuple[str, ...]
    rule_table: tuple[tuple[str, str, str], ...]
    references: tuple[str, ...] = ()
    reference_score: str | None = None
    kept: tuple[tuple[str, str], ...] = ()
    probed: tuple[str, ...] = ()
    index: str | None = None
    twins: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def results(self) -> tuple[str, ...]:
        """Names of all outputs but the prediction, each once."""
        others = [self.score, *self.attributions, *self.probed, *(o for _, o in self.kept)]
        told = (o for o in (self.reference_score, self.index) if o is not None)
        return tuple(dict.fromkeys([*others, *told]))

    @cached_property
    def results_with_prediction(self) -> tuple[str, ...]:
        """The same with the prediction."""
        return tuple(dict.fromkeys([*self.results, self.prediction]))


def build(
    source: Normalized,
    question: Question,
    keep: Sequence[str] = (),
    references: Mapping[str, Array] | None = None,
) -> Program:
    """Write the program for a question.

    Parameters
    ----------
    source
        The model.
    question
        What to compute.
    keep
        Names of other outputs of the model that stay, as last outputs.
    references
        By explained value: its reference, which broadcasts to it, for rules that compare with one.  None
        makes inputs for them.

    Raises
    ------
    DataInputError, TargetError
        If an input, inner value or output has an unknown name, or does not fit the target.
    NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError
        If the walk back is not possible.
    """
    opened = open_model(source, question, keep)
    op, names, composite = opened.op, opened.names, question.walk.composite
    graph, target = opened.model.graph, opened.names.free("target")
    sources = opened.probed if isinstance(question.ask, Probe) else opened.wrt
    if question.backward:
        composite.must_follow(graph, [opened.scored], sources)
    starts = _add_references(opened, question, references) if composite.reference else []
    with op.arithmetic():
        scores = opened.like_output(opened.scored)
        kind, axes, samples = question.target, question.target_axes, question.output_axis
        picked = pick(op, scores, question.output, kind, axes, samples, composite.seed, target)
    walked = _walk(opened, question, picked, sources) if question.backward else _Walked()
    score = named(op, picked.score, names.free("score"))
    there = []
    if composite.reference:
        with op.arithmetic():
            at_reference = picked.again(opened.like_output(reference_of(op, opened.scored)))
        there = [named(op, at_reference, names.free("reference_score"))]
    labels = question.ask.values if isinstance(question.ask, Probe) else question.wrt
    made = [
        named(op, part, names.free(f"attribution/{label}"), like=value)
        for part, label, value in zip(walked.results, labels, sources, strict=question.backward)
    ]
    inner = [named(op, v, names.free(f"value/{v.name}"), like=v) for v in opened.probed]
    kept = [(node, named(op, v, names.free(f"kept/{node}"))) for node, v in walked.kept]
    index = []
    if question.target == "predicted" and picked.index is not None:
        index = [named(op, picked.index, names.free("index"))]
    others = [find_output(graph, name) for name in keep if name != question.output]
    outputs = [opened.output, score, *there, *made, *others, *inner, *(v for _, v in kept), *index]
    finish(opened.model, outputs, drop_inputs=question.cut)
    fed = () if references is not None else tuple(str(v.name) for v in starts)
    return Program(
        opened.model,
        tuple(str(v.name) for v in graph.inputs if v.name != target and v.name not in fed),
        target,
        str(opened.output.name),
        str(score.name),
        tuple(str(v.name) for v in made),
        walked.rule_table,
        fed,
        str(there[0].name) if there else None,
        tuple((node, str(v.name)) for node, v in kept),
        tuple(str(v.name) for v in inner),
        str(index[0].name) if index else None,
        twins_by_name(op) if fed else {},
    )


def check(source: Normalized, question: Question) -> None:
    """Raise what :func:`build` would raise for operators and rules, without knowing the target.

    Raises
    ------
    DataInputError, TargetError
        If an input, inner value or output has an unknown name.
    NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError
        If the walk back is not possible.
    """
    composite = question.walk.composite
    graph = prepare(source.model, composite.preparation, question.kept).graph
    scored, _ = scored_value(find_output(graph, question.output), question)
    wrt = [find_value(graph, name) for name in question.wrt]
    if question.cut or composite.reference:
        refuse_nested(graph, wrt)
    sources = [find_value(graph, n) for n in question.ask.values] if isinstance(question.ask, Probe) else wrt
    if question.backward:
        composite.must_follow(graph, [scored], sources)
        composite.resolve(graph, [scored], sources)
        must_reach(graph, [scored], sources)


@dataclass
class _Walked:
    """What a walk back wrote."""

    results: list[ir.Value] = field(default_factory=list)
    kept: list[tuple[str, ir.Value]] = field(default_factory=list)
    rule_table: tuple[tuple[str, str, str], ...] = ()


def _walk(opened: Opened, question: Question, picked: Picked, sources: list[ir.Value]) -> _Walked:
    """Write the walk from the score back to some values."""
    op, walk, scored = opened.op, question.walk, opened.scored
    scale = None
    with op.arithmetic():
        seed = opened.like_scored(picked.seed)
        if walk.composite.seed == "score":  # rules are linear in what they share out
            scale = _scale(op, picked.score)
            seed = op.annotate(op.Div(seed, scale), scored)
    table = None if walk == GRADIENT else walk.composite.resolve(op.graph, [scored], sources)
    op.ledger = [] if walk.account else None
    found = backward(op, {scored: seed}, sources, table)
    kept = kept_by_node(op)
    if scale is not None:
        found = {v: op.annotate(op.Mul(r, op.cast_like(scale, v)), v) for v, r in found.items()}
        kept = [(node, op.Mul(v, op.cast_like(scale, v))) for node, v in kept]
    with op.arithmetic():
        results = [_combined(op, found[v], v, walk.combine) for v in sources]
    return _Walked(results, list(kept), () if table is None else table.rows)


def _add_references(
    opened: Opened, question: Question, references: Mapping[str, Array] | None
) -> list[ir.Value]:
    """Write the second forward pass, from the references of the explained values; return these."""
    op = opened.op
    starts = [
        _start(op, opened.names, v, name, references)
        for name, v in zip(question.wrt, opened.wrt, strict=True)
    ]
    replaced = add_reference(op, dict(zip(opened.wrt, starts, strict=True)))
    opened.output = replaced.get(opened.output, opened.output)
    opened.scored = replaced.get(opened.scored, opened.scored)
    return starts


def finish(model: ir.Model, outputs: list[ir.Value], *, drop_inputs: bool) -> None:
    """Leave the graph with these outputs, and with what they need."""
    graph = model.graph
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    common.RemoveUnusedNodesPass()(model)
    graph.name = "explained"
    if drop_inputs:
        for value in [v for v in graph.inputs if not v.uses() and not v.is_graph_output()]:
            graph.inputs.remove(value)


def _start(
    op: Emitter, names: Names, value: ir.Value, name: str, references: Mapping[str, Array] | None
) -> ir.Value:
    """Return the reference of an explained value: a new input, or a constant in the value's shape."""
    if references is not None:
        return op.expand_like(
            op.const(references[name].astype((value.dtype or ir.DataType.FLOAT).numpy())), value
        )
    made = ir.Value(name=names.free(f"reference/{name}"), type=value.type, shape=value.shape)
    op.graph.inputs.append(made)
    return made


def _combined(op: Emitter, result: ir.Value, value: ir.Value, combine: Combine) -> ir.Value:
    made: object = result
    if combine == "abs":
        made = op.Abs(made)
    elif combine == "times_value":
        made = op.Mul(made, value)
    elif combine == "times_difference":
        made = op.Mul(made, op.Sub(value, reference_of(op, value)))
    assert isinstance(made, ir.Value)
    return made


def _scale(op: Emitter, score: ir.Value) -> Any:
    """Return a power of two, 1 for scores of usual size, that the scores divided by it are near 1.

    Where they are tiny (the probability of an unlikely class), what is shared out of them would underflow.
    """
    size = op.ReduceMax(op.Abs(score), keepdims=0)
    few, many = op.const(2.0**-80, score.dtype), op.const(2.0**80, score.dtype)
    large = op.Where(op.Greater(size, 2.0**60), many, op.const(1.0, score.dtype))
    return op.Where(op.Less(size, 2.0**-60), few, large)
