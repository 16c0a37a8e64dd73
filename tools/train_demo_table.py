"""Train the table model that ``onnxplain demo`` explains, and write it and its rows to ``onnxplain/data``.

    pip install scikit-learn skl2onnx pandas onnxruntime
    python tools/train_demo_table.py

The data come with scikit-learn (``load_diabetes``): ten measurements of 442 patients, and how far their
diabetes had gone a year later.  Three files are written: ``diabetes.onnx``, a pipeline whose inputs are the
columns by name; ``diabetes.csv``, rows that took no part in training; ``diabetes_train.csv``, some that did.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

OUT = Path(__file__).resolve().parents[1] / "onnxplain" / "data"
NAMES = (
    "age", "sex", "bmi", "blood_pressure", "cholesterol", "ldl", "hdl", "cholesterol_per_hdl",
    "log_triglycerides", "blood_sugar",
)  # fmt: skip
TARGET = "progression"
HELD_OUT, BACKGROUND = 40, 100


def table() -> pd.DataFrame:
    """Return the patients; the two sexes are texts, since the data do not say which is which."""
    found = load_diabetes(scaled=False)
    frame = pd.DataFrame(found.data.astype(np.float32), columns=NAMES)
    frame["sex"] = frame["sex"].map({1.0: "first", 2.0: "second"})
    frame[TARGET] = found.target
    return frame.sample(frac=1.0, random_state=0, ignore_index=True)


def main() -> None:
    """Train, export, check, write."""
    frame = table()
    held_out, train = frame[:HELD_OUT], frame[HELD_OUT:]
    numbers = [name for name in NAMES if name != "sex"]
    model = Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("numbers", SimpleImputer(strategy="median"), numbers),
                        ("sex", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["sex"]),
                    ]
                ),
            ),
            ("trees", GradientBoostingRegressor(n_estimators=40, max_leaf_nodes=5, max_depth=None,
                                                min_samples_leaf=8, subsample=0.7, random_state=0)),
        ]
    ).fit(train[[*NAMES]], train[TARGET])  # fmt: skip
    types = [
        (name, StringTensorType([None, 1]) if name == "sex" else FloatTensorType([None, 1])) for name in NAMES
    ]
    proto = to_onnx(model, initial_types=types, target_opset={"": 18, "ai.onnx.ml": 3})
    proto.graph.output[0].name = TARGET
    proto.graph.node[-1].output[0] = TARGET
    proto.doc_string = "How far diabetes goes in a year; see README.md"
    onnx.checker.check_model(proto)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {name: held_out[[name]].to_numpy(object if name == "sex" else np.float32) for name in NAMES}
    said = session.run(None, fed)[0].ravel()
    assert np.abs(said - model.predict(held_out[[*NAMES]])).max() < 1e-3
    print(f"R^2 {r2_score(held_out[TARGET], said):.3f} of {HELD_OUT} rows held out")
    print(f"R^2 {r2_score(train[TARGET], model.predict(train[[*NAMES]])):.3f} of {len(train)} in training")
    (OUT / "diabetes.onnx").write_bytes(proto.SerializeToString())
    held_out.to_csv(OUT / "diabetes.csv", index=False, float_format="%.7g", lineterminator="\n")
    train[:BACKGROUND].drop(columns=TARGET).to_csv(
        OUT / "diabetes_train.csv", index=False, float_format="%.7g", lineterminator="\n"
    )


if __name__ == "__main__":
    main()
