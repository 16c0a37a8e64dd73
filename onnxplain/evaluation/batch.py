"""What is evaluated: samples, and what is said of each, cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.answering import Posed
from onnxplain.features.removal import Background
from onnxplain.tables import read_table
from onnxplain.targets.detection import Detection
from onnxplain.targets.weights import Weights

__all__ = ["Batch", "blocks", "names_of"]

#: Numbers that a block of samples holds, about: a few of its size are in memory at a time.
_NUMBERS = 1 << 22


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples, and what is said of each.

    Attributes
    ----------
    n
        Number of samples.
    inputs
        As they were given, or by name.
    target
        What is explained.
    masks, baselines, feature_mask
        Of metrics; None where not given.
    axes
        Where samples lie in each input; None for those without, and for a whole.
    ranks
        Number of axes of each input.
    weights
        The target as weights of each sample's output, where it is such.
    """

    n: int
    inputs: Any
    target: Any
    masks: Any
    baselines: Any
    feature_mask: Any
    axes: Mapping[str, int | None]
    ranks: Mapping[str, int]
    weights: Array | None = None

    @classmethod
    def of(
        cls, posed: Posed, inputs: Any, target: Any, masks: Any, baselines: Any, feature_mask: Any
    ) -> Batch:
        """Look at arguments, beside the problem that they pose."""
        arrays, axes = posed.samples.arrays, posed.samples.layout.axes
        reads = posed.problem.reader is not None
        weights = posed.problem.target if posed.question.target == "weights" and not reads else None
        return cls(
            posed.samples.n, inputs, target, masks, baselines, feature_mask,
            {k: axes[k] for k in arrays}, {k: v.ndim for k, v in arrays.items()}, weights,
        )  # fmt: skip

    @property
    def cuttable(self) -> bool:
        """Whether the samples can be told apart."""
        return self.n > 1 and any(axis is not None for axis in self.axes.values())

    def take(self, block: slice) -> Batch:
        """Return some of the samples, with what is said of them."""
        if block == slice(0, self.n):
            return self
        weights = None if self.weights is None else self.weights[block]
        return replace(
            self,
            n=block.stop - block.start,
            inputs=self._inputs(block),
            target=self._target(block),
            masks=self._beside(self.masks, block, maps=True),
            baselines=self._beside(self.baselines, block),
            feature_mask=self._beside(self.feature_mask, block),
            weights=weights,
        )

    def options(self, told: Mapping[str, Any], block: slice) -> dict[str, Any]:
        """Return what an explainer is told besides, for some of the samples."""
        whole = block == slice(0, self.n)
        beside = ("baselines", "feature_mask")
        return {k: self._beside(v, block) if k in beside and not whole else v for k, v in told.items()}

    def _inputs(self, block: slice) -> Any:
        table = read_table(self.inputs)
        if table is not None:
            return {k: v[block] if len(v) == self.n else v for k, v in table.items()}
        named = self.inputs
        if not isinstance(named, Mapping):
            named = {next(iter(self.axes)): named}
        return {k: _cut(np.asarray(v), self.axes.get(k, 0), block) for k, v in named.items()}

    def _target(self, block: slice) -> Any:
        if self.weights is not None:
            return Weights(self.weights[block])
        if isinstance(self.target, Detection):
            boxes, classes = np.asarray(self.target.box), self.target.class_
            return replace(
                self.target,
                box=boxes[block] if boxes.ndim == 2 else boxes,
                class_=classes if np.ndim(classes) == 0 else np.asarray(classes)[block],
            )
        several = isinstance(self.target, list) or (isinstance(self.target, np.ndarray) and self.target.ndim)
        if several and len(self.target) == self.n:
            return self.target[block]
        return self.target

    def _beside(self, given: Any, block: slice, *, maps: bool = False) -> Any:
        """Cut what lies beside the inputs: arrays as long as they are, also by name."""
        if isinstance(given, Background):
            return given
        if isinstance(given, Mapping):
            return {
                k: self._one(v, self.axes[k], self.ranks[k], block, maps) if k in self.axes else v
                for k, v in given.items()
            }
        if not isinstance(given, (np.ndarray, list, tuple)):
            return given
        main = next((k for k, axis in self.axes.items() if axis is not None), next(iter(self.axes)))
        return self._one(given, self.axes[main], self.ranks[main], block, maps)

    def _one(self, given: Any, axis: int | None, rank: int, block: slice, maps: bool) -> Any:
        if axis is None or not isinstance(given, (np.ndarray, list, tuple)):
            return given
        array = np.asarray(given)
        if array.ndim == rank and array.shape[axis] == self.n:
            return _cut(array, axis, block)
        if maps and array.ndim == rank - 1 and len(array) == self.n:
            return array[block]
        return given


def blocks(batch: Batch, posed: Posed, size: int | None) -> tuple[slice, ...]:
    """Return which samples are measured together.

    Parameters
    ----------
    batch, posed
        The samples.
    size
        How many at most; None for as many as hold about four million numbers, whatever the machine.
    """
    if not batch.cuttable:
        return (slice(0, batch.n),)
    if size is None:
        each = sum(prod(f.shape[1:]) for f in posed.problem.features.values())
        size = max(1, _NUMBERS // max(1, each))
    starts = range(0, batch.n, size)
    return tuple(slice(start, min(start + size, batch.n)) for start in starts)


def _cut(array: Array, axis: int | None, block: slice) -> Array:
    if axis is None:
        return array
    return np.moveaxis(np.moveaxis(array, axis, 0)[block], 0, axis)


def names_of(blocks: Sequence[slice]) -> Iterator[str]:
    """Say which samples each block holds; nothing where there is one block."""
    for block in blocks:
        yield "" if len(blocks) == 1 else f"samples {block.start} to {block.stop - 1}: "
