"""Who plays: players of rows that differ."""

from __future__ import annotations

import numpy as np

from onnxplain.features.players import Players


def test_rows_are_sorted_by_their_players() -> None:
    ids = {"a": np.array([[0, 1, 2], [0, 1, 1], [0, 0, 2], [2, 1, 0]]), "b": np.array([[3]])}
    found = Players(ids, 5).alike(4)  # nobody plays 4
    assert sorted(rows.tolist() for rows, _ in found) == [[0, 3], [1], [2]]
    for rows, own in found:
        assert own.count == len(np.unique(ids["a"][rows[0]])) + 1
        for row, anew in zip(ids["a"][rows], own.ids["a"], strict=True):
            assert (own.ids["b"] == own.count - 1).all()
            numbers = dict(zip(row.tolist(), anew.tolist(), strict=True))
            assert sorted(numbers.values()) == list(range(own.count - 1)), "counted anew from 0"
            assert anew.tolist() == [numbers[v] for v in row.tolist()]


def test_players_without_elements_are_left_out() -> None:
    ((rows, own),) = Players({"a": np.array([[0, 3, -1]])}, 5).alike(2)
    assert rows.tolist() == [0, 1]
    assert own.count == 2
    assert own.ids["a"].tolist() == [[0, 1, -1]]
