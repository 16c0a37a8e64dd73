"""CAM: the weights of the layer behind global average pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.backward.asks import Probe
from onnxplain.errors import NotExplainableError
from onnxplain.features.lifting import Interpolation
from onnxplain.graph.patterns.average_pooling import pooled_value
from onnxplain.methods.cams.base import ActivationMap
from onnxplain.methods.cams.gradients import by_channel, over_space
from onnxplain.methods.cams.layers import Layer, Lifted, find_layers, scored_value
from onnxplain.runtime.opened import opened
from onnxplain.runtime.problem import Problem

__all__ = ["Cam"]


@dataclass(frozen=True)
class Cam(ActivationMap):
    """CAM (Zhou et al. 2016): ``sum_c w_c A_c``, w the class's weights behind global average pooling.

    For networks that end in global average pooling and linear layers, which the graph shows, however the
    exporter wrote them: GlobalAveragePool, ReduceMean or AveragePool over all of space; Flatten, Reshape or
    Squeeze; Gemm, MatMul and Add, or a 1x1 Conv.  The map's mean over its places is the score but for the
    bias.  A closing Softmax or Sigmoid is left out: explained are logits.

    Parameters
    ----------
    interpolate_mode
        How the map becomes as large as the input: ``"bilinear"`` (linear along each axis, however many) or
        ``"nearest"``.
    relu_attributions
        Whether negative places of the map count as 0; off, as in the paper.

    Notes
    -----
    The result's ``extras["map"]`` holds the map itself by input, and a note names the layer.

    Raises
    ------
    NotExplainableError
        If the model does not end so; the node that stands against it is named.
    """

    name: ClassVar[str] = "cam"
    interpolate_mode: Interpolation = "bilinear"
    relu_attributions: bool = False

    def margins(self) -> bool:
        """Explain what enters a closing Sigmoid."""
        return True

    def lifted(self, problem: Problem) -> dict[str, Lifted]:
        """Find what is averaged."""
        model = opened(problem)
        scored = scored_value(problem, model)
        found = pooled_value(scored, model.spaces)
        if isinstance(found, str):
            through = problem.driver.question.through_softmax
            way_out = "leave through_softmax out, or use grad_cam" if through else "use grad_cam"
            raise NotExplainableError(
                "cam looks for global average pooling (GlobalAveragePool, or ReduceMean or AveragePool over "
                "all of space) with linear layers alone (Gemm, MatMul, Conv, constants added) between it and "
                f"the scores '{scored.name}', and met {found}; {way_out}, which asks for neither, "
                "or integrated_gradients"
            )
        return find_layers(problem, str(found.name))

    def maps(self, problem: Problem, layer: Layer, features: dict[str, Lifted]) -> FloatArray:
        """Weigh channels; the weights are the gradients, which are the same at all places."""
        made = []
        for _, answer in self.blocks(problem, Probe((layer.name,))):
            a, g = (layer.maps(of[layer.name]) for of in (answer.probed, answer.values))
            made.append(by_channel(over_space(g), a))
        return np.concatenate(made)
