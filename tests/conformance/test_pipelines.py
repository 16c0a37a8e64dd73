"""scikit-learn's preparations, as skl2onnx exports them now: explained in raw columns, by the definition."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pipelines
import pytest

import onnxplain as ox


def sk(path: str, *arguments: Any, **options: Any) -> Any:
    """Make one of scikit-learn's objects, by its place there."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(f"sklearn.{module}"), name)(*arguments, **options)


def imputed(*steps: Any) -> Any:
    """Return steps for the numbers, behind an imputer."""
    pipeline = importlib.import_module("sklearn.pipeline")
    return pipeline.make_pipeline(sk("impute.SimpleImputer"), *steps)


def forest() -> Any:
    return sk("ensemble.RandomForestRegressor", 5, max_depth=4, random_state=0)


def ridge() -> Any:
    return sk("linear_model.Ridge")


def prepared(final: Any, *between: Any, numbers: Any = None, job: Any = None, city: Any = None) -> Any:
    """Return a pipeline over the columns of the committed ones."""
    pipeline = importlib.import_module("sklearn.pipeline")
    columns = sk(
        "compose.ColumnTransformer",
        [
            ("numbers", numbers or imputed(), ["age", "income", "debt"]),
            ("rooms", "passthrough", ["rooms"]),
            ("job", job or sk("preprocessing.OneHotEncoder", sparse_output=False), ["job"]),
            ("city", city or sk("preprocessing.OrdinalEncoder"), ["city"]),
        ],
        sparse_threshold=0,
    )
    return pipeline.make_pipeline(columns, *between, final)


def pick(k: int) -> Any:
    module = importlib.import_module("sklearn.feature_selection")
    return module.SelectKBest(module.f_regression, k=k)


def union(*parts: Any) -> Any:
    return importlib.import_module("sklearn.pipeline").make_union(*parts)


P = "preprocessing"
#: What "auto" chooses, and the pipeline.
CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    "bins, one-hot": ("tree_shap", lambda: prepared(
        forest(), numbers=imputed(sk(f"{P}.KBinsDiscretizer", 4, encode="onehot-dense")))),
    "bins, ordinal": ("tree_shap", lambda: prepared(
        forest(), numbers=imputed(sk(f"{P}.KBinsDiscretizer", 4, encode="ordinal")))),
    "target": ("tree_shap", lambda: prepared(forest(), job=sk(f"{P}.TargetEncoder"))),
    "unknown categories": ("tree_shap", lambda: prepared(
        forest(), city=sk(f"{P}.OrdinalEncoder", handle_unknown="use_encoded_value", unknown_value=-1))),
    "first dropped": ("tree_shap", lambda: prepared(
        sk("ensemble.GradientBoostingRegressor", n_estimators=6, random_state=0),
        job=sk(f"{P}.OneHotEncoder", drop="first", sparse_output=False))),
    "rare together": ("tree_shap", lambda: prepared(forest(), job=sk(
        f"{P}.OneHotEncoder", min_frequency=0.1, handle_unknown="infrequent_if_exist", sparse_output=False))),
    "identity": ("tree_shap", lambda: prepared(forest(), numbers=imputed(sk(f"{P}.FunctionTransformer")))),
    "power": ("tree_shap", lambda: prepared(forest(), numbers=imputed(sk(f"{P}.PowerTransformer")))),
    "quantiles": ("tree_shap", lambda: prepared(
        forest(), numbers=imputed(sk(f"{P}.QuantileTransformer", n_quantiles=20)))),
    "maximum": ("tree_shap", lambda: prepared(forest(), numbers=imputed(sk(f"{P}.MaxAbsScaler")))),
    "robust": ("linear_shap", lambda: prepared(ridge(), numbers=imputed(sk(f"{P}.RobustScaler")))),
    "best columns": ("tree_shap", lambda: prepared(forest(), pick(4))),
    "side by side": ("tree_shap", lambda: prepared(
        forest(), union(sk(f"{P}.StandardScaler"), sk(f"{P}.MinMaxScaler")))),
    "components of a line": ("linear_shap", lambda: prepared(ridge(), sk("decomposition.PCA", 3))),
    "singular values of a line": ("linear_shap", lambda: prepared(
        ridge(), sk("decomposition.TruncatedSVD", 3))),
    "components": ("kernel_shap", lambda: prepared(
        forest(), numbers=imputed(sk(f"{P}.StandardScaler"), sk("decomposition.PCA", 2)))),
    "products": ("kernel_shap", lambda: prepared(
        forest(), numbers=imputed(sk(f"{P}.PolynomialFeatures", 2)))),
    "norms": ("kernel_shap", lambda: prepared(forest(), numbers=imputed(sk(f"{P}.Normalizer")))),
    "components beside": ("kernel_shap", lambda: prepared(
        forest(), union(sk(f"{P}.StandardScaler"), sk("decomposition.PCA", 2)))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_definition(name: str) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    pytest.importorskip("pandas")
    makers = pipelines.maker()
    train, rows, background = (makers.table(n, seed) for n, seed in ((300, 0), (4, 2), (7, 1)))
    method, make = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make().fit(train, makers.truth(train))
        model = skl2onnx.to_onnx(fitted, initial_types=makers.TYPES, target_opset={"": 18, "ai.onnx.ml": 3})
        said = fitted.predict(rows)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = [i.name for i in session.get_inputs()]

    def table(frame: Any) -> dict[str, np.ndarray]:
        texts = makers.TEXTS
        return {k: frame[[k]].to_numpy(object if k in texts else None) for k in inputs}

    def score(x: dict[str, np.ndarray]) -> np.ndarray:
        return session.run(None, x)[0].ravel()

    np.testing.assert_allclose(score(table(rows)), said, rtol=1e-5, atol=1e-5)
    found = ox.explain(model, table(rows), method="auto", baselines=table(background))
    assert found.method.name == method, found.notes
    expected = pipelines.brute_force(score, table(rows), table(background))
    np.testing.assert_allclose(np.concatenate(list(found.arrays.values()), 1), expected, rtol=0, atol=2e-6)
    assert np.abs(expected).max() > 0.1


def trees(kind: str, **options: Any) -> Any:
    return sk(f"ensemble.{kind}", n_estimators=3, max_depth=3, random_state=0, **options)


def tree() -> Any:
    return sk("tree.DecisionTreeClassifier", max_depth=3, random_state=0)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


E = "ensemble"
FORESTS = [("a", trees("RandomForestClassifier")), ("b", trees("ExtraTreesClassifier")), ("c", tree())]
BOOSTED = [("a", trees("RandomForestClassifier")), ("b", trees("GradientBoostingClassifier"))]
SOFT = {"voting": "soft", "flatten_transform": False}
#: What "auto" chooses, the model, its goal, the target, and what makes the raw score of what it says.
TOGETHER: dict[str, tuple[str, Callable[[], Any], str, Any, Callable[[np.ndarray], np.ndarray]]] = {
    "votes of forests": ("tree_shap", lambda: sk(f"{E}.VotingClassifier", FORESTS, **SOFT), "two", 1,
                         np.array),
    "forests under a line": ("tree_shap", lambda: sk(f"{E}.StackingClassifier", FORESTS, cv=3), "two", 1,
                             logit),
    "bags of columns": ("tree_shap", lambda: sk(
        f"{E}.BaggingClassifier", tree(), 4, max_features=0.5, random_state=0), "three", 2, np.array),
    "two goals": ("tree_shap", lambda: trees("RandomForestClassifier"), "both", (0, 1), np.array),
    "paths": ("tree_shap", lambda: sk(
        f"{E}.IsolationForest", n_estimators=4, max_samples=16, random_state=0), "", None,
        lambda s: -np.log2(0.5 - s)),
    # probabilities of boosted trees under others, weighted medians, and counts that are made probabilities
    "votes with boosted ones": ("kernel_shap", lambda: sk(f"{E}.VotingClassifier", BOOSTED, **SOFT), "two", 1,
                                np.array),
    "medians": ("kernel_shap", lambda: sk(f"{E}.AdaBoostRegressor", n_estimators=4, random_state=0), "number",
                None, np.array),
    "counts of classes": ("kernel_shap", lambda: sk(
        f"{E}.AdaBoostClassifier", n_estimators=4, random_state=0), "three", 2, np.array),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_several_ensembles(name: str) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    method, make, goal, target, raw = TOGETHER[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + x[:, 2]
    goals = {"number": y, "two": y > 0, "three": np.digitize(y, [-0.5, 0.5])}
    goals["both"] = np.stack([goals["two"], goals["three"]], 1).astype(int)
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, *([goals[goal]] if goal else []))
        options = {id(model): {"zipmap": False}} if target is not None else None
        exported = skl2onnx.to_onnx(model, x[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    session = ort.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])

    def score(given: dict[str, np.ndarray]) -> np.ndarray:
        said = session.run(None, given)[-1].astype(np.float64)
        if said.ndim == 3:  # (goals, N, classes)
            return said[target[0], :, target[1]]
        return raw(said[:, target or 0])

    rows, background = {"X": x[:4]}, {"X": x[-9:]}
    found = ox.explain(exported, rows, target, method="auto", baselines=background)
    assert found.method.name == method, found.notes
    expected = pipelines.brute_force(score, rows, background)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=3e-6)
    assert np.abs(expected).max() > 0.01
