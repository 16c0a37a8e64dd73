"""shap's own pictures of what it gets: texts, missing numbers, one row or many."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.data import diabetes_background, diabetes_model_path, diabetes_rows

#: As docs/tables.md has them.
PICTURES: dict[str, Callable[[Any, Any], Any]] = {
    "waterfall": lambda plots, shown: plots.waterfall(shown[3], show=False),
    "force": lambda plots, shown: plots.force(shown[3], matplotlib=True, show=False),
    "mean_bar": lambda plots, shown: plots.bar(shown, show=False),
    "beeswarm": lambda plots, shown: plots.beeswarm(shown, show=False),
    "dependence": lambda plots, shown: plots.scatter(shown[:, "bmi"], color=shown[:, "age"], show=False),
    "of texts": lambda plots, shown: plots.scatter(shown[:, "sex"], show=False),
    "heatmap": lambda plots, shown: plots.heatmap(shown, show=False),
}


@pytest.fixture(scope="module")
def result() -> ox.Attribution:
    rows, _ = diabetes_rows()
    rows["bmi"][3] = np.nan
    return ox.explain(diabetes_model_path(), rows, method="tree_shap", baselines=diabetes_background())


@pytest.fixture
def plots() -> Iterator[Any]:
    """shap's pictures, drawn without a window."""
    pytest.importorskip("shap", reason="needs shap: pip install 'onnxplain[conformance]'")
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context():
        warnings.simplefilter("ignore")
        mpl.use("Agg")
        from matplotlib import pyplot as plt
        from shap import plots

        yield plots
        plt.close("all")


def test_what_shap_gets(result: ox.Attribution, plots: Any) -> None:
    shown = result.to_shap()
    assert shown.values.shape == (40, 10)
    assert shown.feature_names[1] == "sex"
    assert set(shown.data[:, 1]) == {"first", "second"}
    np.testing.assert_allclose(shown.base_values + shown.values.sum(1), result.score, atol=1e-9)


@pytest.mark.parametrize("picture", PICTURES)
def test_shaps_pictures(picture: str, result: ox.Attribution, plots: Any) -> None:
    from matplotlib import pyplot as plt

    PICTURES[picture](plots, result.to_shap())
    axes = plt.gcf().axes
    assert axes
    written = {text.get_text() for ax in axes for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label)}
    assert any(name in text for name in ("bmi", "sex") for text in written), written
