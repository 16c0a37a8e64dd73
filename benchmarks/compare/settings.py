"""What one race is about, and what takes part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["BARE", "FILE", "FORWARD", "OURS", "Entrant", "Job", "Setting"]

FORWARD = "onnxruntime forward"
OURS = "onnxplain"
FILE = "onnxplain file"
BARE = "bare run of the same graph"

#: Explains once, and returns what it found.
Job: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Setting:
    """One race.

    Attributes
    ----------
    work, model, batch, threads
        By name, and how many.
    size
        Of what the work counts (steps, samples, masks); None: as many as are usual.
    side
        Of the images, for networks of random weights.
    """

    work: str
    model: str
    batch: int = 1
    threads: int = 2
    size: int | None = None
    side: int = 224

    @property
    def key(self) -> str:
        """The race in one word."""
        more = "" if self.side == 224 else f"/side{self.side}"
        return f"{self.work}/{self.model}/{self.batch}{more}" + ("" if self.size is None else f"/{self.size}")


@dataclass(frozen=True)
class Entrant:
    """Somebody's way to explain.

    Attributes
    ----------
    job
        Explains once.
    says
        What was chosen for it.
    """

    job: Job
    says: str = ""
