"""Results in the hands of shap and xarray: the packages themselves where they are, stand-ins everywhere."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from table_models import by_column

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionalDependencyError

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def mlp(models) -> Any:
    explainer, x = ox.Explainer(models.mlp()), models.random(4, 5)

    def explain(method: Any = "deep_lift", **options: Any) -> ox.Attribution:
        return replace(explainer(x, target=1, method=method, **options), feature_names={"x": NAMES})

    return explain


@pytest.fixture
def two(models) -> ox.Attribution:
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    return ox.explain(models.two_inputs(), inputs, 1, method="deep_lift")


@pytest.mark.usefixtures("stand_ins")
def test_shap_gets_the_columns_of_a_table_together() -> None:
    rows = {"age": [30.0, 40.0], "income": [1.0, 2.0], "city": ["Rome", "x"], "children": [1, 2]}
    made = ox.explain(by_column(), rows, method="feature_ablation").to_shap()
    assert made.feature_names == ["age", "income", "city", "children"]
    np.testing.assert_array_equal(made.values, [[30, 1, 5, 1], [40, 2, 0, 2]])
    assert made.data[1].tolist() == [40, 2, "x", 2]
    assert made.base_values is None


class Recorder(SimpleNamespace):
    """Stands in for a class: keeps what it was made with."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(given=given, **named)


@pytest.fixture
def stand_ins(monkeypatch) -> None:
    for name, kind in (("shap", "Explanation"), ("xarray", "Dataset")):
        module = ModuleType(name)
        setattr(module, kind, Recorder)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def shap() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("shap", reason="needs shap: pip install 'onnxplain[conformance]'")


@pytest.fixture
def xarray() -> Any:
    return pytest.importorskip("xarray", reason="needs xarray: pip install 'onnxplain[conformance]'")


@pytest.mark.parametrize("package", ["shap", "xarray"])
def test_without_the_package_it_says_what_to_install(package, mlp, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionalDependencyError, match=rf"to_{package}\(\) needs .*pip install {package}"):
        getattr(mlp(), f"to_{package}")()


@pytest.mark.usefixtures("stand_ins")
def test_what_shap_gets(mlp) -> None:
    found = mlp(baselines=0.5)
    made = found.to_shap()
    np.testing.assert_array_equal(made.values, found.values)
    np.testing.assert_array_equal(made.data, found.inputs["x"])
    np.testing.assert_allclose(made.base_values + made.values.sum(1), found.score, rtol=1e-6)
    np.testing.assert_allclose(made.base_values, found.score - found.reference, atol=1e-5)
    assert made.feature_names == list(NAMES)
    one = found.to_shap(2)
    np.testing.assert_array_equal(one.values, found.values[2])
    assert one.base_values == made.base_values[2]
    some = found.to_shap(slice(1, 3))
    np.testing.assert_array_equal(some.data, found.inputs["x"][1:3])
    np.testing.assert_array_equal(some.base_values, made.base_values[1:3])
    np.testing.assert_array_equal(mlp("lrp").to_shap().base_values, np.zeros(4))
    assert mlp("saliency").to_shap().base_values is None
    assert replace(found, feature_names=None).to_shap().feature_names is None


@pytest.mark.usefixtures("stand_ins")
def test_what_shap_gets_of_several_inputs(two) -> None:
    with pytest.raises(DataInputError, match="name one of the explained inputs: image, table"):
        two.to_shap()
    made = two.to_shap(name="table")
    np.testing.assert_array_equal(made.values, two.arrays["table"])
    np.testing.assert_allclose(made.base_values + made.values.sum(1), two.score, rtol=1e-5)
    assert two.to_shap(0, name="image").values.shape == (2, 4)


@pytest.mark.usefixtures("stand_ins")
def test_samples_that_lie_elsewhere(models) -> None:
    """Along the last axis of one of the inputs, and nowhere where the arrays are one sample."""
    inputs = {"x": models.random(5, 5), "aside": models.random(5, 5, seed=1)}
    found = ox.explain(models.batch_last(), inputs, 1, method="deep_lift")
    assert found.sample_axes == {"x": 0, "aside": 1}
    made = found.to_shap(2, name="aside")
    np.testing.assert_array_equal(made.values, found.arrays["aside"][:, 2])
    np.testing.assert_array_equal(made.data, inputs["aside"][:, 2])
    variables, _, _ = found.to_xarray().given
    assert variables["aside"][0] == ["sample", "aside_1"]
    np.testing.assert_array_equal(variables["aside"][1], found.arrays["aside"].T)
    model = models.make("m (float[N, 3] x) => (float[] y) { y = ReduceSum<keepdims=0>(x) }")
    whole = ox.explain(model, models.random(4, 3), method="deep_lift")
    assert whole.sample_axes == {"x": None}
    assert whole.to_shap().values.shape == (1, 4, 3)
    np.testing.assert_allclose(whole.to_shap().base_values, [0], atol=1e-5)


@pytest.mark.usefixtures("stand_ins")
def test_what_xarray_gets(mlp) -> None:
    found = mlp("smooth_grad", seed=5, n_samples=2)
    variables, coordinates, attributes = found.to_xarray().given
    assert list(variables) == ["x", "x_input"]
    assert variables["x"][0] == variables["x_input"][0] == ["sample", "x_1"]
    np.testing.assert_array_equal(variables["x"][1], found.values)
    np.testing.assert_array_equal(variables["x_input"][1], found.inputs["x"])
    assert coordinates["x_1"] == ("x_1", list(NAMES))
    assert set(coordinates) == {"x_1", "score"}
    assert attributes["method"] == repr(found.method)
    assert attributes["check"] == "standard_error"
    assert attributes["model_hash"] == found.model_hash
    assert attributes["seed"] == 5
    assert attributes["onnxruntime_version"] == found.versions["onnxruntime"]
    assert "seed" not in mlp("lrp").to_xarray().given[2]
    assert set(mlp("lrp").to_xarray().given[1]) == {"x_1", "score", "reference", "delta"}


@pytest.mark.usefixtures("stand_ins")
def test_names_that_xarray_could_confuse(mlp) -> None:
    found = mlp()
    names = ("sample", "score", "sample_1", "score_input")
    arrays = dict.fromkeys(names, found.values)
    variables, coordinates, _ = (
        replace(found, arrays=arrays, inputs=arrays, feature_names=None).to_xarray().given
    )
    dims = {dim for held, _ in variables.values() for dim in held}
    assert not dims & set(variables)
    assert not set(coordinates) & set(variables)
    assert set(names) < set(variables)
    assert len(variables) == 8


def test_shap_itself(mlp, two, shap) -> None:
    found = mlp()
    made = found.to_shap()
    assert isinstance(made, shap.Explanation)
    np.testing.assert_allclose(made.base_values + made.values.sum(1), found.score, rtol=1e-6)
    one = made[1]
    np.testing.assert_array_equal(one.values, found.values[1])
    assert list(one.feature_names) == list(NAMES)
    np.testing.assert_array_equal(made[:, "b"].values, found.values[:, 1])
    np.testing.assert_allclose(made.abs.mean(0).values, np.abs(found.values).mean(0), rtol=1e-6)
    assert two.to_shap(name="image").shape == (3, 2, 4)
    assert mlp("saliency").to_shap()[0].values.shape == (5,)


def test_shaps_plots_take_it(mlp, shap) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    shap.plots.waterfall(mlp().to_shap(0), show=False)
    text = {t.get_text() for ax in plt.gcf().axes for t in ax.texts} | {
        t.get_text() for ax in plt.gcf().axes for t in ax.get_yticklabels()
    }
    assert any("= a" in t or t == "a" for t in text)
    shap.plots.bar(mlp("lrp").to_shap(), show=False)
    plt.close("all")


def test_xarray_itself(mlp, two, xarray, tmp_path) -> None:
    found = mlp()
    made = found.to_xarray()
    assert isinstance(made, xarray.Dataset)
    assert dict(made.sizes) == {"sample": 4, "x_1": 5}
    np.testing.assert_array_equal(made.x.sel(x_1="b"), found.values[:, 1])
    np.testing.assert_allclose(made.x.sum("x_1") - made.reference, made.delta, atol=1e-6)
    assert made.attrs["model_hash"] == found.model_hash
    both = two.to_xarray()
    assert dict(both.sizes) == {"sample": 3, "image_1": 2, "image_2": 4, "table_1": 3}
    np.testing.assert_array_equal(both.image_input, two.inputs["image"])
