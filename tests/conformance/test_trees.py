"""Exported tree models: onnxruntime's predictions, and shap's values, from files and trained anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.graph.trees import Ensemble, find
from onnxplain.kernels import trees
from tests.helpers.tree_training import MODELS, train

FOLDER = Path(__file__).parents[1] / "golden" / "trees"


def compare(told: dict[str, Any]) -> None:
    model = onnx.load_from_string(told["model"].tobytes())
    ((node, ensemble),) = find(ir.from_proto(model).graph)
    x, background = told["x"], told["background"]
    name = node.outputs[-1].name
    outputs = [o for o in model.graph.output if o.name == name] or [onnx.ValueInfoProto(name=name)]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (x, told["train"]):
        (expected,) = session.run(None, {session.get_inputs()[0].name: rows})
        np.testing.assert_allclose(trees.predict(ensemble, rows), expected, rtol=3e-7, atol=2e-7)
    exact, table = ensemble.exact(), ensemble.columns(x)
    scores = trees.predict(exact, table)
    if "margin" in told:
        np.testing.assert_allclose(scores[:, 0], told["margin"], rtol=0, atol=2e-6)
    covers = trees.count_covers(ensemble, told["train"])
    found = {
        "interventional": trees.interventional(ensemble, x, background),
        "path": trees.path_dependent(ensemble, x, covers=covers),
    }
    mean = trees.predict(exact, ensemble.columns(background)).mean(0)
    np.testing.assert_allclose(found["interventional"].sum(1), scores - mean, rtol=0, atol=1e-9)
    for game in found.keys() & told.keys():
        np.testing.assert_allclose(
            like_shap(ensemble, found[game]), told[game], rtol=0, atol=2e-6, err_msg=game
        )

    for what in {"probability", "log_loss"} & told.keys():
        labels = told["labels"] if what == "log_loss" else 1
        made = ox.explain(
            onnx.load_from_string(told["model"].tobytes()), x, labels, ox.TreeShap(model_output=what),
            baselines=background,
        )  # fmt: skip
        np.testing.assert_allclose(made.values, told[what], rtol=0, atol=1e-6, err_msg=what)


def like_shap(ensemble: Ensemble, values: Any) -> Any:
    """Shap has no axis of outputs where there is one, and one of two classes where one is minus the other."""
    return values[..., -1] if ensemble.n_scores == 1 else values


@pytest.mark.parametrize("name", MODELS)
def test_files(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz") as told:
        compare(dict(told))


@pytest.mark.parametrize("name", MODELS)
def test_trained_anew(name: str) -> None:
    pytest.importorskip("shap")
    compare(train(name))
