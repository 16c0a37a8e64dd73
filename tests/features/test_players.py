"""Who plays: players of rows that differ."""

from __future__ import annotations

import numpy as np

from onnxplain.features.players import Players, patches, tiled


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


def test_who_brings_nothing_else_is_left_out() -> None:
    x = {"a": np.array([[1.0, 0.0, np.nan], [0.0, 0.0, 2.0]]), "b": np.array([["x"], [""]], object)}
    players = Players({"a": np.array([[0, 1, 2]]), "b": np.array([[1]])}, 3)
    found = players.moving(x, [{"a": np.array([0.0, 0.0, np.nan]), "b": np.array([""], object)}])
    assert found.ids["a"].tolist() == [[0, 1, -1], [-1, -1, 2]]
    assert found.ids["b"].tolist() == [[1], [-1]]
    rows = [{"a": np.array([v, v, v]), "b": np.array(["x"], object)} for v in (0.0, 1.0)]
    every = players.moving(x, rows)
    assert every is players, "all move somewhere"


def test_patches_are_cut_at_both_ends() -> None:
    features = {"x": np.zeros((2, 3, 4, 6)), "y": np.zeros((2, 5)), "z": np.zeros((2, 3))}
    found = patches(dict.fromkeys(features, 4), features, {"x": (2, 3), "y": (1,), "z": (1,)})
    assert found.ids["x"].shape == (1, 3, 4, 6)
    assert (found.ids["x"] == [0, 0, 0, 1, 1, 1]).all()
    assert found.ids["y"].tolist() == [[2, 2, 2, 3, 3]]
    assert found.ids["z"].tolist() == [[4, 4, 4]]
    assert found.count == 5
    two = patches({"x": 2}, {"x": np.zeros((1, 4, 3))}, {"x": (1, 2)})
    assert two.ids["x"].tolist() == [[[0, 0, 1], [0, 0, 1], [2, 2, 3], [2, 2, 3]]]


def test_tiles_share_a_space_alike() -> None:
    found = tiled(2, {"x": np.zeros((1, 3, 4, 5)), "y": np.zeros((1, 3))})
    assert found.ids["x"][0, 2].tolist() == [[0, 0, 0, 1, 1]] * 2 + [[2, 2, 2, 3, 3]] * 2
    assert found.ids["y"].tolist() == [[4, 4, 5]]
