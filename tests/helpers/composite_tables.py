"""Which rule goes to which node of a model, for the tests of composites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.composites.composite import Composite, Match, RuleTable
from onnxplain.graph.load import load
from onnxplain.graph.normalize import Normalized, normalize

if TYPE_CHECKING:
    from onnxplain.backward.composites.places import Place


@dataclass(frozen=True)
class Mark:
    """A rule that only shows where it is."""

    name: str

    def bind(self, binding: Any) -> None:
        return None


HERE, REST = Mark("here"), Mark("-")


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Name every node after its first output."""
    for node in model.graph.node:
        node.name = node.output[0]
        for attribute in node.attribute:
            for inner in attribute.g.node:
                inner.name = inner.output[0]
    return model


def normal(model: onnx.ModelProto) -> Normalized:
    return normalize(load(named(model)), expand=needs_body)


def resolved(model: onnx.ModelProto, composite: Composite, *wrt: str) -> RuleTable:
    """Resolve for the first output, and all inputs that are floats (or those named)."""
    graph = normal(model).model.graph
    sources = [v for v in graph.inputs if (v.name in wrt if wrt else v.dtype.is_floating_point())]
    return composite.resolve(graph, [graph.outputs[0]], sources)


def chosen(model: onnx.ModelProto, match: Match, *wrt: str) -> str:
    """Return the names of the nodes that match, in order."""
    table = resolved(model, Composite("one", ((match, HERE), (Match(), REST))), *wrt)
    return " ".join(name for name, _, rule in table if rule == "here")


def places(model: onnx.ModelProto, *wrt: str) -> dict[str, Place]:
    """Return the places of the nodes outside bodies by name."""
    found: dict[str, Place] = {}

    def note(place: Place) -> bool:
        found[place.node.name] = place
        return True

    resolved(model, Composite("one", ((Match(predicate=note), REST),)), *wrt)
    return found


def where(model: onnx.ModelProto, *wrt: str) -> dict[str, tuple[bool, bool, float]]:
    """Return (first, last, depth) of each layer."""
    return {k: (p.first, p.last, p.depth) for k, p in places(model, *wrt).items() if p.layer}
