"""VisualBackProp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import preset
from onnxplain.methods.base import OnePass

__all__ = ["VisualBackProp"]


@dataclass(frozen=True)
class VisualBackProp(OnePass):
    """VisualBackProp (Bojarski et al. 2018): averaged feature maps, scaled up, multiplied.

    From the last feature map down to the input: ``M_l = up(M_l+1) * mean over channels of a_l``, where a_l
    enters the layer and ``up`` spreads each number over the layer's window (a transposed convolution with
    ones); pooling only spreads; the first layer does not multiply by the image.  Every channel of the input
    gets the same mask.

    It shows where the network looks, not why it prefers a class: the target does not matter.  Where branches
    meet in a sum, the maps of both are added.
    """

    name: ClassVar[str] = "visual_backprop"
    takes_target: ClassVar[bool] = False

    def rules(self) -> Composite:
        """Return the rules that carry the mask down."""
        return preset("visual_backprop")
