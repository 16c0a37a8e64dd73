"""What a page asks its visitor for, and what the files are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxplain._types import Arrays
from onnxplain.features.removal import Background
from onnxplain.methods import Method
from onnxplain.preprocessing import Preprocessing

__all__ = ["MOST_EXAMPLES", "Form"]

#: Rows and texts that stand on the page as examples.
MOST_EXAMPLES = 20


@dataclass(frozen=True)
class Form:
    """What is asked for, and what the files are told.

    Attributes
    ----------
    kind
        ``"image"``, ``"row"`` or ``"tokens"``.
    shown
        What the page needs to know of it, as JSON holds it.
    explained
        Names of the explained inputs.
    probe
        Inputs by name, on which the files are tried; made of the first example where there is one.
    preprocessing
        How pictures become the model's input.
    background
        Rows by input name, (M, ...); empty where none is given.
    notes
        What a visitor should know.
    """

    kind: str
    shown: Mapping[str, Any]
    explained: tuple[str, ...]
    probe: Arrays
    preprocessing: Preprocessing | None = None
    background: Arrays = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def at_once(self) -> int:
        """How many points of a plan run at once: small models are slow by their number of runs."""
        return 64 if self.kind == "row" else 1

    def options_for(self, method: Method) -> dict[str, Any]:
        """Return what a method compares with, and who plays, as ``export`` and the explainer take it."""
        options: dict[str, Any] = {}
        if self.background and (method.wants_baselines() or method.wants_background()):
            options["baselines"] = Background(dict(self.background))
        if self.kind == "image" and method.wants_players():
            options["feature_mask"] = "grid"
        return options

    def compared(self, method: Method) -> str:
        """Say what a method compares with; nothing where it does not."""
        if not (method.wants_baselines() or method.wants_background()):
            return ""
        if not self.background:
            return "0 at the embedding" if self.kind == "tokens" else "0 in all that the model takes"
        count = len(next(iter(self.background.values())))
        return f"{count} rows that stand for what is usual, on average"
