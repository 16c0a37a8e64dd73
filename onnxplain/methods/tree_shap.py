"""Shapley values of ensembles of trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.graph.classic.trees import is_ensemble
from onnxplain.kernels import trees as kernels
from onnxplain.kernels.ensemble import Ensemble, Mode
from onnxplain.kernels.tree_outputs import columns_of
from onnxplain.methods.exact import Exact, OfTrees, Sum
from onnxplain.runtime.additive import Parts, Trees
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["TreeShap"]

#: Numbers that one call of a kernel may return.
_AT_ONCE = 1 << 24
#: Raw scores closer than this are equal.
_SAME = 1e-6
_WHAT = {"probability": "probability", "log_loss": "log loss"}


@dataclass(frozen=True)
class TreeShap(Exact):
    """Exact Shapley values of trees, and of linear sums of trees and of what single inputs make.

    ``A_i`` is the mean, over all orders in which players may come, of what the score gains when i comes.
    Players are the model's own inputs (or their columns), whatever was scaled, imputed or encoded before the
    trees, as long as each column that the trees see is made of one player.  A closing Softmax or Sigmoid is
    left out: explained are raw scores.  The values sum to ``S(x) - mean_b S(b)``.

    Attributes
    ----------
    feature_perturbation
        What stands for absent players: ``"interventional"``, whole rows of the background, which is given as
        baselines (default: zeros and empty texts); ``"tree_path_dependent"``, both ways at a node, weighted
        by how much data went there: by the file, or else counted with the background.
    model_output
        ``"raw"``; or, for scores that end in a Sigmoid, ``"probability"`` or ``"log_loss"``: that of the
        explained class if it is the true one, ``-log p``, which is then the result's score.  Raw values
        against each row of the background are scaled to the difference of the two probabilities or losses,
        and averaged, as shap does: their sum is right, but they are no Shapley values of the probability or
        of the loss.  Where two raw scores are equal, the slope there scales (shap does not scale, then).
    interactions
        Also return what pairs of players share, ``extras["interactions"]``, (N, P, P); rows sum to
        the values.
    """

    feature_perturbation: Literal["interventional", "tree_path_dependent"] = "interventional"
    model_output: Literal["raw", "probability", "log_loss"] = "raw"
    interactions: bool = False
    name: ClassVar[str] = "tree_shap"
    cost: ClassVar[str] = "1 forward; exact, by the trees"
    sums_to: ClassVar[str] = "score - mean score of the background"

    def __post_init__(self) -> None:
        super().__post_init__()
        by_path = self.feature_perturbation == "tree_path_dependent"
        if self.model_output != "raw" and (by_path or self.interactions):
            raise MethodError(
                f"method 'tree_shap': model_output {self.model_output!r} is for feature_perturbation "
                "'interventional', without interactions"
            )

    def margins(self) -> bool:
        """Explain what enters a closing Sigmoid, but for probabilities and losses."""
        return self.model_output == "raw"

    def attribute(self, problem: Problem) -> Found:
        """Explain all rows."""
        if not any(is_ensemble(node) for node in problem.driver.programs.source.model.graph):
            raise MethodError(
                "the model has no trees (TreeEnsembleRegressor, TreeEnsembleClassifier, TreeEnsemble), which "
                "tree_shap explains; use linear_shap for linear models, integrated_gradients for networks, "
                "or kernel_shap for any"
            )
        return super().attribute(problem)

    def remarks(self, parts: Parts) -> tuple[str, ...]:
        """Say where the covers come from."""
        if self.feature_perturbation == "interventional":
            return ()
        return tuple(
            f"{t.ensemble.name}: how much data came to each node is "
            + ("counted with the background" if t.ensemble.covers is None else "as the file says")
            for t in parts.trees
        )

    def summed(self, problem: Problem) -> Sum:
        """Explain rows that have the same players and the same background."""
        if self.model_output == "raw":
            return super().summed(problem)
        here = problem.ask(problem.driver.needs).score
        numbers = self.numbers(problem.about(margins=True))
        raw = numbers.here.score.astype(np.float64)
        if not np.allclose(here, _sigmoid(raw), atol=1e-4):
            raise MethodError(
                f"the score does not end in a Sigmoid, so there is no {_WHAT[self.model_output]} of one raw "
                "score; use model_output='raw'"
            )
        of, slope = (_sigmoid, _steepness) if self.model_output == "probability" else (_loss, _loss_slope)
        values, surplus, m = (
            np.zeros((problem.n, numbers.players)),
            np.zeros(problem.n),
            len(numbers.absent.score),
        )
        for k in range(m):
            sums = self.added(numbers, slice(k, k + 1))
            gone = of(raw) - of(raw - sums.surplus)
            same = np.abs(sums.surplus) < _SAME
            ratio = np.where(same, slope(raw), gone / np.where(same, 1.0, sums.surplus))
            values += sums.values * ratio[:, None] / m
            surplus += np.where(same, ratio * sums.surplus, gone) / m
        if self.model_output == "probability":
            return Sum(values, surplus)
        note = "the log loss of the explained class is explained, -log p: positive values make it less likely"
        return Sum(values, surplus, score=_loss(raw), notes=(note,))

    def of_trees(self, trees: Trees, x: Array, background: Array, count: int, device: str) -> OfTrees:
        """Return exact values, in blocks of rows whose numbers fit."""
        ensemble, owners = (
            trees.ensemble,
            np.maximum(trees.owners, 0),
        )  # nobody's columns are equal everywhere
        outputs = ensemble.n_outputs
        if self.feature_perturbation == "interventional":
            expected = _raw(ensemble, background).mean(0)

            def values(rows: Array) -> FloatArray:
                return kernels.interventional(ensemble, rows, background, owners, count, device=device)

            def pairs(rows: Array) -> FloatArray:
                return kernels.interactions(
                    ensemble, rows, owners, count, background=background, device=device
                )
        else:
            _must_all_play(trees)
            covers = (
                kernels.count_covers(ensemble, background) if ensemble.covers is None else ensemble.covers
            )
            expected = _expected(ensemble, covers)

            def values(rows: Array) -> FloatArray:
                return kernels.path_dependent(ensemble, rows, owners, count, covers, device=device)

            def pairs(rows: Array) -> FloatArray:
                return kernels.interactions(ensemble, rows, owners, count, covers=covers, device=device)

        made = _in_blocks(values, x, count * outputs)
        shared = _in_blocks(pairs, x, count * count * outputs) if self.interactions else None
        return OfTrees(made, _raw(ensemble, x) - expected, shared)


def _must_all_play(trees: Trees) -> None:
    """Refuse columns that are nobody's, for which the data do not say what stands there."""
    if (trees.owners < 0).any():
        raise MethodError(
            f"{trees.ensemble.name}: columns that stay as they are (of inputs that are not explained, or -1 "
            "in feature_mask) need feature_perturbation='interventional'"
        )


def _raw(ensemble: Ensemble, x: Array) -> FloatArray:
    """Return the raw scores, added up in float64."""
    wide = replace(ensemble, dtype="float64", output_dtype="float64")
    return np.asarray(kernels.predict(wide, ensemble.columns(x), raw=True), np.float64)


def _expected(ensemble: Ensemble, covers: FloatArray) -> FloatArray:
    """Return the raw scores of nobody: leaves by the share of the data that reached them (half if none)."""
    share, nodes = np.zeros(ensemble.mode.size), ensemble.roots
    share[nodes] = 1.0
    while nodes.size:
        nodes = nodes[ensemble.mode[nodes] != Mode.LEAF]
        true, false = ensemble.true_child[nodes], ensemble.false_child[nodes]
        whole = covers[true] + covers[false]
        gone = np.divide(covers[true], whole, out=np.full(nodes.size, 0.5), where=whole > 0)
        share[true], share[false] = share[nodes] * gone, share[nodes] * (1 - gone)
        nodes = np.concatenate([true, false])
    leaves = np.repeat(np.arange(share.size), np.diff(ensemble.leaf_start))
    total = ensemble.base.copy()
    np.add.at(total, ensemble.leaf_target, share[leaves] * ensemble.weights())
    return np.asarray(columns_of(ensemble, total[None])[0], np.float64)


def _in_blocks(explain: Callable[[Array], FloatArray], x: Array, each: int) -> FloatArray:
    """Explain rows in blocks; ``each`` numbers are found for a row."""
    size = max(1, _AT_ONCE // max(each, 1))
    return np.concatenate([explain(x[k : k + size]) for k in range(0, len(x), size)])


def _sigmoid(raw: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-_loss(raw)))


def _steepness(raw: FloatArray) -> FloatArray:
    """Return the slope of the probability."""
    return np.asarray(np.exp(-_loss(raw) - _loss(-raw)))


def _loss(raw: FloatArray) -> FloatArray:
    """Return minus the logarithm of the probability that belongs to a raw score."""
    return np.asarray(np.logaddexp(0.0, -raw))


def _loss_slope(raw: FloatArray) -> FloatArray:
    return -_sigmoid(-raw)
