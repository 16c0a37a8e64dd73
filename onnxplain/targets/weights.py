"""Weighted sums as targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import TargetError
from onnxplain.targets.output import Output, numbers

__all__ = ["Weights"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Explain a weighted sum of the output's entries, ``S = sum w y``.

    Attributes
    ----------
    array
        Shaped like one sample's output, or (N, ...) with weights for each sample.
    """

    array: Any

    def weights(self, output: Output) -> Array:
        """Return weights of the output's entries, (N, ...).

        Raises
        ------
        TargetError
            If they do not fit it.
        """
        what, each, n = f"the weights of output '{output.name}'", output.each, output.n
        array = numbers(self.array, what)
        if array.shape not in (each, (n, *each)):
            raise TargetError(
                f"{what} have shape {array.shape}; give {each} for all samples, or {(n, *each)} for each"
            )
        return np.array(np.broadcast_to(array, (n, *each)), output.dtype)
