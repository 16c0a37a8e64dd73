"""What may be refused: by method (or "relevance", "deep_lift", "all"), the operator, and why."""

from __future__ import annotations

__all__ = ["REFUSED", "UNPROVEN"]

#: Operators behind which rows are not proven to be samples, and why: ``batch_axes`` has to say it.
UNPROVEN = {
    "Loop": "a state may change its shape from step to step",
    "MaxUnpool": "indices of MaxPool count the elements of all samples before",
}

REFUSED: dict[str, dict[str, str]] = {
    "deep_lift": {
        "Det": "products of many values",
        "ReduceProd": "products of many values",
        "Compress": "it picks, and is not told from what picks by the values",
        "TopK": "it picks by the values",
        "MaxUnpool": "the places come from another operator's choice",
        "GatherElements": "what ArgMax picks by the values",
        "GridSample": "the places vary: not linear in them",
        "ScatterElements": "products and extrema of what meets at a place",
        "ScatterND": "products and extrema of what meets at a place",
    },
    "relevance": {
        "Det": "products of many values have no rule",
        "ReduceProd": "products of many values have no rule",
        "LogSoftmax": "has no rule",
        "ScatterElements": "products of what meets at a place have no rule",
        "ScatterND": "products of what meets at a place have no rule",
    },
}
