"""Coalitions, written into a loop; and what is linear in their scores, as one constant matrix."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, spread, write_sums
from onnxplain.runtime.plans.coalitions import Drawn, Played, Solver

__all__ = ["solution"]

#: Scores of which a matrix is made at most.
_MOST = 8192


@write_points.register
def _coalitions(points: Drawn, outside: Outside) -> Written:
    """Write the rows with the players of coalitions, each against every row of the background."""
    players = outside.who()
    rows = outside.rows
    count = points.count_of(players.count)
    table = np.asarray(points.members(players.count, slice(0, count)), bool)
    stays = np.concatenate([table, np.ones((count, 1), bool)], 1)  # the last one is nobody

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        coalition = op.Div(inside.step, np.int64(rows)) if rows > 1 else inside.step
        row = op.Mod(inside.step, np.int64(rows)) if rows > 1 else None
        kept = op.Gather(op.initializer(stays), coalition, axis=0)  # (m, P + 1)
        for name, feature in outside.features.items():
            ids = players.ids[name].reshape(-1)
            flat = op.Gather(kept, op.initializer(np.where(ids < 0, players.count, ids)), axis=1)
            own = op.Reshape(flat, [-1, 1, *feature.known])
            instead = inside.baseline(name)
            if row is not None:
                behind = op.initializer(outside.background[name])
                instead = op.Unsqueeze(op.Gather(behind, row, axis=0), [1])
            made[name] = cast("ir.Value", op.Where(own, inside.value(name), instead))
        return made

    return Written(count * rows, make)


@write_sums.register
def _solver(combination: Solver, outside: Outside, count: int) -> Summed:
    """Write the values of players as a constant matrix times the scores of coalitions."""
    op, players, rows = outside.op, outside.who(), outside.rows
    coalitions = count // rows
    matrix = solution(combination, coalitions, players.count)

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        mean: Any = scores
        if rows > 1:
            mean = op.ReduceMean(op.Reshape(scores, [coalitions, rows, -1]), [1], keepdims=0)
        known = linked(
            op, op.Concat(mean, op.Unsqueeze(score, [0]), axis=0), getattr(combination, "link", "identity")
        )
        values = op.Transpose(op.MatMul(op.initializer(matrix), known), perm=[1, 0])  # (N, P)
        nothing = op.Mul(op.slice(values, 1, 0, 1), np.float64(0.0))
        found = spread(outside, op.Concat(values, nothing, axis=1), players)
        if not combination.sums:
            return Result(found)
        ends = op.Gather(known, op.const(np.array([0, coalitions])), axis=0)  # the empty coalition, and all
        gained = op.Sub(op.slice(ends, 0, 1, 2), op.slice(ends, 0, 0, 1))
        return Result(found, op.Sub(op.ReduceSum(values, [1], keepdims=0), op.Reshape(gained, [-1])))

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        return []

    return Summed(False, [], add, finish)


def linked(op: Any, scores: Any, link: str) -> Any:
    """Return scores as a game counts them."""
    if link == "identity":
        return scores
    return op.Sub(op.Log(scores), op.Log(op.Sub(op.const(np.float64(1.0)), scores)))


def solution(combination: Solver, coalitions: int, players: int) -> FloatArray:
    """Return the matrix by which a solver makes values of scores, float64 (P, coalitions + 1).

    The columns are the scores of the coalitions, the empty one first, and of the row itself.  It is found by
    giving the solver scores of which only one is 1, and checked on others.

    Raises
    ------
    MethodError
        If the values are not linear in the scores, or there are too many coalitions.
    """
    if coalitions > _MOST:
        raise MethodError(
            f"{coalitions:,} coalitions are too many for a file, whose matrix takes {_MOST:,}; take fewer "
            "(n_samples=...), or put elements together (feature_mask=...)"
        )

    def solved(scores: Array) -> FloatArray:
        played = Played(scores[1:coalitions], scores[coalitions], players, scores[0])
        return np.asarray(combination.linear(played).values.T)

    matrix = solved(np.eye(coalitions + 1))
    drawn = np.random.default_rng(0).normal(size=(coalitions + 1, 3))
    expected = solved(drawn)
    scale = float(np.abs(expected).max(initial=1e-300))
    if not np.allclose(matrix @ drawn, expected, rtol=0, atol=1e-8 * scale):
        raise MethodError(
            "what is made of the scores is not linear in them (a lasso, or a choice of features), so no "
            "constant matrix holds it; use a ridge without num_features, or the Explainer"
        )
    return matrix
