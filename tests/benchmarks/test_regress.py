"""Two commits side by side."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def regress(command: Any) -> Any:
    """The module behind ``python -m benchmarks.regress``."""
    return import_module("benchmarks.regress")


def test_no_such_commit(regress: Any) -> None:
    with pytest.raises(SystemExit, match=r"git worktree add failed: .*no-such-commit|git is not installed"):
        regress.main(["no-such-commit", ".", "--model", "mlp", "--work", "gradient"])


def test_nothing_to_race(regress: Any) -> None:
    with pytest.raises(SystemExit, match="none of these works is raced on any of these models"):
        regress.main([".", ".", "--model", "mlp", "--work", "deep_lift"])


class Scripted:
    """A side whose turns and answers are known."""

    def __init__(self, seconds: list[float], answer: Any) -> None:
        self.said = {"jobs": ["onnxplain", "its own"]} if len(seconds) < 3 else {"jobs": ["onnxplain"]}
        self._seconds, self._answer = iter(seconds), answer

    def turn(self, job: str) -> float:
        return next(self._seconds)

    def answer(self, job: str) -> Any:
        return self._answer


def test_ratios_are_of_pairs(regress: Any) -> None:
    old, new = Scripted([1.0, 10.0, 4.0], np.ones(3)), Scripted([2.0, 5.0, 16.0], np.array([1, 1, 1.5]))
    (row,) = regress.raced(old, new, regress.Setting("gradient", "mlp"), 3)
    assert (row["ratio"], row["old_ms"], row["new_ms"]) == (2.0, 4000, 5000)
    assert (row["difference"], row["same"]) == (0.5, False)


@pytest.mark.models
def test_the_tree_beside_itself(regress: Any, tmp_path: Path, capsys: Any) -> None:
    kept = tmp_path / "rows.json"
    asked = "--model mlp --work gradient --rounds 3 --threads 1".split()
    regress.main([".", ".", *asked, "--json", str(kept)])
    rows = json.loads(kept.read_text(encoding="utf-8"))
    assert [row["job"] for row in rows] == ["onnxplain", "onnxplain file"]
    for row in rows:
        assert row["difference"] == 0
        assert row["ratios"][0] <= row["ratio"] <= row["ratios"][-1]
    assert "| gradient | mlp | 1 | onnxplain file |" in capsys.readouterr().out
