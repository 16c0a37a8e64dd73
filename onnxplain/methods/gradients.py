"""Methods that are one gradient, or one guided gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from onnxplain.backward.asks import Combine
from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset
from onnxplain.methods.base import OnePass
from onnxplain.options import Positive

__all__ = ["BetaSmooth", "Deconvolution", "GuidedBackprop", "InputXGradient", "Saliency"]


@dataclass(frozen=True)
class Saliency(OnePass):
    """The gradient of the score (Simonyan et al. 2014): ``|dS/dx|``.

    Parameters
    ----------
    abs
        Take the magnitude (the default); False keeps the sign.
    """

    name: ClassVar[str] = "saliency"
    steady: ClassVar[bool] = True
    abs: bool = True

    def rules(self) -> Composite:
        """Return the plain gradient."""
        return preset("gradient")

    def combination(self) -> Combine:
        """Return the magnitude, or the gradient as it is."""
        return "abs" if self.abs else "raw"


@dataclass(frozen=True)
class InputXGradient(OnePass):
    """Gradient times input (Shrikumar et al. 2016): ``x dS/dx``.

    On a network of ReLUs without biases this equals LRP-0 and sums to the score.
    """

    name: ClassVar[str] = "input_x_gradient"
    steady: ClassVar[bool] = True

    def rules(self) -> Composite:
        """Return the plain gradient."""
        return preset("gradient")

    def combination(self) -> Combine:
        """Multiply by the input."""
        return "times_value"


@dataclass(frozen=True)
class GuidedBackprop(OnePass):
    """Guided backpropagation (Springenberg et al. 2015): only positive gradients pass a rectifier.

    At ``y = relu(x)``: ``R_x = max(R_y, 0) [x > 0]``; other rectifier-like activations f pass
    ``max(R_y, 0) f'(x)``.
    """

    name: ClassVar[str] = "guided_backprop"
    steady: ClassVar[bool] = True

    def rules(self) -> Composite:
        """Return the guided rules."""
        return preset("guided_backprop")


@dataclass(frozen=True)
class Deconvolution(OnePass):
    """DeconvNet (Zeiler and Fergus 2014): a rectifier passes ``max(R_y, 0)``, whatever its input was.

    Max pooling uses its switches: what comes back goes to the place of the maximum.
    """

    name: ClassVar[str] = "deconvolution"
    steady: ClassVar[bool] = True

    def rules(self) -> Composite:
        """Return the DeconvNet rules."""
        return preset("deconvnet")


@dataclass(frozen=True)
class BetaSmooth(OnePass):
    """The gradient with a smooth derivative for rectifiers (Dombrowski et al. 2019).

    At ``y = relu(x)``: ``R_x = sigmoid(beta x) R_y``, the derivative of ``softplus(beta x) / beta``.  At
    other rectifiers each bend of the function is smoothed likewise: ReLU6, leaky, parametric and thresholded
    ReLU, SELU, HardSigmoid and HardSwish, ``Max(x, 0)`` and ``Where(x > t, x, a x)`` as exporters write
    them.  What has no bend (GELU, SiLU, Softplus, ELU) is smooth as it is; a note says so where nothing on
    the way has one.

    Parameters
    ----------
    beta_smooth
        The larger, the closer to the plain gradient.

    Raises
    ------
    MethodError
        If ``beta_smooth`` is not above 0.
    """

    name: ClassVar[str] = "beta_smooth"
    steady: ClassVar[bool] = True
    beta_smooth: Positive = 10.0

    def rules(self) -> Composite:
        """Return the smoothed rules."""
        return _smoothed(self.beta_smooth)


@lru_cache(maxsize=64)
def _smoothed(beta_smooth: float) -> Composite:
    return preset("beta_smooth", beta_smooth=beta_smooth)
