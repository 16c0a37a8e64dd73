"""Exact Shapley values in the columns that a user feeds: against their definition, over all sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pipelines
import pytest
from onnx import helper

import onnxplain as ox
from onnxplain.errors import MethodError, NotExplainableError
from onnxplain.methods import exact

#: Models are float32, and so are the scores of the definition; the values themselves are float64.
FLOAT32 = 1e-6
EXACT = 1e-9

#: Pipeline, method, target.
CASES = {
    "matrix_line": ("linear_shap", None),
    "columns_line": ("linear_shap", None),
    "columns_logistic": ("linear_shap", 1),
    "matrix_forest": ("tree_shap", None),
    "matrix_bagging": ("tree_shap", None),
    "matrix_binarized": ("tree_shap", None),
    "matrix_voting": ("tree_shap", None),
    "columns_forest": ("tree_shap", None),
    "columns_boosting": ("tree_shap", 1),
    "columns_classes": ("tree_shap", 2),
    "columns_stacked": ("tree_shap", None),
    "columns_encoded": ("tree_shap", None),
    "matrix_binned": ("tree_shap", None),
    "matrix_histogram": ("tree_shap", None),
    "matrix_isolation": ("tree_shap", None),
    "matrix_counts": ("linear_shap", None),
}
#: How what enters the closing step is had from what the model says: log-odds of the second class, logarithms
#: of counts, path lengths.
BEFORE = {
    "columns_logistic": lambda p: np.log(p / (1 - p)),
    "columns_boosting": lambda p: np.log(p / (1 - p)),
    "matrix_counts": np.log,
    "matrix_isolation": lambda s: -np.log2(0.5 - s),
}
#: One player of two columns, one of two texts; rooms are always there.
GROUPS = {"age": [0], "income": [1], "debt": [1], "rooms": [-1], "job": [2], "city": [2]}


def scores(name: str) -> Any:
    """Return the explained score by onnxruntime and the file alone."""
    session, target = ort.InferenceSession(pipelines.path(name)), CASES[name][1]

    def score(x: dict[str, np.ndarray]) -> np.ndarray:
        fed = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in x.items()}
        made = session.run(None, fed)[-1]
        if isinstance(made, list):  # what a ZipMap makes
            return np.array([row[target] for row in made])
        p = made[:, target or 0].astype(np.float64)
        return BEFORE[name](p) if name in BEFORE else p

    return score


def explained(name: str, **options: Any) -> ox.Attribution:
    method, target = CASES[name]
    options = {"baselines": pipelines.table(name, "background"), **options}
    return ox.explain(pipelines.path(name), pipelines.table(name, "rows"), target, method=method, **options)


def flat(found: ox.Attribution) -> np.ndarray:
    return np.concatenate(list(found.arrays.values()), 1)


@pytest.mark.parametrize("name", CASES)
def test_the_definition(name: str) -> None:
    rows, background = pipelines.table(name, "rows"), pipelines.table(name, "background")
    found = explained(name)
    assert {k: v.shape for k, v in found.arrays.items()} == {k: v.shape for k, v in rows.items()}
    expected = pipelines.brute_force(scores(name), rows, background)
    tolerance = FLOAT32 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(flat(found), expected, rtol=0, atol=2 * tolerance)
    score = scores(name)
    difference = score(rows) - score(background).astype(np.float64).mean()
    np.testing.assert_allclose(found.reference, difference, rtol=0, atol=2 * tolerance)
    assert np.abs(found.delta).max() < EXACT
    found.verify(1e-9, atol=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_those_of_scikit_learn(name: str) -> None:
    said = pipelines.TABLE[f"said/{name}"]
    found = list(ox.Explainer(pipelines.path(name)).predict(pipelines.table(name, "rows")).values())[-1]
    np.testing.assert_allclose(found.reshape(said.shape), said, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["columns_line", "columns_stacked", "columns_forest"])
def test_groups_of_columns_are_one_player(name: str) -> None:
    owners = {k: np.array(v) for k, v in GROUPS.items()}
    found = explained(name, feature_mask=owners)
    rows, background = pipelines.table(name, "rows"), pipelines.table(name, "background")
    each = pipelines.brute_force(scores(name), rows, background, owners)
    expected = np.concatenate([np.zeros((len(each), 1)), each], 1)[:, 1 + np.concatenate([*owners.values()])]
    np.testing.assert_allclose(flat(found), expected, rtol=0, atol=FLOAT32)
    assert np.abs(found.delta).max() < EXACT  # over players, not over columns


@pytest.mark.parametrize("name", ["columns_line", "columns_stacked", "columns_forest"])
def test_inputs_that_are_not_explained_stay_as_they_are(name: str) -> None:
    rows, background = pipelines.table(name, "rows"), pipelines.table(name, "background")
    found = explained(name, wrt=["job", "age"], baselines={k: background[k] for k in ("job", "age")})
    assert list(found.arrays) == ["job", "age"]
    owners = {k: np.array([{"job": 0, "age": 1}.get(k, -1)]) for k in rows}
    expected = pipelines.brute_force(scores(name), rows, background, owners)
    np.testing.assert_allclose(flat(found), expected, rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("interactions", [False, True])
def test_rows_that_differ_beside_go_together(interactions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is not explained stays apart; otherwise each runs alone, and it is the same."""
    background = pipelines.table("columns_stacked", "background")
    options = {"interactions": interactions, "wrt": ["job", "age", "rooms"]}
    options["baselines"] = {k: background[k] for k in options["wrt"]}
    calls = []
    summed = ox.TreeShap.summed
    monkeypatch.setattr(ox.TreeShap, "summed", lambda self, problem: calls.append(1) or summed(self, problem))
    together = explained("columns_stacked", **options)
    assert len(calls) == 1
    monkeypatch.setattr(exact, "_apart", lambda problem: False)
    alone = explained("columns_stacked", **options)
    assert len(calls) == 1 + 6
    np.testing.assert_allclose(flat(together), flat(alone), rtol=0, atol=1e-6)
    np.testing.assert_allclose(together.reference, alone.reference, rtol=0, atol=1e-6)
    if interactions:
        pairs = [found.extras["interactions"] for found in (together, alone)]
        np.testing.assert_allclose(*pairs, rtol=0, atol=1e-6)
    assert np.abs(together.delta).max() < EXACT


def test_behind_a_bar_rows_go_in_blocks(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(exact, "_BEHIND_A_BAR", 4)
    shown = explained("columns_stacked", interactions=True, progress=True)
    assert "tree_shap" in capsys.readouterr().err
    plain = explained("columns_stacked", interactions=True)
    assert not capsys.readouterr().err
    np.testing.assert_allclose(flat(shown), flat(plain), rtol=0, atol=1e-12)
    pairs = [found.extras["interactions"] for found in (shown, plain)]
    np.testing.assert_allclose(*pairs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["columns_line", "columns_stacked", "columns_boosting"])
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    method, target = CASES[name]
    explainer, background = ox.Explainer(pipelines.path(name)), pipelines.table(name, "background")
    rows = pipelines.table(name, "rows")
    together = explainer(rows, target, method, baselines=background)
    for k in range(6):
        one = {key: v[k : k + 1] for key, v in rows.items()}
        alone = explainer(one, target, method, baselines=background)
        np.testing.assert_allclose(flat(alone)[0], flat(together)[k], rtol=1e-9, atol=1e-12)
    bound = explainer(rows, target, method, baselines=background, internal_batch_size=4)
    np.testing.assert_allclose(flat(bound), flat(together), rtol=1e-9, atol=1e-12)


def test_each_sample_may_have_its_own_target_and_its_own_groups() -> None:
    rows, background = (pipelines.table("columns_classes", k) for k in ("rows", "background"))
    explainer = ox.Explainer(pipelines.path("columns_classes"))
    predicted = next(v for k, v in explainer.predict(rows).items() if "prob" in k).argmax(1)
    assert len(set(predicted)) > 1
    found = explainer(rows, "predicted", "tree_shap", baselines=background)
    assert found.target.ravel().tolist() == predicted.tolist()
    for k in range(3):
        each = explainer(rows, k, "tree_shap", baselines=background)
        np.testing.assert_allclose(flat(found)[predicted == k], flat(each)[predicted == k], atol=1e-12)
    masks = {name: np.full((6, 1), j) for j, name in enumerate(rows)}
    masks["city"][3:] = masks["job"][3:]
    mixed = explainer(rows, 1, "tree_shap", baselines=background, feature_mask=masks)
    plain = explainer(rows, 1, "tree_shap", baselines=background)
    np.testing.assert_allclose(flat(mixed)[:3], flat(plain)[:3], atol=1e-12)
    np.testing.assert_array_equal(mixed.arrays["job"][3:], mixed.arrays["city"][3:])
    assert np.abs(mixed.delta).max() < EXACT


def test_weights_of_targets() -> None:
    rows, background = (pipelines.table("columns_classes", k) for k in ("rows", "background"))
    explainer = ox.Explainer(pipelines.path("columns_classes"))
    each = [flat(explainer(rows, k, "tree_shap", baselines=background)) for k in range(3)]
    found = explainer(rows, ox.Weights(np.array([1.0, -2.0, 0.5])), "tree_shap", baselines=background)
    np.testing.assert_allclose(flat(found), each[0] - 2 * each[1] + 0.5 * each[2], atol=1e-7)


def test_logits_of_several_classes() -> None:
    """What differs between two classes is the difference of their log-probabilities."""
    rows, background = (pipelines.table("columns_multinomial", k) for k in ("rows", "background"))
    explainer = ox.Explainer(pipelines.path("columns_multinomial"))
    low, high = (explainer(rows, k, "linear_shap", baselines=background) for k in (0, 2))
    session = ort.InferenceSession(pipelines.path("columns_multinomial"))

    def score(x: dict[str, np.ndarray]) -> np.ndarray:
        fed = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in x.items()}
        log = np.log(session.run(None, fed)[1].astype(np.float64))
        return log[:, 2] - log[:, 0]

    expected = pipelines.brute_force(score, rows, background)
    np.testing.assert_allclose(flat(high) - flat(low), expected, atol=5e-6)
    assert any("before the closing Softmax" in note for note in low.notes)


def test_columns_that_mix_may_be_one_player() -> None:
    rows, background = (pipelines.table("matrix_pca", k) for k in ("rows", "background"))
    explainer = ox.Explainer(pipelines.path("matrix_pca"))
    with pytest.raises(NotExplainableError, match="MatMul node 'MatMul' makes columns out of several inputs"):
        explainer(rows, None, "tree_shap", baselines=background)
    one = explainer(rows, None, "tree_shap", baselines=background, feature_mask=np.zeros(5, np.int64))
    np.testing.assert_allclose(one.values, np.tile(one.reference[:, None], 5))
    inner = explainer(rows, None, "tree_shap", wrt="variable1", baselines=np.zeros((3, 3)))
    assert inner.values.shape == (6, 3)
    assert np.abs(inner.delta).max() < EXACT


def test_paths_weighted_by_data_expect_its_mean() -> None:
    found = explained("columns_boosting", feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(found.reference, explained("columns_boosting").reference, atol=1e-12)
    assert np.abs(found.delta).max() < EXACT
    assert any("counted with the background" in note for note in found.notes)
    with pytest.raises(MethodError, match=r"columns that stay as they are.*interventional"):
        explained(
            "columns_boosting",
            feature_perturbation="tree_path_dependent",
            feature_mask={k: np.array(v) for k, v in GROUPS.items()},
        )


@pytest.mark.parametrize("perturbation", ["interventional", "tree_path_dependent"])
def test_interactions_sum_to_the_values(perturbation: str) -> None:
    found = explained("columns_stacked", interactions=True, feature_perturbation=perturbation)
    pairs = found.extras["interactions"]
    assert pairs.shape == (6, 6, 6)
    np.testing.assert_allclose(pairs, pairs.transpose(0, 2, 1), atol=1e-12)
    np.testing.assert_allclose(pairs.sum(2), flat(found), atol=1e-12)
    assert np.abs(pairs[:, ~np.eye(6, dtype=bool)]).max() > 1e-2


#: What is explained instead of log-odds, its slope, and the result's score.
SCALED = {
    "probability": (lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (2 + np.exp(z) + np.exp(-z))),
    "log_loss": (lambda z: np.log1p(np.exp(-z)), lambda z: -1 / (1 + np.exp(z))),
}


@pytest.mark.parametrize("what", SCALED)
@pytest.mark.parametrize("target", [0, 1])
def test_scaled_by_each_row_of_the_background(what: str, target: int) -> None:
    """Log-odds against each row, by all sets of columns, times what the curve does per unit."""
    rows, background = (pipelines.table("columns_boosting", k) for k in ("rows", "background"))
    session = ort.InferenceSession(pipelines.path("columns_boosting"))
    curve, slope = SCALED[what]

    def odds(x: dict[str, np.ndarray]) -> np.ndarray:
        fed = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in x.items()}
        p = session.run(None, fed)[-1].astype(np.float64)
        return np.log(p[:, target] / p[:, 1 - target])

    here, total, reference = odds(rows), 0.0, 0.0
    for k in range(12):
        one = {n: v[k : k + 1] for n, v in background.items()}
        gap = here - odds(one)
        same = np.abs(gap) < 1e-6
        ratio = np.where(same, slope(here), (curve(here) - curve(here - gap)) / np.where(same, 1.0, gap))
        total = total + pipelines.brute_force(odds, rows, one) * ratio[:, None] / 12
        reference = reference + (curve(here) - curve(here - gap)) / 12
    found = ox.explain(
        pipelines.path("columns_boosting"), rows, target, ox.TreeShap(model_output=what), baselines=background
    )
    np.testing.assert_allclose(flat(found), total, atol=2e-6)
    np.testing.assert_allclose(found.reference, reference, atol=2e-6)
    np.testing.assert_allclose(found.score, curve(here), atol=2e-6)
    found.verify(1e-9, atol=EXACT)
    assert found.output == ("probabilities", "probabilities")


def test_the_loss_of_each_row_s_own_label() -> None:
    rows, background = (pipelines.table("columns_boosting", k) for k in ("rows", "background"))
    explainer, method = ox.Explainer(pipelines.path("columns_boosting")), ox.TreeShap(model_output="log_loss")
    labels = np.array([0, 1, 1, 0, 1, 0])
    found = explainer(rows, labels, method, baselines=background)
    for label in (0, 1):
        each = explainer(rows, label, method, baselines=background)
        np.testing.assert_allclose(flat(found)[labels == label], flat(each)[labels == label], atol=1e-12)
        np.testing.assert_array_equal(found.score[labels == label], each.score[labels == label])
    assert any("-log p" in note for note in found.notes)


@pytest.mark.parametrize(
    ("method", "name", "words"),
    [
        ("linear_shap", "columns_forest", "is an ensemble of trees.*tree_shap"),
        ("tree_shap", "columns_line", "the model has no trees.*linear_shap"),
        ("linear_shap", "matrix_products", "ReduceProd node .* is not linear.*kernel_shap"),
        ("tree_shap", "matrix_normalized", "ReduceSum node .* makes columns out of several inputs"),
    ],
)
def test_what_cannot_be_explained_exactly_is_refused(method: str, name: str, words: str) -> None:
    with pytest.raises(ox.errors.OnnxplainError, match=words):
        ox.explain(pipelines.path(name), pipelines.table(name, "rows"), method=method)


def test_what_stands_behind_trees_must_be_linear() -> None:
    with pytest.raises(NotExplainableError, match=r"Sigmoid node .* stands behind the trees"):
        explained("columns_boosting", through_softmax=True)
    for what, words in (("probability", "no probability of"), ("log_loss", "no log loss of")):
        with pytest.raises(MethodError, match=rf"{what}.*interventional"):
            ox.TreeShap("tree_path_dependent", what)
        with pytest.raises(MethodError, match=rf"{what}.*without interactions"):
            ox.TreeShap(model_output=what, interactions=True)
        with pytest.raises(MethodError, match=f"does not end in a Sigmoid, so there is {words}"):
            explained("columns_classes", model_output=what)


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ({"aggregate_function": "MIN"}, "takes the MIN over its trees"),
        ({"post_transform": "PROBIT"}, "PROBIT"),
    ],
)
def test_trees_that_are_not_added_up(attribute: dict[str, str], words: str, models) -> None:
    model = models.make("m (float[N, 2] x) => (float[N, 1] y) { y = Identity(x) }", domain="ai.onnx.ml")
    trees = {
        "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "n_targets": 1,
        "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0],
        "target_weights": [0.2, 0.7],
    }  # fmt: skip
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **trees, **attribute)
    del model.graph.node[:]
    model.graph.node.append(node)
    with pytest.raises(NotExplainableError, match=words):
        ox.explain(model, np.ones((2, 2), np.float32), method="tree_shap")


@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_results_come_back(ending: str, tmp_path) -> None:
    found = explained("columns_stacked", interactions=True)
    found.save(tmp_path / f"why{ending}")
    again = ox.Attribution.load(tmp_path / f"why{ending}")
    assert again.method == found.method
    np.testing.assert_array_equal(flat(again), flat(found))
    np.testing.assert_array_equal(again.extras["interactions"], found.extras["interactions"])
    assert again.inputs["job"].tolist() == found.inputs["job"].tolist()


def test_pipelines_as_skl2onnx_exports_them_now() -> None:
    pytest.importorskip("skl2onnx")
    make_pipelines = pipelines.maker()
    train, rows, background = (make_pipelines.table(n, k) for k, n in enumerate((200, 3, 8)))
    forest = make_pipelines.RandomForestRegressor(3, max_depth=3, random_state=0)
    fitted = make_pipelines.columns(forest).fit(train, make_pipelines.truth(train))
    model = make_pipelines.to_onnx(fitted, initial_types=make_pipelines.TYPES)
    given = [{k: f[[k]].to_numpy() for k in f} for f in (rows, background)]
    found = ox.explain(model, given[0], method="tree_shap", baselines=given[1])

    def score(x: dict[str, np.ndarray]) -> np.ndarray:
        frame = make_pipelines.pd.DataFrame({k: v[:, 0] for k, v in x.items()})
        return fitted.predict(frame.astype(train.dtypes.to_dict()))

    np.testing.assert_allclose(flat(found), pipelines.brute_force(score, *given), atol=1e-5)
