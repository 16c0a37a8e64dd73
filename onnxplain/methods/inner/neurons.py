"""What makes a neuron fire, and what flows through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
import onnx_ir as ir
from pydantic import Field

from onnxplain._types import Array
from onnxplain.backward.asks import Ask, Probe, Walk
from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.question import find_value
from onnxplain.errors import TargetError
from onnxplain.graph import facts
from onnxplain.methods.base import Method, OnePass
from onnxplain.methods.inner.base import Quadrature
from onnxplain.methods.quadrature import check_quadrature, quadrature
from onnxplain.options import Count
from onnxplain.runtime.plans.combinations import Integral
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.points import Path
from onnxplain.runtime.problem import Problem

__all__ = ["NeuronConductance", "NeuronGradient", "ThroughNeuron"]

_Neuron: TypeAlias = Annotated[
    tuple[str, int | tuple[int, ...]],
    Field(description="the name of an inner value and an index of one sample's entry, ('relu_3', (5, 0, 0))"),
]


@dataclass(frozen=True)
class NeuronGradient(OnePass):
    """The gradient of a neuron: ``A = dn/dx``, where n is the entry that ``neuron=`` names (or any score).

    Integrated gradients, DeepLIFT, LRP or any other method of a neuron are had by the same argument.
    """

    name: ClassVar[str] = "neuron_gradient"

    def rules(self) -> Composite:
        """Return the plain gradient."""
        return preset("gradient")


@dataclass(frozen=True)
class NeuronConductance(Method):
    """Neuron conductance (Dhamdhere et al. 2018): what of integrated gradients flows through one neuron.

    ``A = (x - b) * integral over a in [0, 1] of dS/dn * dn/dx at b + a (x - b)``, where n is the neuron.  Its
    sum is the neuron's share of layer conductance, up to the error of the quadrature.

    Parameters
    ----------
    n_steps, method, multiply_by_inputs
        As :class:`~onnxplain.IntegratedGradients` takes them.
    neuron
        Pair of the name of a value inside the model (or of its node) and the index of one sample's entry
        there.  None: the score itself, which gives integrated gradients.

    Raises
    ------
    TargetError
        If there is no such entry.
    NotExplainableError
        If the neuron depends on none of the inputs, or the score does not depend on the neuron.
    """

    name: ClassVar[str] = "neuron_conductance"
    cost: ClassVar[str] = "2 n_steps forwards and backwards"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50
    method: Quadrature = "gausslegendre"
    multiply_by_inputs: bool = True
    neuron: _Neuron | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)

    def needs(self) -> Ask:
        """Ask for the neuron's layer, and the score's gradient there."""
        return Walk() if self.neuron is None else Probe((self.neuron[0],))

    def plan(self) -> Plan:
        """Sum along the path what comes back through the neuron."""
        alphas, weights = quadrature(self.method, self.n_steps)
        path, neuron = Path(tuple(alphas)), self.neuron
        integral = Integral(tuple(weights), self.multiply_by_inputs, whole=neuron is None)
        if neuron is None:
            return Plan(path, Walk(), integral, "neuron conductance")
        index = neuron[1] if isinstance(neuron[1], tuple) else (neuron[1],)
        return Plan(path, ThroughNeuron(neuron[0], index), integral, "neuron conductance")

    def attribute(self, problem: Problem) -> Found:
        """Check that there is such a neuron between the inputs and the score, and sum."""
        through = self.plan().question
        if isinstance(through, ThroughNeuron):
            through.must_lie_between(problem)
        return super().attribute(problem)


@dataclass(frozen=True)
class ThroughNeuron:
    """The part of the score's gradient that comes back through one entry of a layer: ``dS/dn * dn/dx``.

    Attributes
    ----------
    layer
        Name of the value.
    index
        Of one sample's entry.
    """

    layer: str
    index: tuple[int, ...]

    def must_lie_between(self, problem: Problem) -> None:
        """Check that there is such a neuron, and that it depends on the inputs.

        Raises
        ------
        TargetError, NotExplainableError
            If not.
        """
        driver = problem.driver
        value = find_value(driver.programs.source.model.graph, self.layer)
        self.must_be_inside(value)
        samples = self._samples(problem)
        dims = facts.dims(value)
        if dims is not None:
            self.must_index([d for k, d in enumerate(dims) if k != samples])
        driver.programs.check(driver.about(output=self.layer, ask=Walk()).question)

    def must_be_inside(self, value: ir.Value) -> None:
        """Raise if the layer is an input of the model.

        Raises
        ------
        TargetError
            If it is.
        """
        if value.is_graph_input():
            raise TargetError(
                f"'{self.layer}' is an input of the model, and what flows through its entries is what "
                "integrated_gradients finds of them; name an inner value as the neuron's"
            )

    def attribute(self, problem: Problem) -> Found:
        """Walk back to the layer, and on from the one entry alone."""
        samples = self._samples(problem)
        if samples is None and problem.n > 1:  # whose entry is whose is known of one sample alone
            parts = [self.attribute(problem.take(np.array([k]))).values for k in range(problem.n)]
            return Found({k: np.concatenate([p[k] for p in parts]) for k in problem.features})
        slope = problem.probe((self.layer,)).values[self.layer]
        self.must_index(slope.shape[1:])
        weights: Array = np.zeros_like(slope)
        entry: Any = (slice(None), *self.index)
        weights[entry] = slope[entry]
        on = problem.about(output=self.layer, target="weights", target_axes=0, output_axis=samples)
        return Found(replace(on, target=weights).walk().values)

    def _samples(self, problem: Problem) -> int | None:
        """Return the axis of the layer along which samples lie, None where there is none."""
        driver = problem.driver
        value = find_value(driver.programs.source.model.graph, self.layer)
        return driver.layout.axis_of(self.layer, facts.dims(value))

    def must_index(self, each: Sequence[object]) -> None:
        """Raise if one sample's part of the layer, of which lengths may be unknown, has no such entry."""
        fits = len(each) == len(self.index) and all(
            not isinstance(d, int) or -d <= k < d for k, d in zip(self.index, each, strict=True)
        )
        if not fits:
            spelled = ", ".join(str(d) if isinstance(d, int) else "?" for d in each)
            raise TargetError(
                f"neuron {self.index} is no entry of '{self.layer}', which has shape ({spelled}) per sample"
            )
