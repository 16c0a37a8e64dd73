"""The bridge to Quantus, where that is not installed; and what it stands on."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionalDependencyError


def test_it_says_what_is_missing(models, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "quantus", None)
    with pytest.raises(OptionalDependencyError, match="needs the package quantus"):
        ox.metrics.quantus.model(models.mlp())


def test_explain_func_needs_no_quantus(models) -> None:
    x, y = models.random(3, 5), np.array([0, 1, 2])
    found = ox.metrics.quantus.explain_func(
        models.mlp(), x, y, method="integrated_gradients", n_steps=8, device="cpu"
    )
    wanted = ox.explain(models.mlp(), x, [0, 1, 2], ox.IntegratedGradients(n_steps=8), device="cpu")
    np.testing.assert_allclose(found, wanted.values, rtol=1e-6)


def test_values_inside(models) -> None:
    explainer = ox.Explainer(models.mlp(softmax=True))
    x = models.random(3, 5)
    found = explainer._answering.inside(x, ("h", "y"))
    assert list(found) == ["h", "y"]
    assert found["h"].shape == (3, 8)
    assert (found["h"] >= 0).all()
    np.testing.assert_array_equal(found["y"], explainer.predict(x)["y"])
    with pytest.raises(DataInputError, match="no input or inner value 'g'"):
        explainer._answering.inside(x, ["g"])
