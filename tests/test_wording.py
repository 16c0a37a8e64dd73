"""Results in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxplain.attribution import Attribution
from onnxplain.errors import DataInputError
from onnxplain.wording import check_text, label_of, percent, prediction_text, read_labels, target_text

if TYPE_CHECKING:
    from pathlib import Path


def test_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cat\ndog \n\n", encoding="utf-8")
    assert read_labels(file) == ["cat", "dog"]
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"1": ["n02", "dog"], "0": ["n01", "cat"]}))
    assert read_labels(file) == ["cat", "dog"]
    file.write_text('["cat", "dog"]')
    assert read_labels(file) == ["cat", "dog"]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "3", "[]"])
def test_broken_labels(text: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(text)
    with pytest.raises(DataInputError, match="labels"):
        read_labels(file)
    with pytest.raises(DataInputError, match="there is no file"):
        read_labels(tmp_path / "none.txt")


def test_predictions() -> None:
    assert prediction_text(np.array([0.492, 0.508, 0.0])) == "1 (50.8 %), 0 (49.2 %)"
    assert prediction_text(np.array([2.0, -1.0, 5.5]), ["a", "b", "c"]) == "2 c (5.5), 0 a (2), 1 b (-1)"
    assert prediction_text(np.array([0.25])) == "0.25"
    assert prediction_text(np.zeros((3, 4))) == "an array of shape (3, 4)"
    assert label_of(3, ["0", "1"]) == "3"
    assert label_of(1, ["0", "1"]) == "1"


def test_checks() -> None:
    result = Attribution(
        arrays={"x": np.array([[1.0, 2.0]])},
        inputs={"x": np.zeros((1, 2))},
        target=np.zeros((1, 0), np.int64),
        score=np.array([4.0]),
        predictions=np.array([4.0]),
        delta=np.array([-1.0]),
        reference=np.array([4.0]),
        method="M()",
    )
    assert check_text(result) == "sums to 3, must be 4: off by 1 (25 %)"
    assert target_text(result) == "the only score"
    assert percent(0.00001) == "less than 0.01 %"
    assert percent(12.3) == "1230 %"
    assert percent(0.9999) == "100 %"
    assert percent(0.0123) == "1.2 %"
