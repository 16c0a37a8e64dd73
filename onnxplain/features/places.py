"""Which axes of an array are channels, space or samples."""

from __future__ import annotations

from collections.abc import Sequence

from onnxplain._types import Shape
from onnxplain.errors import DataInputError

__all__ = ["behind_samples", "channel_axis", "image_axes", "space", "spatial_axes"]


def channel_axis(shape: Shape) -> int | None:
    """Tell which axis of an image (or a volume) holds its channels; None for a plain (H, W) map.

    That of a length of 3, 1 or 4, first or last; else the last where all others are equally long; else the
    first.
    """
    if len(shape) < 3:
        return None
    for channels in (3, 1, 4):
        for axis in (0, len(shape) - 1):
            if shape[axis] == channels:
                return axis
    square = len(set(shape[:-1])) == 1 and shape[-1] != shape[0]
    return len(shape) - 1 if square else 0


def space(shape: Shape) -> tuple[int, ...]:
    """Return the axes of one sample that are space (or time, or columns): all but an image's channels."""
    channels = channel_axis(shape)
    return tuple(k for k in range(len(shape)) if k != channels)


def spatial_axes(shape: Shape, what: str, channel: int | None = None) -> tuple[int, ...]:
    """Return the axes of images or volumes, (n, ...), that are space: all but samples and channels.

    ``channel`` is the axis of channels where the graph tells it; :func:`channel_axis` guesses otherwise.

    Raises
    ------
    DataInputError
        If they are neither.
    """
    if len(shape) not in (4, 5):
        raise DataInputError(
            f"{what} has samples of shape {shape[1:]}, which are no images with channels; say with axes= "
            "which axes are space"
        )
    guess = channel_axis(shape[1:])
    channels = channel if channel is not None else None if guess is None else guess + 1
    return tuple(k for k in range(1, len(shape)) if k != channels)


def image_axes(
    axes: int | Sequence[int] | None,
    shape: Shape,
    samples: int | None,
    what: str,
    channel: int | None = None,
) -> tuple[int, ...]:
    """Return the axes of images, (n, ...), that are space, as named by a user or as found.

    ``channel`` is the axis of channels where the graph tells it.

    Raises
    ------
    DataInputError
        If there are none.
    """
    if axes is not None:
        return behind_samples(axes, samples, len(shape), what)
    if len(shape) not in (4, 5):
        raise DataInputError(
            f"{what} has samples of shape {shape[1:]}, which are no images with channels; say with axes= "
            "which axes are space, explain other inputs (wrt=...), or use integrated_gradients"
        )
    return spatial_axes(shape, what, channel)


def behind_samples(axes: int | Sequence[int], samples: int | None, rank: int, what: str) -> tuple[int, ...]:
    """Return where axes of an array are once its samples lie first.

    Parameters
    ----------
    axes
        As users count them, from 0, or from -1 backwards.
    samples
        The axis of samples; None where the array is one sample, and gets one more axis in front.
    rank
        Number of axes of the array, samples first.
    what
        Name of the array, for the error.

    Raises
    ------
    DataInputError
        If there is no such axis, or samples lie along it.
    """
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    own = rank - (samples is None)
    found = []
    for axis in given:
        if not -own <= axis < own or axis % own == samples:
            reason = "samples lie along it" if -own <= axis < own else f"it has {own} axes"
            raise DataInputError(f"axis {axis} of {what} cannot be meant: {reason}; give another")
        place = axis % own
        found.append(place + 1 if samples is None or place < samples else place)
    return tuple(sorted(set(found)))
