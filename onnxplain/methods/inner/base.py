"""What methods that explain a layer have in common."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import onnx_ir as ir

from onnxplain.backward.asks import Ask, Probe, Walk
from onnxplain.backward.engine import between, used_values
from onnxplain.backward.question import explained_value, find_value
from onnxplain.methods.base import Method
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["AtLayer", "Layer", "Quadrature", "flows_through"]

#: Name of a value inside a model, or several; None is the explained input itself.
Layer: TypeAlias = str | tuple[str, ...] | None
#: How an integral along a path is summed.
Quadrature: TypeAlias = Literal[
    "gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"
]


@dataclass(frozen=True)
class AtLayer(Method):
    """A method whose attributions are those of a layer, in its shape, while the inputs are what is varied.

    Parameters
    ----------
    layer
        Name of a value inside the model (or of its node), or several.  None: the explained inputs.
    """

    layer: Layer = None

    def layers(self) -> tuple[str, ...]:
        """Return the layer's names."""
        return (self.layer,) if isinstance(self.layer, str) else self.layer or ()

    def needs(self) -> Ask:
        """Ask for the layer, and the score's gradient there; for that at the inputs where none is named."""
        return Probe(self.layers()) if self.layers() else Walk()

    @abc.abstractmethod
    def at(self, names: tuple[str, ...], problem: Problem | None) -> Plan:
        """Return the method for a layer as data; without a problem, as for one whose sum is promised."""

    def plan(self) -> Plan | None:
        """Return the plan; None while the layer is what a problem explains."""
        return self.at(self.layers(), None) if self.layers() else None

    def question(self) -> Method:
        """Return the method itself: what its sum is, the model tells."""
        return self

    def attribute(self, problem: Problem) -> Found:
        """Explain the layer; the inputs themselves where none is named."""
        names = self.layers()
        if names:
            return run(self.at(names, problem), problem)
        found = run(self.at(tuple(problem.features), problem), problem)
        said = f"no layer is named (layer=...), so that of {self.name} is the input itself"
        return replace(found, notes=(*found.notes, said))


def flows_through(problem: Problem, names: Sequence[str]) -> bool:
    """Tell whether all that changes the score on the way from the features flows through values, and once."""
    programs = problem.driver.programs
    graph = programs.source.model.graph
    score = explained_value(programs.source, problem.driver.question)

    def find() -> bool:
        scored = find_value(graph, score)
        starts = [find_value(graph, name) for name in problem.features]
        layers = [find_value(graph, name) for name in names]
        once = not any(between(graph, [a], [b])[0] for a in layers for b in layers if a is not b)
        return once and not _passes_by(graph, scored, starts, set(layers))

    return programs.found(("flows through", tuple(names), tuple(problem.features), score), find)


def _passes_by(graph: ir.Graph, scored: ir.Value, starts: Sequence[ir.Value], layers: set[ir.Value]) -> bool:
    """Tell whether gradients flow from the score back to a start without meeting a layer."""
    nodes, _ = between(graph, [scored], starts)
    carried = {o for node in nodes for o in node.outputs}
    open_, seen = [scored], {scored}
    while open_:
        value = open_.pop()
        if value in layers:
            continue
        if value in starts:
            return True
        maker = value.producer()
        if value not in carried or maker is None:
            continue
        before = [v for v in used_values(maker) if v not in seen]
        seen.update(before)
        open_ += before
    return False
