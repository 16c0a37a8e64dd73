"""Activation maps beyond weighted channels: principal components, second derivatives, guided gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.backward.asks import Probe, Scores, Walk
from onnxplain.backward.composites.presets import preset
from onnxplain.methods.cams.base import AtLayer
from onnxplain.methods.cams.gradients import GradCam, by_channel, over_space
from onnxplain.methods.cams.layers import Layer, Lifted
from onnxplain.options import Positive
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["EigenCam", "GuidedGradCam", "ShapleyCam"]


@dataclass(frozen=True)
class EigenCam(AtLayer):
    """Eigen-CAM (Muhammad and Yeasin 2020): ``max(0, A v)``, v the first right singular vector of A.

    A are the activations as a matrix, places by channels.  The map does not depend on the target: it shows
    what the layer's activations have most in common.  Their sign is that by which the largest number is
    positive, as in Seg-Eigen-CAM (2025).  See :class:`GradCam` for the other parameters and extras.

    Parameters
    ----------
    center
        Whether each channel's mean over places is taken off first, as pytorch-grad-cam does and the paper
        does not.
    """

    name: ClassVar[str] = "eigen_cam"
    cost: ClassVar[str] = "1 forward"
    takes_target: ClassVar[bool] = False
    center: bool = False

    def needs(self) -> Scores:
        """Ask for scores; the layer's values are asked for once the graph tells which it is."""
        return Scores()

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Project on the first component."""
        made = []
        for _, answer in self.blocks(problem, Probe((layer.name,), gradients=False)):
            a = layer.maps(answer.probed[layer.name])
            rows = a.reshape(*a.shape[:2], -1).transpose(0, 2, 1)
            rows = rows - rows.mean(1, keepdims=True) if self.center else rows
            u, s, _ = np.linalg.svd(rows, full_matrices=False)
            shown = u[:, :, 0] * s[:, :1]
            largest = np.take_along_axis(shown, np.abs(shown).argmax(1)[:, None], 1)
            made.append((shown * np.where(largest < 0, -1, 1)).reshape(len(a), *layer.grid))
        return np.concatenate(made)


@dataclass(frozen=True)
class ShapleyCam(AtLayer):
    """ShapleyCAM (Cai 2025): ``max(0, sum_c w_c A_c)``, ``w_c = mean over places of (G - H A / 2)_c``.

    G and H are the score's gradient and Hessian at the activations A: the Shapley values of the score, taken
    to second order.  The product H A is a central difference of the gradient along the activations,
    ``(G((1 + h) A) - G((1 - h) A)) / 2h``.  Where the score is linear behind the layer (global average
    pooling and a dense layer) H is 0 and the map that of Grad-CAM, so explain a probability
    (``through_softmax=True``) to see a difference.  See :class:`GradCam` for the other parameters and extras.

    Parameters
    ----------
    step
        h.
    """

    name: ClassVar[str] = "shapley_cam"
    cost: ClassVar[str] = "3 forward, 3 backward"
    step: Positive = 0.01

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Ask for gradients at the layer and on both sides of it."""
        ask, made = Probe((layer.name,)), []
        for part, answer in self.blocks(problem, ask):
            array = answer.probed[layer.name]
            around = []
            for scale in (1 + self.step, 1 - self.step):
                moved = (array * scale).astype(array.dtype)
                found = part.beside(layer.name, moved, layer.samples).ask(ask)
                around.append(layer.maps(found.values[layer.name]))
            a, g = (layer.maps(of[layer.name]) for of in (answer.probed, answer.values))
            w = g - (around[0] - around[1]) / (4 * self.step)
            made.append(by_channel(over_space(w) * w.shape[0] * w.shape[1] / max(w.size, 1), a))
        return np.concatenate(made)


@dataclass(frozen=True)
class GuidedGradCam(GradCam):
    """Guided Grad-CAM (Selvaraju et al. 2017): guided backpropagation times the map of Grad-CAM.

    As fine as the one and as particular to a class as the other; but guided backpropagation hardly depends
    on the class or on the upper weights (Adebayo et al. 2018), so nothing finer than the map's places can be
    read as evidence.  See :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "guided_grad_cam"
    cost: ClassVar[str] = "2 forward, 2 backward"

    def needs(self) -> Walk:
        """Ask for the guided walk; the layer's values are asked for once the graph tells which it is."""
        return Walk(preset("guided_backprop"))

    def attribute(self, problem: Problem) -> Found:
        """Multiply."""
        found, guided = super().attribute(problem), problem.ask(self.needs()).values
        return replace(found, values={k: v * guided[k] for k, v in found.values.items()})
