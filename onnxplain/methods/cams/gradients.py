"""Activation maps of activations and gradients at one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.methods.cams.base import GradientMap

__all__ = ["GradCam", "GradCamPlusPlus", "HiResCam", "LayerCam", "XGradCam", "by_channel", "over_space"]


def over_space(a: FloatArray) -> FloatArray:
    """Sum (n, C, ...) over space: (n, C)."""
    return np.asarray(a.reshape(*a.shape[:2], -1).sum(2))


def by_channel(weights: FloatArray, a: FloatArray) -> FloatArray:
    """Return ``sum_c w_c A_c``, (n, ...), of weights (n, C) and activations (n, C, ...)."""
    return np.asarray(np.einsum("nc,nc...->n...", weights, a))


@dataclass(frozen=True)
class GradCam(GradientMap):
    """Grad-CAM (Selvaraju et al. 2017): ``max(0, sum_c w_c A_c)``, ``w_c = mean over places of dS/dA_c``.

    A are the activations of one layer, c its channels.  The map is laid over the input; all channels of the
    input get the same.  On networks that end in global average pooling and a linear layer it is CAM, up to a
    factor.

    Parameters
    ----------
    layer
        Name of a value inside the model, or of the node that makes it; None takes the last one with space.
    interpolate_mode
        How the map becomes as large as the input: ``"bilinear"`` (linear along each axis, however many) or
        ``"nearest"``.
    relu_attributions
        Whether negative places of the map count as 0.

    Notes
    -----
    The result's ``extras["map"]`` holds the map itself by input, and a note names the layer.  Tokens that
    belong to no place (class tokens, registers) are left out of all sums.

    Raises
    ------
    DataInputError
        If there is no value of that name.
    NotExplainableError
        If nothing between the input and the score has space.
    """

    name: ClassVar[str] = "grad_cam"

    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Weigh channels by their mean gradient."""
        return np.asarray(by_channel(over_space(g), a) * (a.shape[0] * a.shape[1]) / max(a.size, 1))


@dataclass(frozen=True)
class GradCamPlusPlus(GradientMap):
    """Grad-CAM++ (Chattopadhay et al. 2018): places weighted so that several instances of a class show.

    ``max(0, sum_c w_c A_c)`` with ``w_c = sum_ij a_ij max(0, G_ij)`` and ``a_ij = 1 / (2 + G_ij sum A)``, the
    sum over the channel's places: the paper's ``G^2 / (2 G^2 + G^3 sum A)``, which is for an exponential of
    the score, whose higher derivatives are powers of G.  See :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "grad_cam_plus_plus"

    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Weigh channels by their positive gradients, places weighted."""
        space = (..., *(None,) * (a.ndim - 2))
        below = 2 + over_space(a)[space] * g
        shares = np.divide(1, below, out=np.zeros_like(g), where=below != 0)
        return by_channel(over_space(shares * np.maximum(g, 0)), a)


@dataclass(frozen=True)
class HiResCam(GradientMap):
    """HiResCAM (Draelos and Carin 2020): ``sum_c A_c dS/dA_c``, place by place.

    Nothing is averaged, so the map shows only places that the score reads; on networks whose layer is
    followed by linear layers alone it sums to the score but for biases.  ``relu_attributions`` is off, as in
    the paper.  See :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "hi_res_cam"
    relu_attributions: bool = False

    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Multiply place by place."""
        return np.asarray((a * g).sum(1))


@dataclass(frozen=True)
class LayerCam(GradientMap):
    """LayerCAM (Jiang et al. 2021): ``max(0, sum_c max(0, dS/dA_c) A_c)``, place by place.

    Made for shallow layers too, where the mean gradient of Grad-CAM says little.  See :class:`GradCam` for
    parameters and extras.
    """

    name: ClassVar[str] = "layer_cam"

    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Multiply by positive gradients."""
        return np.asarray((a * np.maximum(g, 0)).sum(1))


@dataclass(frozen=True)
class XGradCam(GradientMap):
    """XGrad-CAM (Fu et al. 2020): ``max(0, sum_c w_c A_c)``, ``w_c = sum_ij A_ij G_ij / sum_ij A_ij``.

    The weights that best meet the axioms of sensitivity and conservation: the channels' sums are shares of
    the score where it is linear behind the layer.  A channel that is 0 everywhere has no weight.  See
    :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "x_grad_cam"

    def drawn(self, a: FloatArray, g: FloatArray) -> FloatArray:
        """Weigh channels by their mean gradient, places weighted by the activations."""
        total, shares = over_space(a), over_space(a * g)
        weights = np.divide(shares, total, out=np.zeros_like(total), where=np.abs(total) > 1e-12)
        return by_channel(weights, a)
