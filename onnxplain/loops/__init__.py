"""Plans written into graphs: a loop over points whose body holds the model, in standard operators."""

from __future__ import annotations

import onnxplain.loops.designed
import onnxplain.loops.games
import onnxplain.loops.inside
import onnxplain.loops.integrals
import onnxplain.loops.masks
import onnxplain.loops.paths
import onnxplain.loops.sliding  # noqa: F401  (importing them registers their writers)
from onnxplain.loops.body import Body, of_program
from onnxplain.loops.chosen import plan_of, refuse_unplanned
from onnxplain.loops.frame import Feature, Outside, Result
from onnxplain.loops.loop import Looped, write_loop
from onnxplain.loops.neuron import through_neuron
from onnxplain.loops.points import write_points
from onnxplain.loops.sums import write_sums

__all__ = [
    "Body",
    "Feature",
    "Looped",
    "Outside",
    "Result",
    "of_program",
    "plan_of",
    "refuse_unplanned",
    "through_neuron",
    "write_loop",
    "write_points",
    "write_sums",
]
