"""Every model of the catalogue loads in onnxruntime and predicts what it must for its real input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

CATALOGUE = Path(__file__).resolve().parents[2] / "tools" / "models.toml"


def test_catalogue_and_inputs_name_the_same_models():
    import real_inputs

    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    files = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["file"]
    names = [file["name"] for file in files]
    assert len(set(names)) == len(names)
    assert {file["name"] for file in files if file["kind"] != "data"} == set(real_inputs.NAMES)
    assert {need for file in files for need in file.get("needs", ())} <= set(names)


@pytest.mark.models
def test_predicts_what_it_must(real_name, real_model):
    model = real_model(real_name)
    session = ort.InferenceSession(model.path, providers=["CPUExecutionProvider"])

    assert {wanted.name for wanted in session.get_inputs()} == set(model.feeds)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, model.feeds), strict=True))

    prediction = model.prediction(outputs)
    if isinstance(model.expected, str):
        assert prediction == model.expected
    else:
        assert prediction == pytest.approx(model.expected, abs=model.tolerance, rel=0)

    scores = np.asarray(outputs[model.output])
    assert np.isfinite(scores[model.target])
    if model.top:
        assert scores[model.target[:-1]].argmax() == model.target[-1]
