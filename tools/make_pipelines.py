"""Trains the small scikit-learn pipelines of ``tests/data/pipelines`` and exports them by skl2onnx.

    pip install pytest scikit-learn skl2onnx
    python tools/make_pipelines.py

Beside the models lies ``table.npz``: rows to explain, rows of a background, and, by model, what scikit-learn
says of the rows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeRegressor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers.tree_training import count_tracks

OUT = ROOT / "tests" / "data" / "pipelines"
NUMBERS = ["age", "income", "debt"]
TEXTS = ["job", "city"]
TYPES = [
    *((name, FloatTensorType([None, 1])) for name in NUMBERS),
    ("rooms", Int64TensorType([None, 1])),
    *((name, StringTensorType([None, 1])) for name in TEXTS),
]
MATRIX = [("x", FloatTensorType([None, 5]))]


def table(n: int, seed: int) -> pd.DataFrame:
    """Make rows of numbers (some missing), whole numbers and texts."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(rng.standard_normal((n, 3)).astype(np.float32), columns=NUMBERS)
    made.loc[rng.random(n) < 0.2, "income"] = np.nan
    made["rooms"] = rng.integers(1, 6, n)
    made["job"] = rng.choice(["cook", "nurse", "pilot"], n)
    made["city"] = rng.choice(["Bonn", "Kiel", "Ulm", "Jena"], n)
    return made


def truth(frame: pd.DataFrame) -> np.ndarray:
    """Return what is to be learned: sums and products of columns."""
    income = frame["income"].fillna(0.5).to_numpy()
    age, debt, rooms = (frame[k].to_numpy() for k in ("age", "debt", "rooms"))
    pilot, kiel = (frame["job"] == "pilot").to_numpy(), (frame["city"] == "Kiel").to_numpy()
    return age * debt + income + 0.3 * rooms * kiel + 1.5 * pilot * (age > 0)


def columns(final: Any, *, scale: bool = True) -> Pipeline:
    """Return a pipeline over named columns of several kinds."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), *([StandardScaler()] if scale else []))
    return Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("numbers", numbers, NUMBERS),
                        ("rooms", "passthrough", ["rooms"]),
                        ("job", OneHotEncoder(handle_unknown="ignore"), ["job"]),
                        ("city", OrdinalEncoder(), ["city"]),
                    ]
                ),
            ),
            ("model", final),
        ]
    )


def encoded() -> Pipeline:
    """Return trees over texts encoded by what they mean for the target, and over what is worth keeping."""
    return Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("numbers", SimpleImputer(strategy="mean"), NUMBERS),
                        ("rooms", "passthrough", ["rooms"]),
                        ("texts", TargetEncoder(random_state=0), TEXTS),
                    ]
                ),
            ),
            ("best", SelectKBest(f_regression, k=5)),
            ("model", RandomForestRegressor(6, max_depth=4, random_state=0)),
        ]
    )


def stacked() -> StackingRegressor:
    """Return two trees and a line under a line, which sees the columns too."""
    members = [
        ("forest", RandomForestRegressor(4, max_depth=3, random_state=0)),
        ("tree", DecisionTreeRegressor(max_depth=3, random_state=0)),
        ("line", LinearRegression()),
    ]
    return StackingRegressor(members, Ridge(), cv=3, passthrough=True)


def over_matrix() -> dict[str, Any]:
    """Return pipelines over one matrix."""
    forest = RandomForestRegressor(6, max_depth=4, random_state=0)
    return {
        "matrix_forest": make_pipeline(SimpleImputer(), StandardScaler(), forest),
        "matrix_voting": make_pipeline(
            SimpleImputer(),
            VotingRegressor(
                [("forest", forest), ("tree", DecisionTreeRegressor(max_depth=3, random_state=0))],
                weights=np.array([3, 1]),
            ),
        ),
        "matrix_bagging": make_pipeline(
            SimpleImputer(), BaggingRegressor(DecisionTreeRegressor(max_depth=3), 3, random_state=0)
        ),
        "matrix_binarized": make_pipeline(SimpleImputer(), Binarizer(threshold=0.2), forest),
        "matrix_binned": make_pipeline(SimpleImputer(), KBinsDiscretizer(3, encode="onehot-dense"), forest),
        "matrix_histogram": HistGradientBoostingRegressor(max_iter=8, max_leaf_nodes=6, random_state=0),
        "matrix_isolation": make_pipeline(
            SimpleImputer(), IsolationForest(n_estimators=6, max_samples=24, random_state=0)
        ),
        "matrix_counts": make_pipeline(SimpleImputer(), StandardScaler(), PoissonRegressor()),
        "matrix_normalized": make_pipeline(SimpleImputer(), Normalizer(), forest),
        "matrix_pca": make_pipeline(SimpleImputer(), PCA(3), forest),
        "matrix_products": make_pipeline(SimpleImputer(), PolynomialFeatures(2), Ridge()),
        "matrix_line": make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
    }


def over_columns() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return pipelines over named columns, with the options of their export."""
    plain, boosting = (
        {"zipmap": False},
        GradientBoostingClassifier(n_estimators=8, max_depth=3, random_state=0),
    )
    forest = RandomForestClassifier(4, max_depth=3, random_state=0)
    return {
        "columns_forest": (columns(RandomForestRegressor(6, max_depth=4, random_state=0)), {}),
        "columns_boosting": (columns(boosting), plain),
        "columns_classes": (columns(forest), {}),  # ends in a ZipMap
        "columns_encoded": (encoded(), {}),
        "columns_stacked": (columns(stacked()), {}),
        "columns_line": (columns(Ridge()), {}),
        "columns_logistic": (columns(LogisticRegression()), plain),
        "columns_multinomial": (columns(LogisticRegression(max_iter=500)), plain),
    }


def main() -> None:
    """Train, export, and save."""
    count_tracks()
    OUT.mkdir(parents=True, exist_ok=True)
    train, background, rows = table(400, 0), table(12, 1), table(6, 2)
    y = truth(train)
    classes = np.digitize(y, [0.0, 1.5])
    saved: dict[str, np.ndarray] = {}
    for name, frame in (("rows", rows), ("background", background)):
        saved |= {
            f"{name}/{k}": frame[k].to_numpy().astype("U" if k in TEXTS else frame[k].dtype) for k in frame
        }
    for name, (pipeline, options) in over_columns().items():
        labels = {"columns_boosting": y > 0.5, "columns_logistic": y > 0.5}
        labels |= {"columns_classes": classes, "columns_multinomial": classes}
        pipeline.fit(train, labels.get(name, y))
        ids = {id(pipeline): options} if options else None
        save(
            name, to_onnx(pipeline, initial_types=TYPES, options=ids, target_opset={"": 18, "ai.onnx.ml": 3})
        )
        predict = pipeline.predict_proba if name in labels else pipeline.predict
        saved[f"said/{name}"] = predict(rows)
    matrix = [
        frame[[*NUMBERS, "rooms"]].assign(flag=frame["job"] == "pilot") for frame in (train, rows, background)
    ]
    train_x, rows_x, background_x = (frame.to_numpy().astype(np.float32) for frame in matrix)
    saved |= {"rows/x": rows_x, "background/x": background_x}
    for name, pipeline in over_matrix().items():
        pipeline.fit(train_x, np.floor(np.exp(y)) if name == "matrix_counts" else y)
        save(name, to_onnx(pipeline, initial_types=MATRIX, target_opset={"": 18, "ai.onnx.ml": 3}))
        saved[f"said/{name}"] = getattr(pipeline, "decision_function", pipeline.predict)(rows_x)
    np.savez_compressed(OUT / "table.npz", **saved)


def save(name: str, model: Any) -> None:
    """Write one model."""
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
