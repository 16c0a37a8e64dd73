"""Occlusion: windows that slide over the input and hide what lies in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.backward.asks import Scores
from onnxplain.methods.base import Method
from onnxplain.options import Count
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.windows import Overlaps, Windows, WithoutWindow

__all__ = ["Occlusion"]


@dataclass(frozen=True)
class Occlusion(Method):
    """Occlusion (Zeiler & Fergus 2014): what the score loses while a window hides a part of the input.

    ``A_i = mean over windows w that cover i of S(x) - S(x with the baseline in w)``.  Each input is occluded
    by itself; at the end of an axis windows are cut off.

    Parameters
    ----------
    sliding_window_shapes
        Along each axis of a sample, channels too: ``(3, 16, 16)``; for several inputs a tuple of such tuples,
        in the order of the explained inputs.  A number stands for all axes but that of channels, which are
        hidden together.  None: an eighth of each axis.
    strides
        How far the window moves along each axis, or along all; at most its length.  None: 1, as in Captum;
        half the window where ``sliding_window_shapes`` is None, too.

    Raises
    ------
    DataInputError
        If a window is larger than the input, moves by more than its length, or has another number of axes.
    """

    name: ClassVar[str] = "occlusion"
    cost: ClassVar[str] = "1 forward for each window, and 1"
    takes_baselines: ClassVar[bool] = True
    sliding_window_shapes: Count | tuple[Count, ...] | tuple[tuple[Count, ...], ...] | None = None
    strides: Count | tuple[Count, ...] | tuple[tuple[Count, ...], ...] | None = None

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan(self) -> Plan:
        """Hide one window after the other."""
        windows = Windows(self.sliding_window_shapes, self.strides)
        return Plan(WithoutWindow(windows), Scores(), Overlaps(windows), "occlusion")
