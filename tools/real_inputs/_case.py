"""What a real input is, and the table that the builders write themselves into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feeds = dict[str, NDArray[Any]]
Outputs = Mapping[str, Any]


@dataclass(frozen=True)
class RealModel:
    """A trained model, a real input for it, and what it must predict.

    Parameters
    ----------
    feeds : dict of str to ndarray
        A value for every input of the model, preprocessed as its makers document.
    output : str
        Name of the output to explain.
    target : tuple of int
        Index of one number in that output: the score to explain. Starts with the batch index if there is one.
    expected : float or str
        What ``prediction`` must return.
    says : str
        The input and the prediction in words.
    tolerance : float
        Allowed absolute difference, if `expected` is a number.
    top : bool
        Whether the target must be the greatest along the last axis of the output.
    read : callable, optional
        Turns the outputs (by name) into the prediction; by default the number at `target`.
    name : str
        The catalogue's name of the model.
    path : Path
        The model file.
    """

    feeds: Feeds = field(repr=False)
    output: str
    target: tuple[int, ...]
    expected: float | str
    says: str
    tolerance: float = 0.02
    top: bool = False
    read: Callable[[Outputs], float | str] | None = field(default=None, repr=False)
    name: str = ""
    path: Path = Path()

    def prediction(self, outputs: Outputs) -> float | str:
        """Read the prediction from the model's outputs.

        Parameters
        ----------
        outputs : mapping of str to ndarray
            The model's outputs by name.

        Returns
        -------
        float or str
            A score, or the text that the model read or wrote.
        """
        return float(outputs[self.output][self.target]) if self.read is None else self.read(outputs)


Builder = Callable[[Path], RealModel]
BUILDERS: dict[str, Builder] = {}


def real_input(*names: str) -> Callable[[Builder], Builder]:
    """Enter a builder for these models.

    The builder gets the path of the model file; the data files of the catalogue lie in the same folder.
    """

    def enter(builder: Builder) -> Builder:
        for name in names:
            BUILDERS[name] = builder
        return builder

    return enter


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities of logits along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return result
