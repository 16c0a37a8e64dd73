"""The graph that answers a question: prediction, score, and what the walk back gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common

import onnxplain.backward.ops  # noqa: F401  (fills the table)
from onnxplain._types import Array
from onnxplain.backward.asks import Ask, Combine, Probe, Walk
from onnxplain.backward.difference.reference_input import add_reference, reference_of
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, between
from onnxplain.backward.ledger import kept_by_node
from onnxplain.backward.picking import Target, pick
from onnxplain.backward.preparation import prepare
from onnxplain.errors import DataInputError, TargetError
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.patterns.heads import before_softmax

__all__ = ["Names", "Program", "Question", "build", "check", "explained_value"]

_GRADIENT = Walk()


@dataclass(frozen=True)
class Question:
    """What to compute; hashable, the key of compiled programs.

    Attributes
    ----------
    output
        The model's output to explain.
    wrt
        Names of values: inputs, or values inside the graph.
    ask
        What to ask of the model; the plain gradient by default.
    target_axes
        Length of a target index: 0 for one score per sample, 1 for a class, more for maps.
    output_axis
        Axis of the output along which the samples lie; None where the whole output is one sample's.
    cut
        Whether inner values of ``wrt`` become inputs (to follow a path through them) instead of being
        computed from the model's inputs.
    through_softmax
        Whether to explain a closing Softmax too, instead of the scores before it.
    target
        How the target names a score.
    """

    output: str
    wrt: tuple[str, ...]
    ask: Ask = field(default_factory=Walk)
    target_axes: int = 1
    output_axis: int | None = 0
    cut: bool = True
    through_softmax: bool = False
    target: Target = "index"

    @property
    def walk(self) -> Walk:
        """The walk that is asked for; a plain gradient where none is."""
        return self.ask if isinstance(self.ask, Walk) else _GRADIENT

    @property
    def backward(self) -> bool:
        """Whether anything is walked back."""
        return isinstance(self.ask, Walk) or (isinstance(self.ask, Probe) and self.ask.gradients)


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
    walk, composite = question.walk, question.walk.composite
    model = prepare(source.model.clone(), composite.preparation, question.wrt, in_place=True)
    graph = model.graph
    output = _output(graph, question.output)
    scored, closing = _scored(output, question)
    wrt = [_value(graph, name) for name in question.wrt]
    probed = [_value(graph, name) for name in question.ask.values] if isinstance(question.ask, Probe) else []
    names = Names(graph)
    if question.cut or composite.reference:  # a reference of its own for each
        _refuse_nested(graph, wrt)
    op = Emitter(graph, source.opset, scope=names.scope("onnxplain"))
    if question.cut:
        _keep_outputs(graph, question.output, *keep)
        cut = {v: _cut(graph, v, names) for v in wrt if not v.is_graph_input()}
        wrt, scored = [cut.get(v, v) for v in wrt], cut.get(scored, scored)
        probed = [cut.get(v, v) for v in probed]
        if output in cut:  # the output itself is given
            output = _named(op, cut[output], names.free(f"given/{question.output}"), like=cut[output])
    target = names.free("target")
    starts: list[ir.Value] = []
    sources = probed if isinstance(question.ask, Probe) else wrt
    if question.backward:
        composite.must_follow(graph, [scored], sources)
    if composite.reference:
        starts = [_start(op, names, v, n, references) for n, v in zip(question.wrt, wrt, strict=True)]
        replaced = add_reference(op, dict(zip(wrt, starts, strict=True)))
        output, scored = replaced.get(output, output), replaced.get(scored, scored)
    with op.arithmetic():
        scores = op.reshape_like(scored, output) if closing else scored
        picked = pick(
            op, scores, question.output, question.target, question.target_axes, question.output_axis,
            composite.seed, target,
        )  # fmt: skip
        seed = picked.seed if scores is scored else op.reshape_like(picked.seed, scored)
        scale = None
        if question.backward and composite.seed == "score":  # rules are linear in what they share out
            scale = _scale(op, picked.score)
            seed = op.annotate(op.Div(seed, scale), scored)
    table = None
    results: list[ir.Value] = []
    shares: list[tuple[str, ir.Value]] = []
    if question.backward:
        table = None if walk == _GRADIENT else composite.resolve(graph, [scored], sources)
        op.ledger = [] if walk.account else None
        found = backward(op, {scored: seed}, sources, table)
        if scale is not None:
            found = {v: op.annotate(op.Mul(r, op.cast_like(scale, v)), v) for v, r in found.items()}
        shares = [(n, v if scale is None else op.Mul(v, op.cast_like(scale, v))) for n, v in kept_by_node(op)]
        with op.arithmetic():
            results = [_combined(op, found[v], v, walk.combine) for v in sources]
    kept = [(n, _named(op, v, names.free(f"kept/{n}"))) for n, v in shares]
    score = _named(op, picked.score, names.free("score"))
    extra: list[ir.Value] = []
    if composite.reference:
        with op.arithmetic():
            there = reference_of(op, scored)
            there = picked.again(op.reshape_like(there, output) if closing else there)
        extra = [_named(op, there, names.free("reference_score"))]
    index = None
    if question.target == "predicted" and picked.index is not None:
        index = _named(op, picked.index, names.free("index"))
    labels = [str(v.name) for v in sources] if isinstance(question.ask, Probe) else question.wrt
    made = [
        _named(op, r, names.free(f"attribution/{n}"), like=v)
        for r, n, v in zip(results, labels, sources, strict=bool(results))
    ]
    inner = [_named(op, v, names.free(f"value/{v.name}"), like=v) for v in probed]
    others = [_output(graph, name) for name in keep if name != question.output]
    graph.outputs.clear()
    last = [] if index is None else [index]
    graph.outputs.extend([output, score, *extra, *made, *others, *inner, *(v for _, v in kept), *last])
    common.RemoveUnusedNodesPass()(model)
    model.graph.name = "explained"
    if question.cut:
        for value in [v for v in graph.inputs if not v.uses() and not v.is_graph_output()]:
            graph.inputs.remove(value)
    fed = () if references is not None else tuple(str(v.name) for v in starts)
    return Program(
        model,
        tuple(str(v.name) for v in graph.inputs if v.name != target and v.name not in fed),
        target,
        str(output.name),
        str(score.name),
        tuple(str(v.name) for v in made),
        () if table is None else table.rows,
        fed,
        str(extra[0].name) if extra else None,
        tuple((n, str(v.name)) for n, v in kept),
        tuple(str(v.name) for v in inner),
        None if index is None else str(index.name),
    )


def check(source: Normalized, question: Question) -> None:
    """Raise what :func:`build` would raise for operators and rules, without knowing the target.

    Raises
    ------
    DataInputError, TargetError
        If an input, inner value or output has an unknown name.
    UnsupportedOperatorError, UnsupportedRuleError
        If the walk back is not possible.
    """
    composite = question.walk.composite
    graph = prepare(source.model, composite.preparation, question.wrt).graph
    scored, _ = _scored(_output(graph, question.output), question)
    wrt = [_value(graph, name) for name in question.wrt]
    if question.cut or composite.reference:
        _refuse_nested(graph, wrt)
    sources = [_value(graph, n) for n in question.ask.values] if isinstance(question.ask, Probe) else wrt
    if question.backward:
        composite.must_follow(graph, [scored], sources)
        composite.resolve(graph, [scored], sources)


def explained_value(source: Normalized, question: Question) -> str:
    """Return the name of the value inside the graph that is explained for an output."""
    return str(_scored(_output(source.model.graph, question.output), question)[0].name)


def _scored(output: ir.Value, question: Question) -> tuple[ir.Value, bool]:
    """Return the value whose entries are the scores, and whether it stands before a closing Softmax."""
    logits = None if question.through_softmax else before_softmax(output)
    return (output, False) if logits is None else (logits, True)


class Names:
    """Names that a model does not use yet (it may be one that this package wrote)."""

    def __init__(self, graph: ir.Graph) -> None:
        values = [*graph.inputs, *graph.initializers.values(), *(o for n in graph for o in n.outputs)]
        self._taken = {str(v.name) for v in values} | {str(n.name) for n in graph}

    def free(self, name: str) -> str:
        """Return a name like this one that is free, and take it."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def scope(self, name: str) -> str:
        """Return a prefix like this one that no name has."""
        while any(taken.startswith(f"{name}/") for taken in self._taken):
            name += "_"
        return name


def _refuse_nested(graph: ir.Graph, wrt: list[ir.Value]) -> None:
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


def _output(graph: ir.Graph, name: str) -> ir.Value:
    for value in graph.outputs:
        if value.name == name:
            return value
    names = ", ".join(f"'{v.name}'" for v in graph.outputs)
    raise TargetError(f"the model has no output '{name}'; it has {names}")


def _value(graph: ir.Graph, name: str) -> ir.Value:
    for value in graph.inputs:
        if value.name == name:
            return value
    for node in graph:
        for value in node.outputs:
            if value.name == name:
                return value
    raise DataInputError(
        f"the model has no input or inner value '{name}'; 'onnxplain inspect' lists the inputs, a viewer "
        "such as netron the inner values (but what is folded while reading, such as a convolution's output "
        "before its normalisation, is gone: name the value behind it)"
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


def _named(op: Emitter, value: ir.Value, name: str, like: ir.Value | None = None) -> ir.Value:
    result = op.Identity(value, _fold=False)
    assert isinstance(result, ir.Value)
    result.name = name
    return result if like is None else op.annotate(result, like)


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
