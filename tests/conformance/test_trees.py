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
from onnxplain.graph.load import load
from onnxplain.graph.trees import Ensemble, find
from onnxplain.kernels import trees
from tests.helpers.tree_models import brute_force, interventional_game, path_game
from tests.helpers.tree_training import MODELS, train

FOLDER = Path(__file__).parents[1] / "golden" / "trees"


def compare(told: dict[str, Any]) -> None:
    model = onnx.load_from_string(told["model"].tobytes())
    found = find(load(model).graph)
    if len(found) == 1:
        arrays(model, *found[0], told)
    through_the_graph(model, told)


def arrays(model: onnx.ModelProto, node: ir.Node, ensemble: Ensemble, told: dict[str, Any]) -> None:
    """Compare the trees alone with onnxruntime, with shap, and with the definition."""
    x, background = told["x"], told["background"]
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    name = node.outputs[-1].name
    outputs = [o for o in model.graph.output if o.name == name] or [onnx.ValueInfoProto(name=name)]
    del cut.graph.output[:]
    cut.graph.output.extend(outputs)
    session = ort.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (x, told["train"]):
        (expected,) = session.run(None, {session.get_inputs()[0].name: rows})
        made = trees.predict(ensemble, rows)
        np.testing.assert_allclose(made, expected.reshape(made.shape), rtol=3e-7, atol=2e-7)
    exact, table = ensemble.exact(), ensemble.columns(x)
    scores = trees.predict(exact, table)
    covers = trees.count_covers(ensemble, told["train"])
    games = {
        "interventional": trees.interventional(ensemble, x, background),
        "path": trees.path_dependent(ensemble, x, covers=covers),
    }
    mean = trees.predict(exact, ensemble.columns(background)).mean(0)
    np.testing.assert_allclose(games["interventional"].sum(1), scores - mean, rtol=0, atol=1e-9)
    for game in games.keys() & told.keys():
        # shap has no axis of outputs where there is one, and one of two where one is minus the other
        made = games[game] if told[game].ndim == games[game].ndim else games[game][..., -1]
        np.testing.assert_allclose(made, told[game], rtol=0, atol=2e-6, err_msg=game)
    players = np.arange(x.shape[1])
    for row in range(2):
        worth = interventional_game(ensemble, x[row], background, players)
        expected = brute_force(worth, players.size)
        np.testing.assert_allclose(games["interventional"][row], expected, rtol=0, atol=1e-10)
        expected = brute_force(path_game(ensemble, x[row], covers, players), players.size)
        last = games["path"][row][:, -ensemble.n_scores :]
        np.testing.assert_allclose(last, expected, rtol=0, atol=1e-10)


def through_the_graph(model: onnx.ModelProto, told: dict[str, Any]) -> None:
    """Compare what a user gets."""
    x, background = told["x"], told["background"]
    explainer, target = ox.Explainer(model), int(told["target"]) if "target" in told else None
    said = list(explainer.predict(x).values())[-1]
    np.testing.assert_allclose(said.reshape(told["said"].shape), told["said"], rtol=2e-6, atol=1e-6)
    for game, rows in (("interventional", background), ("tree_path_dependent", told["train"])):
        method = ox.TreeShap(feature_perturbation=game)
        found = explainer(x, target, method, baselines=rows)
        assert np.abs(found.delta).max() < 1e-9
        known = told.get("path" if game == "tree_path_dependent" else game)
        if known is not None:
            of_target = known[..., target] if known.ndim > found.values.ndim else known
            np.testing.assert_allclose(found.values, of_target, rtol=0, atol=2e-6, err_msg=game)
    for what in {"probability", "log_loss"} & told.keys():
        labels = told["labels"] if what == "log_loss" else 1
        made = explainer(x, labels, ox.TreeShap(model_output=what), baselines=background)
        np.testing.assert_allclose(made.values, told[what], rtol=0, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("name", MODELS)
def test_files(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz") as told:
        compare(dict(told))


@pytest.mark.parametrize("name", MODELS)
def test_trained_anew(name: str) -> None:
    pytest.importorskip("shap")
    compare(train(name))
