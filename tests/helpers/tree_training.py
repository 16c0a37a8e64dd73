"""Small models of the tree libraries, exported, with what shap says of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest

COLUMNS, ROWS, EXPLAINED, REFERENCES = 6, 160, 12, 40
CLASSES = ("two", "three")


def count_tracks() -> None:
    """Let skl2onnx 1.20 write truth values as numbers, for protobuf 7 takes nothing else for numbers."""
    module = pytest.importorskip("skl2onnx.common.tree_ensemble")
    add = module.add_node

    def add_node(*args: Any, nodes_missing_value_tracks_true: Any = False, **more: Any) -> None:
        add(*args, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **more)

    module.add_node = add_node


def _sklearn(kind: str, target: str, missing: float = 0.0, **parameters: Any) -> dict[str, Any]:
    ensemble = pytest.importorskip("sklearn.ensemble")
    skl2onnx = pytest.importorskip("skl2onnx")
    count_tracks()
    X, y = _data(target, missing)
    model = getattr(ensemble, kind)(random_state=0, **parameters).fit(X, y)
    options = {type(model): {"zipmap": False}} if target in CLASSES else None
    exported = skl2onnx.to_onnx(model, X[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    return _told(model, exported, X, target)


def _isolation() -> dict[str, Any]:
    """Return a forest whose raw score is the mean path length, by what it would be in a plain search tree."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    skl2onnx = pytest.importorskip("skl2onnx")
    X, _ = _data("number")
    model = ensemble.IsolationForest(n_estimators=5, max_samples=20, random_state=0).fit(X)
    exported = skl2onnx.to_onnx(model, X[:1], target_opset={"": 18, "ai.onnx.ml": 3})
    found = _told(model, exported, X, "number", covers=False)
    usual = 2 * (np.log(19) + np.euler_gamma) - 2 * 19 / 20
    found["interventional"] = found["interventional"] / usual
    return found


def _catboost(kind: str, target: str) -> dict[str, Any]:
    catboost = pytest.importorskip("catboost")
    X, y = _data(target, missing=0.1)
    options = {"iterations": 6, "depth": 4, "random_seed": 0, "verbose": 0, "thread_count": 1}
    model = getattr(catboost, kind)(allow_writing_files=False, **options).fit(X, y)
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        model.save_model(str(path), format="onnx")
        exported = onnx.load(path)
    # shap reads several classes of CatBoost as one
    return _told(model, exported, X, target, games=target != "three", covers=False)


def _xgboost(kind: str, target: str, categories: bool = False, **more: Any) -> dict[str, Any]:
    xgboost, tools = pytest.importorskip("xgboost"), pytest.importorskip("onnxmltools")
    X, y = _data(target, missing=0.1)
    if categories:
        more = {"feature_types": ["q"] * (COLUMNS - 1) + ["c"], "enable_categorical": True}
    model = getattr(xgboost, kind)(n_estimators=6, max_depth=4, random_state=0, **more).fit(X, y)
    exported = tools.convert_xgboost(model, initial_types=_types())
    found = _told(model, exported, X, target, covers=target == "number", games=not categories)
    if target == "two":
        found |= _of_probabilities(model, found["x"], found["background"], y[:EXPLAINED])
    return found


def _lightgbm(kind: str, target: str, categories: bool = False, **more: Any) -> dict[str, Any]:
    lightgbm, tools = pytest.importorskip("lightgbm"), pytest.importorskip("onnxmltools")
    X, y = _data(target, missing=0.0 if categories else 0.1)
    model = getattr(lightgbm, kind)(
        n_estimators=6,
        num_leaves=12,
        min_child_samples=5,
        random_state=0,
        verbose=-1,
        min_data_per_group=5,
        cat_smooth=1.0,
        cat_l2=1.0,
        max_cat_to_onehot=1,
        **more,
    )
    model.fit(X, y, categorical_feature=[COLUMNS - 1] if categories else "auto")
    exported = tools.convert_lightgbm(model, initial_types=_types(), zipmap=False)
    return _told(model, exported, X, target, games=not categories)


#: What is trained; each takes a second or less.
MODELS: dict[str, Callable[[], dict[str, Any]]] = {
    "forest": lambda: _sklearn("RandomForestRegressor", "number", n_estimators=4, max_depth=5,
                               bootstrap=False),
    "forest_of_classes": lambda: _sklearn("RandomForestClassifier", "three", n_estimators=6, max_depth=4,
                                          bootstrap=False),
    "forest_of_two_targets": lambda: _sklearn("RandomForestRegressor", "both", n_estimators=4, max_depth=4,
                                              bootstrap=False),
    "extra_trees": lambda: _sklearn("ExtraTreesRegressor", "number", n_estimators=6, max_depth=5),
    "extra_trees_of_classes": lambda: _sklearn("ExtraTreesClassifier", "three", n_estimators=4, max_depth=4),
    "boosting": lambda: _sklearn("GradientBoostingRegressor", "number", n_estimators=8),
    "boosting_of_two_classes": lambda: _sklearn("GradientBoostingClassifier", "two", n_estimators=8),
    "histogram": lambda: _sklearn("HistGradientBoostingRegressor", "number", missing=0.1, max_iter=6,
                                  max_leaf_nodes=10),
    "histogram_of_three_classes": lambda: _sklearn("HistGradientBoostingClassifier", "three", missing=0.1,
                                                   max_iter=4, max_leaf_nodes=8),
    "isolation": _isolation,
    "catboost": lambda: _catboost("CatBoostRegressor", "number"),
    "catboost_of_two_classes": lambda: _catboost("CatBoostClassifier", "two"),
    "catboost_of_three_classes": lambda: _catboost("CatBoostClassifier", "three"),
    "xgboost": lambda: _xgboost("XGBRegressor", "number"),
    "xgboost_of_two_classes": lambda: _xgboost("XGBClassifier", "two"),
    "xgboost_of_three_classes": lambda: _xgboost("XGBClassifier", "three"),
    "xgboost_of_counts": lambda: _xgboost("XGBRegressor", "count", objective="count:poisson"),
    "xgboost_with_categories": lambda: _xgboost("XGBRegressor", "number", categories=True),
    "lightgbm": lambda: _lightgbm("LGBMRegressor", "number"),
    "lightgbm_of_counts": lambda: _lightgbm("LGBMRegressor", "count", objective="tweedie"),
    "lightgbm_of_two_classes": lambda: _lightgbm("LGBMClassifier", "two"),
    "lightgbm_of_three_classes": lambda: _lightgbm("LGBMClassifier", "three"),
    "lightgbm_with_categories": lambda: _lightgbm("LGBMRegressor", "number", categories=True),
}  # fmt: skip


def train(name: str) -> dict[str, Any]:
    """Train and export a model, and ask shap.

    Returns
    -------
    dict
        ``model`` (its bytes), ``train``, ``x`` and ``background``; ``said``, what the library predicts of x;
        ``target``, which of several scores is explained; ``expected``, shap's mean score; ``interventional``
        and ``path``, shap's values, (N, columns) or (N, columns, classes), where shap can.  ``path`` is there
        only if the covers that shap takes from the model are counts of rows.  ``probability`` and
        ``log_loss``, that of ``labels``, where shap can.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[name]()


def _types() -> Any:
    data_types = pytest.importorskip("onnxmltools.convert.common.data_types")
    return [("x", data_types.FloatTensorType([None, COLUMNS]))]


def _data(target: str, missing: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    X[:, -1] = rng.integers(0, 8, ROWS)
    score = 2 * X[:, 0] + X[:, 1] * X[:, 2] + 2 * np.isin(X[:, -1], [1, 4, 6]) + np.abs(X[:, 3])
    goals = {
        "number": score, "both": np.stack([score, X[:, 4]], 1), "count": np.floor(np.exp(score / 3)),
        "two": (score > 1).astype(int), "three": np.digitize(score, [0, 2]),
    }  # fmt: skip
    X[:, :-1][rng.random((ROWS, COLUMNS - 1)) < missing] = np.nan
    return X, goals[target]


def _told(
    model: Any, exported: Any, X: Any, target: str, *, covers: bool = True, games: bool = True
) -> dict[str, Any]:
    shap = pytest.importorskip("shap")
    x, background = X[:EXPLAINED], X[-REFERENCES:]
    exported = exported.SerializeToString()
    found = {"model": np.frombuffer(exported, np.uint8), "train": X, "x": x, "background": background}
    if target not in ("number", "count"):
        found["target"] = np.array(1)
    if target in CLASSES:
        found["said"] = model.predict_proba(x)
    else:
        found["said"] = getattr(model, "decision_function", model.predict)(x)
    if not games:  # what shap does not explain against a background
        return found
    explainer = shap.TreeExplainer(model, background, feature_perturbation="interventional")
    found["interventional"] = explainer.shap_values(x)
    found["expected"] = np.ravel(explainer.expected_value)
    if covers:
        found["path"] = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent").shap_values(x)
    return found


def _of_probabilities(model: Any, x: Any, background: Any, labels: Any) -> dict[str, Any]:
    shap = pytest.importorskip("shap")
    found = {"labels": labels}
    for what, given in (("probability", {}), ("log_loss", {"y": labels})):
        explainer = shap.TreeExplainer(
            model, background, feature_perturbation="interventional", model_output=what
        )
        found[what] = explainer.shap_values(x, **given)
    return found
