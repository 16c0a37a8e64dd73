"""Who is taken away together where users do not say: pixels, patches or superpixels of images."""

from __future__ import annotations

from onnxplain._types import Arrays
from onnxplain.features.places import channel_axis
from onnxplain.features.players import Players, elements, grouped, patches, pixels
from onnxplain.features.segments import Segments
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.problem import Problem

__all__ = ["channels", "in_patches", "in_pixels", "in_segments"]


def channels(problem: Problem) -> dict[str, int | None]:
    """Return the axis of each feature's channels, samples first: as the graph tells it, or as guessed."""
    found = {name: channel_of(problem, name) for name in problem.features}
    for name, array in problem.features.items():
        guess = channel_axis(array.shape[1:])
        if found[name] is None and guess is not None:
            found[name] = guess + 1
    return found


def in_pixels(problem: Problem) -> Players:
    """Make a player of each place, channels together; of each element where there are no channels."""
    return pixels(problem.features, channels(problem))


def in_patches(problem: Problem, size: int) -> Players:
    """Make players of patches, channels together: over the space of images and volumes, or along time.

    Time is, of (N, C, L) or (N, L, C), the axis that is not known as that of channels, or else the longer
    one.  What has neither space nor time is not cut: each element is a player.
    """
    sizes, axes = {}, {}
    known = channels(problem)
    for name, array in problem.features.items():
        channel = known[name]
        if array.ndim == 3 and channel is None:
            channel = 1 if array.shape[2] >= array.shape[1] else 2
        axes[name] = [axis for axis in range(1, array.ndim) if axis != channel]
        sizes[name] = size if array.ndim > 2 else 1
    return patches(sizes, problem.features, axes)


def in_segments(problem: Problem, segments: Segments) -> Players:
    """Make players of each image's own segments; of each element where there is no image.

    Raises
    ------
    DataInputError
        If an image has no segments, or a single one.
    """
    masks: Arrays = {}
    count = 0
    for name, array in problem.features.items():
        if array.ndim in (4, 5):
            own = segments.ids(array, f"'{name}'", problem.driver.layout.axes.get(name, 0))
        else:
            own = elements({name: array}).ids[name]
        masks[name] = own + count
        count += int(own.max(initial=-1)) + 1
    return grouped(masks, problem.features)
