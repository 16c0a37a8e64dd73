"""Where on planes something differs, and how far that reaches through windows that slide over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import IntArray

__all__ = ["Region", "Sliding"]


@dataclass(frozen=True)
class Sliding:
    """Windows that slide over planes, as a convolution's or a pooling's do.

    Attributes
    ----------
    kernel, strides, dilations, begins
        Along both axes; ``begins`` are the pads before the first row and column.
    made
        Rows and columns of the result.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    begins: tuple[int, int]
    made: tuple[int, int]

    @property
    def reach(self) -> IntArray:
        """How far a window's last place is behind its first."""
        return np.asarray(np.array(self.dilations) * (np.array(self.kernel) - 1))


@dataclass(frozen=True, eq=False)
class Region:
    """Parts of planes, one for each of K patches, that are computed anew: what may differ, and a bit more.

    Attributes
    ----------
    low, high
        int64 (K, 2): rows and columns that may differ.
    whole
        Rows and columns that there are.
    """

    low: IntArray
    high: IntArray
    whole: tuple[int, int]

    @classmethod
    def of(cls, low: IntArray, high: IntArray, whole: tuple[int, int]) -> Region:
        """Make it of what may differ, cut off at the ends."""
        ends = np.array(whole)
        low = np.clip(low, 0, ends)
        return cls(low, np.clip(high, low, ends), whole)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that are computed: the same for all."""
        rows, columns = (self.high - self.low).max(0, initial=1)
        return int(rows), int(columns)

    @property
    def start(self) -> IntArray:
        """Where what is computed begins, (K, 2)."""
        return np.minimum(self.low, np.array(self.whole) - self.size)

    @property
    def share(self) -> float:
        """Which part of a plane is computed."""
        return math.prod(self.size) / max(math.prod(self.whole), 1)

    def through(self, windows: Sliding) -> Region:
        """Return what may differ behind windows that slide over this."""
        begins, strides = np.array(windows.begins), np.array(windows.strides)
        low = -((windows.reach - begins - self.low) // strides)
        high = (self.high - 1 + begins) // strides + 1
        return Region.of(low, high, windows.made)

    def needs(self, windows: Sliding) -> tuple[IntArray, tuple[int, int]]:
        """Return what windows make this of: where it begins, (K, 2), and its size; it may lie beyond ends."""
        strides = np.array(windows.strides)
        rows, columns = (np.array(self.size) - 1) * strides + windows.reach + 1
        return self.start * strides - np.array(windows.begins), (int(rows), int(columns))

    @staticmethod
    def around(regions: Sequence[Region]) -> Region:
        """Return what holds all of some regions of equal planes."""
        low = np.minimum.reduce([r.low for r in regions])
        return Region(low, np.maximum.reduce([r.high for r in regions]), regions[0].whole)
