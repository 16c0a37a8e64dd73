"""What blocks of points share is made once, and no bit of a game's scores depends on how points are cut."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from onnxplain.runtime.plans.coalitions import MeanScores
from onnxplain.runtime.plans.games.strata import Strata
from onnxplain.runtime.plans.plan import Answers
from onnxplain.runtime.scratch import Scratch


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_games_are_added_one_by_one(n, rows, dtype) -> None:
    random = np.random.default_rng(rows)
    count = 9 * rows
    scores = (random.normal(size=(count, n)) * 10.0 ** random.integers(-6, 6, (count, n))).astype(dtype)
    expected = np.zeros((9, n))
    for place, score in enumerate(scores):
        expected[place // rows] += score.astype(np.float64) / rows
    problem = SimpleNamespace(n=n, background={"x": np.zeros((rows, 2))})
    for size in (1, 2, rows, rows + 1, 2 * rows + 1, count):
        sums = MeanScores().begin(problem, count, checked=True)
        for start in range(0, count, size):
            steps = slice(start, min(start + size, count))
            sums.add(steps, Answers({}, scores[steps], None, "completeness"))
        assert sums.found().extras["scores"].T.tobytes() == expected.tobytes(), size


def test_copies_are_made_again_only_of_another_array_or_for_more() -> None:
    scratch, one = Scratch(), np.arange(6).reshape(3, 2)
    made = scratch.copies("rows", one, 4)
    np.testing.assert_array_equal(made, np.tile(one, (4, 1)))
    assert np.shares_memory(scratch.copies("rows", one, 2), made)
    np.testing.assert_array_equal(scratch.copies("rows", one, 2), np.tile(one, (2, 1)))
    np.testing.assert_array_equal(scratch.copies("rows", one, 5), np.tile(one, (5, 1)))
    np.testing.assert_array_equal(scratch.copies("rows", one + 1, 2), np.tile(one + 1, (2, 1)))
    np.testing.assert_array_equal(scratch.copies("rows", one[:0], 3), one[:0])
    with pytest.raises(ValueError, match="read-only"):
        made[0] = 0


def test_draws_are_remembered_but_for_large_ones() -> None:
    first = Strata(9, 40, "leverage", 5).remembered()
    sets = first.drawn(0)[0]
    again = Strata(9, 40, "leverage", 5).remembered()
    assert again.drawn(0)[0] is sets
    np.testing.assert_array_equal(sets, Strata(9, 40, "leverage", 5).drawn(0)[0])
    for other in (Strata(9, 40, "kernel", 5), Strata(9, 40, "leverage", 6), Strata(9, 40, "leverage", 5, 12)):
        assert other.remembered() is other
    with pytest.raises(ValueError, match="read-only"):
        sets[0] = True
    large = Strata(1000, 4000, "leverage", 5)
    assert large.remembered() is large
    assert Strata(1000, 4000, "leverage", 5).remembered() is not large
