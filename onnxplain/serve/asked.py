"""A request and an answer, apart from how a protocol writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from onnxplain._types import Arrays
from onnxplain.graph import facts
from onnxplain.serve.company import Company
from onnxplain.serve.datatypes import datatype

__all__ = ["DELTA", "Answer", "Asked", "Served", "Tensor"]

#: Begins the name of what says how far a sum is off.
DELTA = "delta/"


@dataclass(frozen=True)
class Tensor:
    """An input or output as metadata tells it.

    Attributes
    ----------
    name
        Its name.
    dtype
        Its dtype; objects for texts.
    shape
        Its shape, -1 for what is open.
    optional
        Whether a request may leave it out.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    optional: bool = False

    @classmethod
    def of(
        cls, name: str, dtype: np.dtype[np.generic] | None, shape: tuple[facts.Dim, ...] | None, what: str
    ) -> Tensor:
        """Describe what a model states of an input or output; ``what`` says which, for the error.

        Raises
        ------
        InvalidModelError
            If the protocol cannot carry its type.
        """
        datatype(dtype, f"{what} '{name}'")
        held = np.dtype(object) if dtype is None or dtype.kind in "UOT" else dtype
        dims = (None,) if shape is None else shape
        return cls(name, held, tuple(d if isinstance(d, int) else -1 for d in dims))

    @property
    def datatype(self) -> str:
        """The protocol's name of the dtype."""
        return datatype(self.dtype, f"'{self.name}'")

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol's metadata say of it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes
    ----------
    arrays
        By input name.
    target
        None, ``"predicted"``, or one index (a whole number or a tuple) per sample; one number for all.
    method
        Which of the methods that were named at the start; None for the first.
    company
        With which others it may be answered; None: alone.
    axes
        Along which axis of each input samples are to be taken; None: as the graph proves.
    proven
        Along which axis of each input they lie by the graph; None until the request is prepared.
    scores_axis
        Along which axis of the explained output they lie.
    """

    arrays: Arrays
    target: Any = None
    method: str | None = None
    company: Company | None = None
    axes: Mapping[str, int | None] | None = None
    proven: Mapping[str, int | None] | None = None
    scores_axis: int | None = 0


@dataclass(frozen=True)
class Answer:
    """What comes back.

    Attributes
    ----------
    outputs
        Arrays by output name.
    axes
        Along which axis of each the samples lie; None where the array is of one sample, or of all.
    told
        What is said beside: by name.
    """

    outputs: Arrays
    axes: Mapping[str, int | None]
    told: Mapping[str, str] = field(default_factory=dict)


class Served(Protocol):
    """What a server serves under one name; called from several threads."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    #: Whether it explains: requests may name a target and a method.
    explains: bool

    def prepare(self, asked: Asked) -> Asked:
        """Check a request before it waits, and settle with which others it may be answered.

        Raises
        ------
        OnnxplainError
            If it cannot be answered.
        """

    def answer(self, asked: Asked) -> Answer:
        """Answer a request that was prepared."""
