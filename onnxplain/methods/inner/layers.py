"""What a layer computes, and what flows through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from onnxplain.backward.asks import Probe, Scores
from onnxplain.errors import MethodError
from onnxplain.methods.inner.base import AtLayer, Quadrature, flows_through
from onnxplain.methods.quadrature import check_quadrature, quadrature
from onnxplain.options import Count
from onnxplain.runtime.plans.combinations import Integral
from onnxplain.runtime.plans.inside import Conductance, Product
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.points import Itself, Path
from onnxplain.runtime.problem import Problem

__all__ = ["InternalInfluence", "LayerActivation", "LayerConductance", "LayerGradientXActivation"]


@dataclass(frozen=True)
class LayerActivation(AtLayer):
    """What a layer computes: ``A = y``, whatever the score.

    Parameters
    ----------
    layer
        Name of a value inside the model (or of its node), or several.

    Raises
    ------
    MethodError
        If no layer is named.
    """

    name: ClassVar[str] = "layer_activation"
    cost: ClassVar[str] = "1 forward"
    takes_target: ClassVar[bool] = False

    def needs(self) -> Scores:
        """Ask for nothing backward: any model will do."""
        return Scores()

    def at(self, names: tuple[str, ...], problem: Problem | None) -> Plan:
        """Read the layer."""
        return Plan(Itself(), Probe(names, gradients=False), Product(gradients=False), self.name)

    def attribute(self, problem: Problem) -> Found:
        """Read the layer."""
        if not self.layers():
            raise MethodError(
                "layer_activation shows what a layer computes; name one (layer=...); what counts in the "
                "input itself, integrated_gradients and others tell"
            )
        return super().attribute(problem)


@dataclass(frozen=True)
class LayerGradientXActivation(AtLayer):
    """Gradient times activation at a layer: ``A = y dS/dy``.

    Parameters
    ----------
    layer
        Name of a value inside the model (or of its node), or several.  None: the explained inputs.
    multiply_by_inputs
        False leaves the factor y away: the gradient.
    """

    name: ClassVar[str] = "layer_gradient_x_activation"
    multiply_by_inputs: bool = True

    def at(self, names: tuple[str, ...], problem: Problem | None) -> Plan:
        """Multiply once."""
        return Plan(Itself(), Probe(names), Product(values=self.multiply_by_inputs), self.name)


@dataclass(frozen=True)
class LayerConductance(AtLayer):
    """Layer conductance (Dhamdhere et al. 2018): what of integrated gradients flows through each neuron.

    ``A = integral over a in [0, 1] of dS/dy * dy/da`` along ``x(a) = b + a (x - b)``, where y is the layer.
    Each gradient is multiplied by what y changes around its point: ``sum_k g_k (Y_(k+1) - Y_k)``, where the
    cells of the quadrature meet at ``Y_k``, on a straight line between neighbouring points, and the first and
    the last are y at the baseline and at the input.  So it is exact where the gradient at the layer stays the
    same, and for the input as its layer it is integrated gradients by the same quadrature; where all is
    smooth, its error falls like ``1 / n_steps**2``.

    The attributions sum to ``S(x) - S(b)`` where all of the score's change flows through the layer; otherwise
    nothing is promised, and a note says so.

    Parameters
    ----------
    layer
        Name of a value inside the model (or of its node), or several.  None: the explained inputs.
    n_steps, method
        Points on the path and the quadrature, as :class:`~onnxplain.IntegratedGradients` takes them.

    Raises
    ------
    MethodError
        If the quadrature is unknown or ``n_steps`` too small.
    """

    name: ClassVar[str] = "layer_conductance"
    cost: ClassVar[str] = "n_steps + 2 forwards and backwards"
    sums_to: ClassVar[str] = "score - score of the baseline, if the layer is all of the way"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50
    method: Quadrature = "gausslegendre"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)

    def at(self, names: tuple[str, ...], problem: Problem | None) -> Plan:
        """Sum gradients times changes along the path."""
        alphas, weights = quadrature(self.method, self.n_steps)
        flow = Conductance.along(alphas, weights, whole=problem is None or flows_through(problem, names))
        return Plan(Path((0.0, *alphas.tolist(), 1.0)), Probe(names), flow, "layer conductance")

    def attribute(self, problem: Problem) -> Found:
        """Say so where the score has another way."""
        found = super().attribute(problem)
        if found.reference is not None:
            return found
        said = (
            f"the score's change flows past {', '.join(self.layers())}, or twice through: no sum is promised"
        )
        return replace(found, notes=(*found.notes, said))


@dataclass(frozen=True)
class InternalInfluence(AtLayer):
    """Internal influence (Leino et al. 2018): the gradient at a layer, averaged along the way to the input.

    ``A = integral over a in [0, 1] of dS/dy at x(a) = b + a (x - b)``, where y is the layer.

    Parameters
    ----------
    layer
        Name of a value inside the model (or of its node), or several.  None: the explained inputs.
    n_steps
        Points on the path.
    method
        The quadrature, as :class:`~onnxplain.IntegratedGradients` takes it.

    Raises
    ------
    MethodError
        If the quadrature is unknown or ``n_steps`` too small.
    """

    name: ClassVar[str] = "internal_influence"
    cost: ClassVar[str] = "n_steps forwards and backwards"
    takes_baselines: ClassVar[bool] = True
    n_steps: Count = 50
    method: Quadrature = "gausslegendre"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.method, self.n_steps)

    def at(self, names: tuple[str, ...], problem: Problem | None) -> Plan:
        """Average gradients along the path."""
        alphas, weights = quadrature(self.method, self.n_steps)
        integral = Integral(tuple(weights), times_difference=False)
        return Plan(Path(tuple(alphas)), Probe(names), integral, "internal influence")
