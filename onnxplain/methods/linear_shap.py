"""Shapley values of linear models, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain._types import Array
from onnxplain.errors import NotExplainableError
from onnxplain.methods.exact import Exact, OfTrees
from onnxplain.runtime.additive import Trees

__all__ = ["LinearShap"]


@dataclass(frozen=True)
class LinearShap(Exact):
    """Exact Shapley values of a linear score, ``A_i = sum_k w_k (f_k(x_i) - mean_b f_k(b_i))``.

    The ``f_k`` are what the model makes of single inputs before it adds them up: scaled and imputed numbers,
    one-hot columns, or any function of one input.  That nothing else happens is proven by the graph.  A
    closing Softmax or Sigmoid is left out: explained are logits and log-odds.  Rows of a background are given
    as baselines (default: zeros and empty texts).
    """

    name: ClassVar[str] = "linear_shap"
    cost: ClassVar[str] = "1 forward; exact"
    sums_to: ClassVar[str] = "score - mean score of the background"

    def of_trees(self, trees: Trees, x: Array, background: Array, count: int, device: str) -> OfTrees:
        """Refuse them."""
        raise NotExplainableError(
            f"{trees.ensemble.name} is an ensemble of trees, and not linear; use tree_shap, which explains "
            "sums of both"
        )
