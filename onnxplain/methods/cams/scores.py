"""Activation maps that ask for scores alone: channels as masks of the input, and channels taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.asks import Probe, Scores
from onnxplain.features.lifting import Interpolation
from onnxplain.methods.cams.base import AtLayer
from onnxplain.methods.cams.gradients import by_channel
from onnxplain.methods.cams.layers import Layer, Lifted
from onnxplain.runtime.plans.combinations import Each
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["AblationCam", "ScoreCam"]


@dataclass(frozen=True, eq=False)
class _Masked:
    """The row behind each channel's map as a mask: ``b + m_c (x - b)``, m_c from 0 to 1.

    Attributes
    ----------
    maps
        (n, C, ...): of the rows.
    lifted
        The features that they lie over.
    mode
        How they become as large.
    """

    maps: FloatArray
    lifted: dict[str, Lifted] = field(default_factory=dict)
    mode: Interpolation = "bilinear"

    def count(self, problem: Problem) -> int:
        """Return the number of channels."""
        return int(self.maps.shape[1])

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Mask by some of the channels."""
        flat = np.concatenate(list(np.moveaxis(self.maps[:, steps], 1, 0)))
        m, points = steps.stop - steps.start, dict[str, Array]()
        for name, one in self.lifted.items():
            x, start = problem.features[name], problem.baselines[name]
            mask = one.over(flat, (len(flat), *x.shape[1:]), self.mode) * one.parts
            axes = tuple(range(1, mask.ndim))
            low, high = (f(mask, axis=axes, keepdims=True) for f in (np.min, np.max))
            mask = np.divide(mask - low, high - low, out=np.zeros(mask.shape), where=high > low)
            wide = mask.reshape(m, *x.shape).astype(x.dtype)
            points[name] = (start + wide * (x - start)).reshape(mask.shape)
        return problem.at(points, m)


@dataclass(frozen=True, eq=False)
class _Ablated:
    """The row with one channel of a layer 0 at all places."""

    layer: Layer

    def count(self, problem: Problem) -> int:
        """Return the number of channels."""
        return int(problem.features[self.layer.name].shape[self.layer.channel])

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take some of the channels away, each alone."""
        points: Arrays = {
            self.layer.name: self.layer.without(problem.features[self.layer.name], steps),
        }
        return problem.at(points, steps.stop - steps.start)


@dataclass(frozen=True)
class ScoreCam(AtLayer):
    """Score-CAM (Wang et al. 2020): ``max(0, sum_c w_c A_c)``, ``w = softmax_c S(x * up(A_c))``.

    Each channel's map, made as large as the input and scaled to 0..1, masks the input; what the score is then
    says how much the channel counts, without a gradient.  Where a mask is 0 stands the baseline (0);
    a channel that is the same everywhere masks all of the input.  It takes a forward pass for each channel.
    See :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "score_cam"
    cost: ClassVar[str] = "1 forward for each channel, and 1"
    takes_baselines: ClassVar[bool] = True

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Mask the input by each channel."""
        made = []
        for part, answer in self.blocks(problem, Probe((layer.name,), gradients=False)):
            a = layer.maps(answer.probed[layer.name])
            points = _Masked(a, features, self.interpolate_mode)
            scores = run(Plan(points, Scores(), Each(), self.name), part).extras["scores"]
            weights = np.exp(scores - scores.max(1, keepdims=True))
            made.append(by_channel(weights / weights.sum(1, keepdims=True), a))
        return np.concatenate(made)


@dataclass(frozen=True)
class AblationCam(AtLayer):
    """Ablation-CAM (Desai and Ramaswamy 2020): ``max(0, sum_c w_c A_c)``, ``w_c = (S - S_c) / |S|``.

    S_c is the score with channel c set to 0 at all places of the layer: what the channel is worth, without a
    gradient.  The model is cut at the layer, so only what stands behind it runs again, once for each channel.
    The paper divides by S, which turns the map around where the score is negative; here the sign stays.  See
    :class:`GradCam` for parameters and extras.
    """

    name: ClassVar[str] = "ablation_cam"
    cost: ClassVar[str] = "1 forward from the layer on for each channel, and 1"

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Take each channel away."""
        made = []
        for part, answer in self.blocks(problem, Probe((layer.name,), gradients=False)):
            array = answer.probed[layer.name]
            behind = part.beside(layer.name, array, layer.samples)
            scores = run(Plan(_Ablated(layer), Scores(), Each(), self.name), behind).extras["scores"]
            whole = answer.score.astype(np.float64)[:, None]
            made.append(by_channel((whole - scores) / (np.abs(whole) + (whole == 0)), layer.maps(array)))
        return np.concatenate(made)
