"""Relative representation stability (Agarwal et al. 2022), and which values inside are a representation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from onnxplain._types import FloatArray
from onnxplain.backward.question import explained_value, find_value
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.last_space import way
from onnxplain.graph.traits import Is, is_a, traits
from onnxplain.inner import Inner
from onnxplain.metrics.robustness.base import Seen
from onnxplain.metrics.robustness.relative_stability import RelativeStability
from onnxplain.metrics.trial import Trial

__all__ = ["RelativeRepresentationStability"]


@dataclass(frozen=True)
class RelativeRepresentationStability(RelativeStability):
    """How much an explanation changes for what values inside the model change (Agarwal et al. 2022).

    ``max_k |(A(x) - A(x_k)) / A(x)| / max(|(L(x) - L(x_k)) / L(x)|, eps_min)``, quotients by element, where L
    are the numbers of one or more values inside the model, all in a row.  Values that are 0 (behind a ReLU,
    many are) are divided by ``eps_min``, so one of them that wakes up makes the quotient tiny.

    Parameters
    ----------
    n_samples, lower_bound, upper_bound, eps_min, seed, when_prediction_changes
        See :class:`~onnxplain.metrics.RelativeInputStability`.
    layer
        Name of a value inside the model (or of its node), or several.  None: what enters the last layer with
        weights (Gemm, MatMul, Conv...) on the way from what is explained to the score, such as a classifier's
        pooled features.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.

    Raises
    ------
    MethodError
        If ``lower_bound`` is not below ``upper_bound``; if there is no such layer, or it does not depend on
        what is explained.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the quotient at each point.
    """

    name: ClassVar[str] = "relative_representation_stability"

    layer: str | tuple[str, ...] | None = None

    def inside(self, trial: Trial) -> tuple[str, ...]:
        """Name the layers."""
        driver, features = trial.problem.driver, tuple(trial.features)
        source = driver.programs.source
        graph = source.model.graph
        if self.layer is None:
            return (_last_layers_input(graph, features, explained_value(source, driver.question)),)
        inner = Inner(source)
        given = (self.layer,) if isinstance(self.layer, str) else self.layer
        if not given:
            raise MethodError("layer names no value inside the model; give a name, or leave it out")
        names = tuple(dict.fromkeys(inner.value(name, MethodError) for name in given))
        for name in names:
            value = find_value(graph, name)
            if not facts.is_float(value):
                raise MethodError(f"'{name}' holds no floats; name another layer (layer=...)")
            if not any(_reaches(graph, feature, value) for feature in features):
                raise MethodError(
                    f"'{name}' does not depend on {', '.join(map(repr, features))}, which is explained; name "
                    "another layer (layer=...)"
                )
        return names

    def besides(self, here: Seen, there: Seen) -> FloatArray:
        """Return the relative change of the values inside."""
        return self.relative(here.inside, there.inside)


def _reaches(graph: ir.Graph, feature: str, value: ir.Value) -> bool:
    start = find_value(graph, feature)
    return start is value or bool(way(graph, start, value).nodes)


def _last_layers_input(graph: ir.Graph, features: tuple[str, ...], score: str) -> str:
    """Name what enters the last layer with weights between features and a score.

    Raises
    ------
    MethodError
        If there is none.
    """
    places = {node: k for k, node in enumerate(graph)}
    found: dict[int, ir.Value] = {}
    for feature in features:
        between = way(graph, find_value(graph, feature), find_value(graph, score))
        on_way = set(between.values)
        for node in between.nodes:
            weight = traits(node).weight
            if is_a(node, Is.LAYER) and weight is not None and weight < len(node.inputs):
                entering = [v for v in node.inputs if v is not None and v in on_way]
                if len(entering) == 1:
                    found[places[node]] = entering[0]
    if not found:
        raise MethodError(
            "there is no layer with weights between what is explained and the score, so that it is open what "
            "the representation is; name values inside the model (layer=...)"
        )
    return str(found[max(found)].name)
