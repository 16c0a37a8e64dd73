"""Broken trees, and tables that do not fit them: errors that name what is wrong, before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, InvalidModelError
from onnxplain.runtime.session import Executable
from tests.graph.trees import test_broken as broken
from tests.helpers.tree_models import REGRESSOR, model_of

X, BACKGROUND = np.zeros((3, 2), np.float32), np.ones((4, 2), np.float32)


@pytest.fixture
def nothing_runs(monkeypatch: Any) -> None:
    for name in ("run", "run_on_device"):
        monkeypatch.setattr(Executable, name, lambda *_, **__: pytest.fail("the model was run"))


def model(op: str = REGRESSOR, attrs: Any = None, columns: int | str = 2, opset: int = 3) -> onnx.ModelProto:
    made = model_of(op, broken.stump() if attrs is None else attrs, 2, opset=opset)
    made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1]))
    if columns != 2:
        x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, columns])
        made.graph.input[0].CopyFrom(x)
    return made


def explain(made: onnx.ModelProto, x: Any = X, background: Any = BACKGROUND) -> ox.Attribution:
    return ox.explain(made, x, method="tree_shap", baselines=background)


def changes(test: Any) -> list[tuple[dict[str, Any], str]]:
    (mark,) = test.pytestmark
    return [case for case in mark.args[1] if case[0] != {"n_targets": 0}]  # no score, then: a wrong target


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(("change", "words"), changes(broken.test_classic))
def test_broken_ensembles(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=f"TreeEnsembleRegressor node 'forest': .*{words}"):
        explain(model(attrs=broken.stump(**change)))


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(("change", "words"), changes(broken.test_unified))
def test_broken_ensembles_of_version_five(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=f"TreeEnsemble node 'forest': .*{words}"):
        explain(model("TreeEnsemble", broken.both_leaves(**change), opset=5))


@pytest.mark.usefixtures("nothing_runs")
def test_columns_that_the_trees_do_not_get() -> None:
    words = "'forest' asks for column 7, but gets 2 columns"
    with pytest.raises(InvalidModelError, match=words):
        explain(model(attrs=broken.stump(nodes_featureids=[0, 7, 0, 0, 0])))
    with pytest.raises(InvalidModelError, match="'forest' asks for column 1, but gets 1 columns"):
        explain(model(columns="C"), X[:, :1], BACKGROUND[:, :1])


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("x", "background", "words"),
    [
        (np.zeros((3, 3), np.float32), BACKGROUND, r"input 'x' must have shape \(\?, 2\), not \(3, 3\)"),
        (X[:, :1], BACKGROUND, r"input 'x' must have shape \(\?, 2\), not \(3, 1\)"),
        (X, np.zeros((4, 3), np.float32), r"shape \(4, 3\), but the references .* shape \(M, 2\)"),
        (X, np.zeros((4, 1), np.float32), r"shape \(4, 1\), but the references .* shape \(M, 2\)"),
        (X, np.zeros((3, 1), np.float32), r"shape \(3, 1\), but the references .* shape \(M, 2\)"),
        (X, BACKGROUND[:0], "the baselines of 'x' are empty; give at least one"),
        (X, ox.Background(BACKGROUND[:0]), "the baselines of 'x' are empty; give at least one"),
        (X, np.array([["a", "b"]]), "the baselines of 'x' must be finite numbers"),
        (X, np.full((2, 2), 1e300), "'x' holds 1e\\+300, which is too large for float32"),
    ],
)
def test_tables_that_do_not_fit(x: Any, background: Any, words: str) -> None:
    with pytest.raises(DataInputError, match=words):
        explain(model(), x, background)


def test_missing_and_infinite_numbers_and_thresholds() -> None:
    """Comparisons are made in float32, as the model does; what is not there, or no number, is no error."""
    values = np.array([np.nan, np.inf, -np.inf, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1.0])
    grid = np.stack(np.meshgrid(values, values), -1).reshape(-1, 2).astype(np.float32)
    found = explain(model(), grid, grid)
    score = ox.Explainer(model()).predict(grid)["y"].astype(np.float64)[:, 0]
    np.testing.assert_allclose(found.values.sum(1), score - score.mean(), atol=1e-9)
    first = np.where(grid[:, 0] <= 0.5, np.where(grid[:, 1] == 1, 2.0, 3.0), 1.0)
    np.testing.assert_array_equal(score, first)
