"""Methods that look at values inside a model, written into its graph, in standard operators."""

from __future__ import annotations

import onnxplain.maps.cams
import onnxplain.maps.channels
import onnxplain.maps.layers
import onnxplain.maps.rollout  # noqa: F401  (importing them registers their writers)
from onnxplain.maps.frame import Frame, Mapped
from onnxplain.maps.writing import can_be_mapped, write_map

__all__ = ["Frame", "Mapped", "can_be_mapped", "write_map"]
