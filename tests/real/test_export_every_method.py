"""Every method on four trained models: its file says what the explainer says, or why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from doubles import run_in_doubles
from every_method import REFUSED
from trained_cases import CASES, Case

import onnxplain as ox
from onnxplain.errors import OnnxplainError

pytestmark = pytest.mark.models

#: Where float32 itself is worse than 1e-5: neither is nearer to float64 than this (shown below).
BOUNDS = {("image", "deep_lift"): 3e-4}


@pytest.fixture(scope="module")
def opened(real_model, tmp_path_factory) -> Any:
    """Return a function that gives a case, and its explainer."""
    made: dict[str, tuple[Case, ox.Explainer]] = {}

    def get(name: str) -> tuple[Case, ox.Explainer]:
        if name not in made:
            made.clear()  # one at a time
            case = CASES[name](real_model, tmp_path_factory.mktemp(name))
            # the file's operators: ours sum relevance in double precision
            made[name] = case, ox.Explainer(case.model, accelerate=False)
        return made[name]

    return get


@pytest.mark.parametrize("name", ox.METHODS)
@pytest.mark.parametrize("kind", CASES)
def test_a_file_or_a_reason(kind, name, opened, tmp_path) -> None:
    case, explainer = opened(kind)
    method, options = case.arguments(name)
    path = tmp_path / "made.onnx"
    if name in REFUSED or name in case.refused:
        with pytest.raises(OnnxplainError, match=REFUSED.get(name) or case.refused[name]) as refusal:
            case.export(path, method, options)
        assert not path.exists()
        if name not in REFUSED and "of which a file" not in str(refusal.value):
            with pytest.raises(OnnxplainError, match=case.refused[name]):
                explainer(case.feeds, case.target, method, **options)
        return
    made = case.export(path, method, options)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    found = dict(zip(made.outputs, session.run(list(made.outputs), case.fed(made)), strict=True))
    expected = explainer(case.feeds, case.target, method, **options)
    for of, values in expected.arrays.items():
        scale = float(np.abs(values).max())
        assert scale > 0
        bound = BOUNDS.get((kind, name), 1e-5) * scale
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=bound)


@pytest.mark.parametrize(("kind", "name"), BOUNDS)
def test_float32_bounds_both(kind, name, opened, tmp_path) -> None:
    """Both are as far from float64 as each other, or the file is nearer; no agreement could be better."""
    case, explainer = opened(kind)
    method, options = case.arguments(name)
    made = case.export(tmp_path / "made.onnx", method, options)
    (found,) = ort.InferenceSession(str(made.path)).run(["attribution/data"], case.fed(made))
    exact = run_in_doubles(made.path, case.fed(made))["attribution/data"]
    explained = explainer(case.feeds, case.target, method, **options).values
    errors = [float(np.abs(v - exact).max() / np.abs(exact).max()) for v in (found, explained)]
    assert 1e-5 < errors[1] < BOUNDS[kind, name]
    assert errors[0] < max(errors[1], 1e-5)
