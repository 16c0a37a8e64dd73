"""Results in words."""

from __future__ import annotations

import numpy as np

from onnxplain.attribution import Attribution
from onnxplain.checks import Conservation
from onnxplain.report.wording import check_text, label_of, percent, prediction_text, target_text
from onnxplain.written import WrittenMethod


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
        check=Conservation(np.array([4.0]), np.array([-1.0])),
        method=WrittenMethod("M()"),
    )
    assert check_text(result) == "sums to 3, must be 4: off by 1 (25 %)"
    assert target_text(result) == "the only score"
    assert percent(0.00001) == "less than 0.01 %"
    assert percent(12.3) == "1230 %"
    assert percent(0.9999) == "100 %"
    assert percent(0.0123) == "1.2 %"
