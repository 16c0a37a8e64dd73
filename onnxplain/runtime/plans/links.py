"""Links: what is made of scores before they are worked with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.errors import NotFiniteError

__all__ = ["LINKS", "Link"]

#: What is made of scores before they are a game's: themselves, or log-odds of probabilities.
Link: TypeAlias = Literal["identity", "logit"]


def _identity(scores: FloatArray) -> FloatArray:
    return scores


def _logit(scores: FloatArray) -> FloatArray:
    bad = ~((scores > 0) & (scores < 1))
    if bad.any():
        raise NotFiniteError(
            f"link='logit' is of probabilities, and a coalition's score is {scores[bad].ravel()[0]:g}, which "
            "has no finite log-odds; explain a probability between 0 and 1 (through_softmax=True), or what "
            "enters the Softmax or Sigmoid with link='identity'"
        )
    return np.asarray(np.log(scores) - np.log1p(-scores))


#: By name.
LINKS: dict[str, Callable[[FloatArray], Any]] = {"identity": _identity, "logit": _logit}
