"""How the samples of a call lie in its arrays: which axis of each input is the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Arrays
from onnxplain.errors import DataInputError
from onnxplain.graph.interface import InputInfo, OutputInfo

__all__ = ["Layout", "find_layout"]


@dataclass(frozen=True)
class Layout:
    """How samples lie in the arrays of one call.

    Attributes
    ----------
    n
        Number of samples.
    axes
        Position of the batch axis by input name; None where there is none.
    exact
        Samples that the model demands at once (a fixed batch), or None.
    """

    n: int
    axes: dict[str, int | None]
    exact: int | None

    def pieces(self, arrays: Arrays) -> Iterator[tuple[Arrays, int]]:
        """Cut inputs into what the model takes at once, with the number of samples that count in each."""
        if self.exact is None or self.n == self.exact:
            yield arrays, self.n
            return
        for start in range(0, self.n, self.exact):
            rows = np.minimum(np.arange(start, start + self.exact), self.n - 1)
            part = {
                k: v if (axis := self.axes[k]) is None else np.take(v, rows, axis=axis)
                for k, v in arrays.items()
            }
            yield part, min(self.exact, self.n - start)

    def output_shape(self, output: OutputInfo, batch: object) -> tuple[int, ...] | None:
        """Return the shape that an output will have, if that is certain before running.

        Parameters
        ----------
        output
            The output.
        batch
            The model's own word for its batch axis: a name, or a number where it is fixed.
        """
        shape = output.shape
        if not shape or not all(isinstance(d, int) for d in shape[1:]):
            return None
        if len(shape) == 1 and not isinstance(shape[0], int):
            return None  # exporters also name the only axis of a few scores after the batch
        sizes = tuple(d for d in shape[1:] if isinstance(d, int))
        if shape[0] == batch and batch is not None and any(a is not None for a in self.axes.values()):
            return (self.n, *sizes)
        return (shape[0], *sizes) if isinstance(shape[0], int) else None


def find_layout(
    arrays: Arrays,
    inputs: Sequence[InputInfo],
    outputs: Sequence[OutputInfo],
    main: str,
    explained: Sequence[str],
) -> Layout:
    """Find each input's batch axis, from names of axes, or else from their lengths.

    Parameters
    ----------
    arrays
        The inputs as given.
    inputs, outputs
        What the model says of them.
    main
        The input whose first axis is the batch.
    explained
        Names of the inputs that are explained; they all need a batch axis, or else there is no batch.

    Raises
    ------
    DataInputError
        If inputs disagree on the number of samples.
    """
    by_name = {i.name: i for i in inputs}
    shape = by_name[main].shape
    symbol = shape[0] if shape else None
    if arrays[main].ndim == 0 or (isinstance(symbol, int) and _has_no_batch(symbol, outputs)):
        if isinstance(symbol, int) and len(arrays[main]) != symbol:
            raise DataInputError(
                f"input '{main}' must have shape {by_name[main].spelled}, not {arrays[main].shape}: this "
                "model takes one sample, without a batch axis"
            )
        return Layout(1, dict.fromkeys(arrays, None), None)
    if shape and _batch_is_elsewhere(shape, outputs):
        return Layout(1, dict.fromkeys(arrays, None), None)  # time first, say: one sample
    n = arrays[main].shape[0]
    axes: dict[str, int | None] = {}
    for name, array in arrays.items():
        dims = by_name[name].shape or (None,) * array.ndim
        if name == main:
            axes[name] = 0
        elif isinstance(symbol, str) and symbol in dims:
            axes[name] = axis = dims.index(symbol)
            if array.shape[axis] != n:
                raise DataInputError(
                    f"input '{main}' has {n} samples, but input '{name}' has {array.shape[axis]} (axis "
                    f"{axis} of {array.shape}); give both the same number"
                )
        elif isinstance(symbol, int):
            axes[name] = next((k for k, d in enumerate(dims) if d == symbol and array.shape[k] == n), None)
        else:
            free = [k for k, d in enumerate(dims) if not isinstance(d, int) and array.shape[k] == n]
            axes[name] = free[0] if free else None
    if n > 1 and any(k in arrays and axes[k] is None and arrays[k].ndim for k in explained):
        return Layout(1, dict.fromkeys(arrays, None), None)  # the first axis is a sequence, say: one sample
    return Layout(n, axes, symbol if isinstance(symbol, int) and symbol > 0 else None)


def _batch_is_elsewhere(shape: Sequence[object], outputs: Sequence[OutputInfo]) -> bool:
    """Tell whether outputs begin with another named axis of the main input than its first."""
    first = {o.shape[0] for o in outputs if o.shape}
    return shape[0] not in first and any(isinstance(d, str) and d in first for d in shape[1:])


def _has_no_batch(first: int, outputs: Sequence[OutputInfo]) -> bool:
    """Tell whether the fixed first axis of the main input comes back as that of no output, so is no batch."""
    return first > 1 and all(
        o.shape is not None and (not o.shape or (isinstance(o.shape[0], int) and o.shape[0] != first))
        for o in outputs
    )
