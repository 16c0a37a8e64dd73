"""Targets, as users give them, in the form that programs take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from onnxplain._types import Array
from onnxplain.backward.picking import Target
from onnxplain.batching import SampleOutput
from onnxplain.features.boxes import Reader
from onnxplain.graph.interface import OutputInfo
from onnxplain.inputs import check_target, is_predicted
from onnxplain.samples import Samples
from onnxplain.targets.detection import Detection
from onnxplain.targets.output import Output
from onnxplain.targets.region import Region
from onnxplain.targets.unit import Unit
from onnxplain.targets.weights import Weights

__all__ = ["Resolved", "outputs_read", "resolve_target"]


class Resolved(NamedTuple):
    """A target that fits an output.

    Attributes
    ----------
    kind
        How it names a score.
    values
        Indices, int64 (N, k), -1 for the predicted one; or weights, (N, ...).
    reader
        How to read the boxes of a detector, where a detection is explained.
    """

    kind: Target
    values: Array
    reader: Reader | None = None

    @property
    def axes(self) -> int:
        """Length of an index."""
        return 0 if self.kind == "weights" else int(self.values.shape[1])


def outputs_read(given: object, outputs: Sequence[OutputInfo], name: str) -> tuple[str, ...]:
    """Return which outputs a target for the output ``name`` reads beside it, to find what it explains.

    Raises
    ------
    TargetError
        If it names one that is not there.
    """
    return given.reads(outputs, name) if isinstance(given, Detection) else ()


def resolve_target(
    given: object,
    samples: Samples,
    about: SampleOutput,
    outputs: Sequence[OutputInfo],
    name: str,
    others: tuple[str, ...],
    channel: Callable[[], int | None] = lambda: None,
) -> Resolved:
    """Bring a target, as a user gives it, into the form that programs take.

    Parameters
    ----------
    given
        :class:`~onnxplain.targets.weights.Weights`, :class:`~onnxplain.targets.region.Region`,
        :class:`~onnxplain.targets.detection.Detection`, :class:`~onnxplain.targets.unit.Unit`,
        or what :func:`~onnxplain.inputs.check_target` takes.
    samples
        The arrays of the call.
    about
        What one sample's output looks like.
    outputs, name
        What the model gives, and which of it is explained.
    others
        What :func:`outputs_read` says.
    channel
        Tells the axis of channels of the output, samples first, where that is known.

    Raises
    ------
    TargetError
        If it does not fit the output.
    """
    layout, each = samples.layout, about.shape
    n, mixed = layout.n, layout.mixed
    predicted = isinstance(given, str) and is_predicted(given)
    if isinstance(given, (Weights, Region, Detection, Unit)):
        dtype = next(o.dtype for o in outputs if o.name == name)
        output = Output(name, n, each, dtype, about.axis, mixed, others, samples.rows, channel)
        reader = given.reader(output) if isinstance(given, Detection) else None
        return Resolved("weights", given.weights(output), reader)
    if predicted and math.prod(each) != 1:
        return Resolved("predicted", np.full((n, len(each)), -1, np.int64))
    found = check_target(None if predicted else given, n, each, name, mixed)
    return Resolved("predicted" if found.shape[1] else "index", found)
