"""A region of a map as a target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, Shape
from onnxplain.errors import TargetError
from onnxplain.options import check_option
from onnxplain.targets.output import Output, numbers, which_class

__all__ = ["Region"]


@dataclass(frozen=True, eq=False)
class Region:
    """Explain a region of a dense map (of segmentation, say): the sum of a class's scores there.

    ``S = sum_p mask_p y_{c, p}``

    Attributes
    ----------
    mask
        True (or a weight) for each place that counts: shaped like one sample's map without its classes,
        ``(H, W)``, or (N, H, W) with a mask for each sample.
    class_
        Index of the class, or one for each sample; None for maps of one class.
    axis
        Axis of the model's output along which classes lie.  None: its first or last behind the samples,
        whichever leaves the shape of the mask.
    """

    mask: Any
    class_: Any = None
    _: KW_ONLY
    axis: int | None = None

    def weights(self, output: Output) -> Array:
        """Return weights of the output's entries, (N, ...).

        Raises
        ------
        TargetError
            If the mask or the class do not fit the output, or a mask is empty.
        """
        axis = check_option("Region: axis", self.axis, int | None, TargetError)
        mask = numbers(self.mask, "the mask of a Region").astype(output.dtype)
        found = list(self._fitting(mask, output, None if axis is None else output.behind(axis)))
        if not found:
            raise TargetError(self._misfit(mask.shape, output))
        made = [self._spread(*choice, output) for choice in found]
        if any(not np.array_equal(made[0], other) for other in made[1:]):
            raise TargetError(
                f"{output.told}, and a mask of shape {mask.shape} fits it in several ways; say with axis= "
                "along which axis of the output its classes lie, or give a mask for each of the samples"
            )
        empty = ~made[0].reshape(output.n, -1).any(1)
        if empty.any():
            raise TargetError(
                f"the mask of sample {int(np.argmax(empty))} is empty, so there is no score; mark a place"
            )
        return made[0]

    def _fitting(self, mask: Array, output: Output, axis: int | None) -> Iterator[tuple[Array, int | None]]:
        """Yield masks by sample, (N or 1, ...), with the axis of classes, in all ways that fit."""
        each = output.each
        axes = {0, len(each) - 1} & set(range(len(each))) if axis is None else {axis}
        for by_sample in (mask[None], mask):
            if not by_sample.ndim or len(by_sample) not in (1, output.n):
                continue
            shape = by_sample.shape[1:]
            if shape == each and self.class_ is None and axis is None:
                yield by_sample, None
            for k in sorted(axes):
                if shape == each[:k] + each[k + 1 :]:
                    yield by_sample, k

    def _spread(self, mask: Array, axis: int | None, output: Output) -> Array:
        if axis is None:
            return np.array(np.broadcast_to(mask, (output.n, *output.each)))
        made = np.zeros((output.n, *output.each), output.dtype)
        chosen = which_class(self.class_, output.each[axis], output)
        np.moveaxis(made, axis + 1, 1)[np.arange(output.n), chosen] = mask
        return made

    def _misfit(self, shape: Shape, output: Output) -> str:
        each = output.each
        if shape in (each, (output.n, *each)) and self.axis is None:
            return f"{output.told}, as the mask of the Region has, so there is one class; leave class_ out"
        maps = dict.fromkeys((each[1:], each[:-1])) if each else {}
        return (
            f"{output.told}, and the mask of a Region has shape {shape}; give one of shape "
            f"{' or '.join(map(str, maps)) or '()'} (without the classes), or such a mask for each of the "
            f"samples ({output.n}); where classes lie along another axis, say which with axis="
        )
