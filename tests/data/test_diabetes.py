"""The built-in table, and the pipeline over it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pipelines

import onnxplain as ox
from onnxplain.data import diabetes_background, diabetes_model_path, diabetes_rows


def test_model_is_small_and_valid() -> None:
    path = diabetes_model_path()
    assert path.stat().st_size < 20_000
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_rows_are_what_the_model_takes() -> None:
    rows, became = diabetes_rows()
    background = diabetes_background()
    session = ort.InferenceSession(diabetes_model_path(), providers=["CPUExecutionProvider"])
    assert list(rows) == list(background) == [entry.name for entry in session.get_inputs()]
    assert {len(v) for v in rows.values()} == {len(became)} == {40}
    assert {len(v) for v in background.values()} == {100}
    assert set(rows["sex"]) == {"first", "second"}
    (said,) = session.run(None, {k: v.reshape(-1, 1) for k, v in rows.items()})
    assert np.corrcoef(said.ravel(), became)[0, 1] > 0.5


def test_the_definition() -> None:
    session = ort.InferenceSession(diabetes_model_path(), providers=["CPUExecutionProvider"])
    rows, background = (
        {k: v[:n].reshape(-1, 1) for k, v in table.items()}
        for table, n in ((diabetes_rows()[0], 2), (diabetes_background(), 6))
    )
    found = ox.explain(diabetes_model_path(), rows, method="tree_shap", baselines=background)
    expected = pipelines.brute_force(lambda x: session.run(None, x)[0].ravel(), rows, background)
    np.testing.assert_allclose(np.concatenate(list(found.arrays.values()), 1), expected, atol=1e-4)
    assert np.abs(expected).max() > 10
    found.verify(1e-9, atol=1e-9)
