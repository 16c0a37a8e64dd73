"""Tree ensembles as flat arrays: what the kernels of `trees` read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ensemble", "Floats", "Ints", "Mode", "paths"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class Mode(IntEnum):
    """The question a node asks of its column; the first seven are numbered as in ai.onnx.ml 5."""

    LEQ = 0
    LT = 1
    GTE = 2
    GT = 3
    EQ = 4
    NEQ = 5
    MEMBER = 6
    LEAF = 7


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All trees of one node of a model, in flat arrays; K nodes, T trees, S scores.

    Every node but the roots has exactly one parent.  A value that is NaN answers a comparison as IEEE 754
    says (false, but for NEQ), and goes the true way also where ``missing_true`` is set.

    Attributes
    ----------
    name : str
        The model's node, as messages call it.
    feature, true_child, false_child : ndarray, shape (K,), int32
        Column that is asked, and where to go then; -1 at leaves.
    mode : ndarray, shape (K,), int32
        What is asked: a :class:`Mode`.
    threshold : ndarray, shape (K,), float64
        What the column is compared with.
    missing_true : ndarray, shape (K,), bool
        Whether a missing value (NaN) goes the true way.
    member_start, members : ndarray, shapes (K + 1,), (M,)
        ``members[member_start[k]:member_start[k + 1]]`` is the set of node k, if its mode is MEMBER.
    leaf_start, leaf_target, leaf_weight : ndarray, shapes (K + 1,), (W,), (W,)
        The weights of each leaf and the scores that they are added to, in the same way.
    roots : ndarray, shape (T,), int32
        Where the trees begin.
    base : ndarray, shape (S,), float64
        What is added to the aggregate.
    covers : ndarray, shape (K,), float64, optional
        How much of the training data reached each node, where the model says it.
    aggregate : str
        ``"SUM"``, ``"AVERAGE"``, ``"MIN"`` or ``"MAX"`` of the trees.
    post_transform : str
        What is done to the outputs in the end.
    pair : str
        How a single score s becomes two columns: ``"complement"`` (1 - s, s), ``"opposite"`` (-s, s), or
        ``""`` where the scores are the columns.
    dtype : str
        In what columns and thresholds are compared and weights added: ``"float32"`` or ``"float64"``.
    output_dtype : str
        What the model gives its outputs in.
    labels : tuple of str or int
        The classes, empty for a regressor.
    """

    name: str
    feature: Ints
    mode: Ints
    threshold: Floats
    true_child: Ints
    false_child: Ints
    missing_true: NDArray[np.bool_]
    member_start: Ints
    members: Floats
    leaf_start: Ints
    leaf_target: Ints
    leaf_weight: Floats
    roots: Ints
    base: Floats
    covers: Floats | None = None
    aggregate: str = "SUM"
    post_transform: str = "NONE"
    pair: str = ""
    dtype: str = "float32"
    output_dtype: str = "float32"
    labels: tuple[str | int, ...] = ()

    @property
    def n_scores(self) -> int:
        """Number of sums that the leaves' weights are added to."""
        return int(self.base.size)

    @property
    def n_outputs(self) -> int:
        """Number of columns of the output."""
        return 2 if self.pair else self.n_scores

    @property
    def n_columns(self) -> int:
        """The least number of columns that the input must have."""
        return int(self.feature.max(initial=-1)) + 1

    @property
    def additive(self) -> bool:
        """Whether the scores are sums over the trees."""
        return self.aggregate in ("SUM", "AVERAGE")

    def columns(self, X: NDArray[np.generic]) -> Floats:
        """Round a table to what is compared, and widen that, which changes no comparison."""
        with np.errstate(over="ignore"):
            rounded = np.asarray(X).astype(self.dtype)
        return np.ascontiguousarray(rounded, np.float64)

    def weights(self) -> Floats:
        """Return the leaves' weights as they count in the sum of all trees, (W,)."""
        return self.leaf_weight / self.roots.size if self.aggregate == "AVERAGE" else self.leaf_weight

    def as_sum(self) -> Ensemble:
        """Return the same scores as a plain sum over the trees."""
        return replace(self, leaf_weight=self.weights(), aggregate="SUM")

    def exact(self) -> Ensemble:
        """Return the same trees, for tables that `columns` made, adding in float64 up to the raw scores."""
        return replace(self, dtype="float64", output_dtype="float64", post_transform="NONE")


def paths(ensemble: Ensemble) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """Yield every leaf with the nodes that lead to it, each with the answer that leads on."""
    for root in ensemble.roots.tolist():
        stack: list[tuple[int, list[tuple[int, bool]]]] = [(root, [])]
        while stack:
            node, path = stack.pop()
            if ensemble.mode[node] == Mode.LEAF:
                yield node, path
                continue
            stack.append((int(ensemble.false_child[node]), [*path, (node, False)]))
            stack.append((int(ensemble.true_child[node]), [*path, (node, True)]))
