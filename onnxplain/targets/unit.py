"""A unit of a layer as a target: its mean over all places."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import TargetError
from onnxplain.features.places import channel_axis
from onnxplain.options import check_option
from onnxplain.targets.output import Output

__all__ = ["Unit"]


@dataclass(frozen=True)
class Unit:
    """Explain a unit (a channel) of a layer: the mean of its values over all places.

    ``S = mean_p y_{k, p}``

    Attributes
    ----------
    index
        Number of the unit, k.
    axis
        Axis of the layer's value along which units lie.  None: that of channels, as the graph tells it, or
        as images and volumes usually have it; else the first behind the samples.
    """

    index: int
    _: KW_ONLY
    axis: int | None = None

    def __post_init__(self) -> None:
        for name, hint in (("index", int), ("axis", int | None)):
            checked = check_option(f"Unit: {name}", getattr(self, name), hint, TargetError)
            object.__setattr__(self, name, checked)

    def weights(self, output: Output) -> Array:
        """Return weights of the output's entries, (N, ...).

        Raises
        ------
        TargetError
            If there is no such unit.
        """
        each = output.each
        axis = self._axis(output)
        count = each[axis] if each else 1
        if not -count <= self.index < count:
            along = f" along axis {axis} of these" if len(each) > 1 else ""
            raise TargetError(
                f"unit {self.index} is out of range: {output.told}, with {count} units{along} (0 to "
                f"{count - 1})"
            )
        made = np.zeros((output.n, *each), output.dtype)
        if not each:
            return made + 1
        np.moveaxis(made, axis + 1, 1)[:, self.index] = count / np.prod(each, dtype=np.float64)
        return made

    def _axis(self, output: Output) -> int:
        """Return along which axis of one sample's output units lie."""
        if self.axis is not None:
            return output.behind(self.axis)
        told = output.channel()
        return (channel_axis(output.each) or 0) if told is None else told - 1
