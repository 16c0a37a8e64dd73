"""What to compute of a model: which output is explained at which values, and what is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import onnx_ir as ir

from onnxplain.backward.asks import Ask, Probe, Walk
from onnxplain.backward.hashed import HashedOnce
from onnxplain.backward.picking import Target
from onnxplain.errors import DataInputError, TargetError
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.patterns.heads import before_link, before_softmax

__all__ = ["GRADIENT", "Question", "explained_value", "find_output", "find_value", "scored_value"]

#: What is asked if nothing is said.
GRADIENT = Walk()


@dataclass(frozen=True)
class Question(HashedOnce):
    """What to compute; hashable, the key of compiled programs.

    Attributes
    ----------
    output
        The model's output to explain, or a value inside the graph, which then counts as one.
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
    margins
        Whether to explain what enters any closing link (Sigmoid, Exp), as well as what enters a Softmax.
    nested
        Whether cut values may be computed from one another: each is then given by itself.
    """

    output: str
    wrt: tuple[str, ...]
    ask: Ask = field(default_factory=Walk)
    target_axes: int = 1
    output_axis: int | None = 0
    cut: bool = True
    through_softmax: bool = False
    target: Target = "index"
    margins: bool = False
    nested: bool = False

    __hash__ = HashedOnce.__hash__

    @property
    def walk(self) -> Walk:
        """The walk that is asked for; a plain gradient where none is."""
        return self.ask if isinstance(self.ask, Walk) else GRADIENT

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the values that must stay what they are."""
        return (*self.wrt, self.output)

    @property
    def backward(self) -> bool:
        """Whether anything is walked back."""
        return isinstance(self.ask, Walk) or (isinstance(self.ask, Probe) and self.ask.gradients)


def explained_value(source: Normalized, question: Question) -> str:
    """Return the name of the value inside the graph that is explained for an output."""
    return str(scored_value(find_output(source.model.graph, question.output), question)[0].name)


def scored_value(output: ir.Value, question: Question) -> tuple[ir.Value, bool]:
    """Return the value whose entries are the scores, and whether it stands before a closing step.

    Inner values close nothing.
    """
    if question.through_softmax or not output.is_graph_output():
        return output, False
    if question.margins:
        link = before_link(output)
        return (output, False) if link is None else (link[0], True)
    logits = before_softmax(output)
    return (output, False) if logits is None else (logits, True)


def _named(first: Iterable[ir.Value], graph: ir.Graph, name: str) -> ir.Value | None:
    """Return the value of this name, looked for there first, then among what nodes make."""
    made = (value for node in graph for value in node.outputs)
    return next((value for value in chain(first, made) if value.name == name), None)


def find_output(graph: ir.Graph, name: str) -> ir.Value:
    """Return the output of this name, or else the inner value.

    Raises
    ------
    TargetError
        If there is none.
    """
    found = _named(graph.outputs, graph, name)
    if found is not None:
        return found
    names = ", ".join(f"'{v.name}'" for v in graph.outputs)
    raise TargetError(f"the model has no output '{name}'; it has {names}")


def find_value(graph: ir.Graph, name: str) -> ir.Value:
    """Return the input or inner value of this name.

    Raises
    ------
    DataInputError
        If there is none.
    """
    found = _named(graph.inputs, graph, name)
    if found is not None:
        return found
    raise DataInputError(
        f"the model has no input or inner value '{name}'; 'onnxplain inspect' lists the inputs, a viewer "
        "such as netron the inner values (but what is folded while reading, such as a convolution's output "
        "before its normalisation, is gone: name the value behind it)"
    )
