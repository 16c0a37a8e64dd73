"""Along which axis of what is explained the channels lie."""

from __future__ import annotations

from onnxplain.features.places import channel_axis
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.problem import Problem

__all__ = ["channel"]


def channel(problem: Problem, name: str) -> int | None:
    """Return the axis of a feature's channels, samples first: as the graph tells it, or else by the shape.

    Only images and volumes have one here: samples with three axes or more.
    """
    shape = problem.features[name].shape
    if len(shape) < 4:
        return None
    told = channel_of(problem, name)
    if told is not None:
        return told
    guess = channel_axis(shape[1:])
    return None if guess is None else guess + 1
