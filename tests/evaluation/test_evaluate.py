"""Methods by metrics: cells, ranks, errors, blocks, and files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, OutputError, TargetError
from onnxplain.metrics import Curve, Measured, Metric, PixelFlipping

METHODS = ("saliency", "input_x_gradient", "integrated_gradients")


@dataclass(frozen=True)
class Largest(Metric):
    """The largest attribution; has no direction."""

    name: ClassVar[str] = "largest"
    higher_is_better: ClassVar[bool | None] = None

    def measure(self, trial: Any) -> Measured:
        values = trial.flat.max(1)
        long = np.cumsum(trial.flat, axis=1)[:, : 2 + trial.n]  # as long as its block is large
        curves = {"sum": Curve(np.arange(long.shape[1]), long)}
        extras = {"score": trial.score, "all": np.zeros((trial.n, 5000))}
        return self.result(values, curves=curves, extras=extras, notes=("sample 0 is the first",))


@dataclass(frozen=True)
class Whole(Metric):
    """The mean attribution of all samples, for each."""

    name: ClassVar[str] = "whole"
    higher_is_better: ClassVar[bool | None] = True
    apart: ClassVar[bool] = False

    def measure(self, trial: Any) -> Measured:
        return self.result(np.full(trial.n, trial.flat.mean()))


@dataclass(frozen=True)
class Sized(Metric):
    """Minus the sum of magnitudes."""

    name: ClassVar[str] = "sized"
    higher_is_better: ClassVar[bool | None] = True
    sign: float = -1.0

    def measure(self, trial: Any) -> Measured:
        return self.result(self.sign * np.abs(trial.flat).sum(1))


@dataclass(frozen=True)
class Inside(Metric):
    """The share of attributions inside the masks."""

    name: ClassVar[str] = "inside"
    higher_is_better: ClassVar[bool | None] = True
    needs: ClassVar[tuple[Any, ...]] = ("masks",)

    def measure(self, trial: Any) -> Measured:
        size = np.abs(trial.flat)
        return self.result((size * trial.flat_masks).sum(1) / size.sum(1))


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv(softmax=True))


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(5, 2, 8, 8, seed=11)


@pytest.fixture(scope="module")
def found(conv, x) -> ox.Evaluation:
    metrics = [PixelFlipping(features_in_step=8), Largest(), Sized(), Inside()]
    return ox.evaluate(conv, x, "predicted", [*METHODS, "tree_shap"], metrics)


def test_a_cell_is_what_the_metric_says_of_the_method(found, conv, x) -> None:
    assert list(found.methods) == [*METHODS, "tree_shap"]
    assert list(found.metrics) == ["pixel_flipping", "largest", "sized", "inside"]
    assert found.n == 5
    for method in METHODS:
        for metric in (PixelFlipping(features_in_step=8), Largest(), Sized()):
            alone = metric(conv, x, "predicted", method)
            cell = found[method, metric.name]
            np.testing.assert_array_equal(cell.values, alone.values)
            assert cell.method == alone.method
            assert cell.metric == metric
    np.testing.assert_array_equal(
        found.means[0], [*(found["saliency", k].mean for k in list(found.metrics)[:3]), np.nan]
    )
    assert (found.intervals[:3, :3, 0] <= found.means[:3, :3]).all()
    assert (found.intervals[:3, :3, 1] >= found.means[:3, :3]).all()
    low, high = found["saliency", "sized"].interval()
    np.testing.assert_array_equal(found.intervals[0, 2], [low, high])


def test_what_cannot_work_here_is_a_cell(found) -> None:
    assert {(c.method, c.metric) for c in found.failures} == {
        *(("tree_shap", k) for k in found.metrics),
        *((m, "inside") for m in METHODS),
    }
    assert found.cells["tree_shap", "sized"].error.startswith("MethodError: the model has no trees")
    assert "give masks=" in found.cells["saliency", "inside"].error
    assert np.isnan(found.seconds["tree_shap"])
    assert found.seconds["saliency"] > 0
    with pytest.raises(MethodError, match="'sized' of 'tree_shap' was not measured: MethodError: the model"):
        found["tree_shap", "sized"]
    with pytest.raises(KeyError, match="did you mean 'saliency'"):
        found["salience", "sized"]
    with pytest.raises(KeyError, match="a pair"):
        found["saliency"]
    text = found.table()
    assert text.count("failed: ") == 2
    assert "failed: tree_shap: MethodError: the model has no trees" in text
    assert "failed: inside: MethodError" in text
    assert repr(found) == "Evaluation(4 methods x 4 metrics x 5 samples, 7 failed)"


def test_ranks(found) -> None:
    for k, (name, metric) in enumerate(found.metrics.items()):
        if metric.higher_is_better is None or name == "inside":
            assert np.isnan(found.ranks[:, k]).all()
            continue
        order = np.argsort(found.means[:3, k])
        best = order[-1] if metric.higher_is_better else order[0]
        assert found.ranks[best, k] == 1
        assert sorted(found.ranks[:3, k]) == [1, 2, 3]
        assert np.isnan(found.ranks[3, k])
    assert np.isnan(found.mean_ranks[3])
    np.testing.assert_allclose(found.mean_ranks[:3], found.ranks[:3][:, [0, 2]].mean(1))


def test_equal_means_share_a_rank_and_metrics_may_contradict(conv, x) -> None:
    methods = {"a": "saliency", "b": "saliency", "c": "input_x_gradient", "d": "lrp"}
    metrics = {"less": Sized(), "more": Sized(1.0), "none": Sized(0.0)}
    found = ox.evaluate(conv, x, 1, methods, metrics)
    assert found.ranks[0, 0] == found.ranks[1, 0]
    assert sorted(found.ranks[:, 0]) in ([1, 1, 3, 4], [1, 2, 2, 4], [1, 2, 3, 3])
    assert (found.ranks[:, 2] == 1).all()
    for kind in ("kendall", "spearman"):
        agreement = found.agreement(kind)
        np.testing.assert_allclose(agreement[:2, :2], [[1, -1], [-1, 1]])
        assert np.isnan(agreement[2]).all()
        ((first, second, tau),) = found.contradictions(kind)
        assert (first, second) == ("less", "more")
        assert tau == pytest.approx(-1)
    two = ox.evaluate(conv, x, 1, METHODS[:2], metrics)
    np.testing.assert_array_equal(two.agreement()[:2, :2], [[1, -1], [-1, 1]])
    with pytest.raises(MethodError, match="kind is 'pearson'"):
        found.agreement("pearson")


def test_blocks_change_nothing(conv, x) -> None:
    masks = np.zeros((5, 8, 8), bool)
    masks[np.arange(5), 2:6, np.arange(5)] = True
    metrics = [PixelFlipping(features_in_step=50), Largest(), Whole(), Inside()]
    target, baselines = [0, 1, 2, 3, 0], np.roll(x, 1, axis=0)
    methods = ["saliency", ("integrated_gradients", {"baselines": baselines, "n_steps": 5})]

    def run(size: int | None) -> ox.Evaluation:
        return ox.evaluate(
            conv, x, target, methods, metrics, masks=masks, baselines=baselines, block_size=size
        )

    whole, cut = run(None), run(2)
    assert not whole.failures
    assert not cut.failures
    for key in whole.cells:
        np.testing.assert_allclose(cut[key].values, whole[key].values, rtol=1e-4, atol=1e-5)
    key = "integrated_gradients", "pixel_flipping"
    np.testing.assert_allclose(
        cut[key].curves["flipping"].values, whole[key].curves["flipping"].values, atol=1e-5
    )
    joined = cut["saliency", "largest"]
    assert joined.curves["sum"].values.shape == (5, 4)
    np.testing.assert_array_equal(joined.curves["sum"].values[4, 2:], joined.curves["sum"].values[4, [2, 2]])
    np.testing.assert_allclose(
        joined.extras["score"], whole["saliency", "largest"].extras["score"], rtol=1e-5
    )
    assert "all" not in joined.extras
    assert joined.notes[0] == "sample 0 is the first"
    assert len(set(cut["saliency", "whole"].values)) == 1
    assert len(cut.shown["saliency"]) == 2
    assert len(whole.shown["saliency"]) == 5


def test_segments_are_found_once_and_are_the_same(conv, x, monkeypatch) -> None:
    calls: list[int] = []
    real = ox.Segments.ids

    def counted(self: Any, *given: Any) -> Any:
        calls.append(1)
        return real(self, *given)

    monkeypatch.setattr(ox.Segments, "ids", counted)
    metrics = {"flipping": PixelFlipping(), "absolute": PixelFlipping(absolute=True)}
    methods = ["saliency", "feature_ablation", ("kernel_shap", {"n_samples": 40})]
    for mask in (ox.Segments(n_segments=5), lambda image: np.indices(image.shape[:2])[0] // 3):
        calls.clear()
        runs = [ox.evaluate(conv, x, 1, methods, metrics, feature_mask=mask, block_size=k) for k in (None, 2)]
        assert len(calls) <= 8  # of which each run has a few, however many cells there are
        assert "n_segments=5" in runs[0].methods["kernel_shap"] or callable(mask)
        alone = PixelFlipping()(conv, x, 1, "feature_ablation", feature_mask=mask)
        for run in runs:
            assert not run.failures
            found = run["feature_ablation", "flipping"]
            np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-5)


def test_what_is_explained_anew_has_segments_of_its_own(conv, x) -> None:
    given = {"n_samples": 2}, ox.Segments(n_segments=5)
    found = ox.evaluate(
        conv,
        x,
        1,
        ["feature_ablation"],
        [("max_sensitivity", given[0]), PixelFlipping()],
        feature_mask=given[1],
    )
    alone = ox.metrics.MaxSensitivity(n_samples=2)(
        conv, x, 1, "feature_ablation", explain_options={"feature_mask": given[1]}
    )
    np.testing.assert_array_equal(found["feature_ablation", "max_sensitivity"].values, alone.values)


@pytest.mark.parametrize("target", ["weights", "region", "tuple", "number"])
def test_targets_are_cut_with_their_samples(target, conv, models, x) -> None:
    model = conv
    if target == "region":
        model = ox.Explainer(
            models.make(
                "m (float[N, 2, 8, 8] x) => (float[N, 3, 8, 8] y) { c = Conv(x, w) y = Tanh(c) }",
                w=models.random(3, 2, 1, 1),
            )
        )
        mask = np.zeros((5, 8, 8), bool)
        mask[np.arange(5), np.arange(5), 3:6] = True
        given: Any = ox.Region(mask, [0, 1, 2, 0, 1])
    elif target == "weights":
        given = ox.Weights(models.random(5, 4))
    else:
        given = (2,) if target == "tuple" else np.array(2)
    runs = [ox.evaluate(model, x, given, ["saliency"], [Sized()], block_size=k) for k in (None, 2)]
    np.testing.assert_allclose(
        runs[0]["saliency", "sized"].values, runs[1]["saliency", "sized"].values, rtol=1e-4
    )


def test_several_inputs_and_tables(models) -> None:
    two = ox.Explainer(models.two_inputs())
    inputs = {"image": models.random(5, 2, 4), "table": models.random(5, 3)}
    runs = [
        ox.evaluate(two, inputs, 1, ["saliency", "lrp"], [PixelFlipping()], block_size=k) for k in (None, 3)
    ]
    np.testing.assert_allclose(runs[0].means, runs[1].means, rtol=1e-4)
    columns = {name: models.random(5, seed=k) for k, name in enumerate("abcde")}
    mlp = ox.Explainer(models.mlp())
    runs = [
        ox.evaluate(
            mlp, columns, 1, ["saliency", "kernel_shap"], [PixelFlipping()],
            feature_mask={"both": ["a", "b"]}, block_size=k, seed=3,
        )
        for k in (None, 2)
    ]  # fmt: skip
    assert not runs[0].failures
    np.testing.assert_allclose(runs[0].means, runs[1].means, rtol=1e-3)


def test_names_parameters_and_seeds(conv, x) -> None:
    methods = ["smooth_grad", ("smooth_grad", {"n_samples": 3}), ox.SmoothGrad(n_samples=2, seed=9)]
    runs = [ox.evaluate(conv, x, 1, methods, Sized(), seed=seed) for seed in (1, 1, 2)]
    assert list(runs[0].methods)[:2] == ["smooth_grad", "smooth_grad:n_samples=3"]
    assert "seed=1" in runs[0].methods["smooth_grad"]
    assert "seed=9" in list(runs[0].methods)[2]
    np.testing.assert_array_equal(runs[0].means, runs[1].means)
    assert (runs[0].means[:2] != runs[2].means[:2]).all()
    assert runs[0].means[2] == runs[2].means[2]


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "method": ({"methods": ["salency"]}, MethodError, "no method 'salency'.*did you mean 'saliency'"),
    "metric": ({"metrics": ["pixel_fliping"]}, MethodError, "did you mean 'pixel_flipping'"),
    "parameter": ({"methods": [("ig", {"n_step": 5})]}, MethodError, "did you mean 'n_steps'"),
    "no methods": ({"methods": []}, MethodError, "methods is empty"),
    "no list": ({"methods": 3}, MethodError, "methods is 3; give a list"),
    "no pair": ({"methods": [("ig", 3)]}, MethodError, "no pair of a name and a dict"),
    "twice": ({"methods": ["ig", "ig"]}, MethodError, "given twice"),
    "a class": ({"metrics": [Sized]}, MethodError, "is a class"),
    "target": ({"target": 7}, TargetError, "7"),
    "no target": ({"target": None}, TargetError, "target"),
    "inputs": ({"inputs": np.zeros((2, 3), np.float32)}, DataInputError, "must have 4 axes"),
    "masks": (
        {"masks": np.ones((4, 8, 8)), "metrics": [Inside()]},
        DataInputError,
        "masks of 'x' have shape",
    ),
    "unused masks": ({"masks": np.ones((5, 8, 8))}, MethodError, "has a use for masks"),
    "unused baselines": ({"baselines": 0.0}, MethodError, "has a use for baselines"),
    "unused players": ({"feature_mask": "tokens"}, MethodError, "has a use for feature_mask"),
    "options": ({"explain_options": {"layer": "r1"}}, MethodError, "does not take 'layer'"),
    "level": ({"level": 95}, MethodError, "level is 95"),
    "seed": ({"seed": -1}, MethodError, "seed is -1"),
    "block": ({"block_size": 0}, MethodError, "block_size is 0"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_told_first(what, conv, x) -> None:
    given, kind, words = WRONG[what]
    told = {"inputs": x, "target": 1, "methods": ["saliency"], "metrics": [Sized()], **given}
    with pytest.raises(kind, match=words):
        ox.evaluate(conv, **told)


def test_an_interval_takes_two_samples(conv, x) -> None:
    with pytest.raises(DataInputError, match="intervals of means take two or more"):
        ox.evaluate(conv, x[:1], 1, ["saliency"], [Sized()])
    found = ox.evaluate(conv, x[:1], 1, ["saliency"], [Sized()], level=None)
    assert np.isnan(found.intervals).all()
    assert found.ranks[0, 0] == 1


def test_all_comes_back_from_its_file(found, tmp_path) -> None:
    found.save(tmp_path / "trust.npz")
    back = ox.Evaluation.load(tmp_path / "trust.npz")
    assert back.table() == found.table()
    for name in ("methods", "seconds", "n", "target", "level", "seed", "model_hash", "versions", "notes"):
        assert repr(getattr(back, name)) == repr(getattr(found, name))
    assert back.metrics["pixel_flipping"] == PixelFlipping(features_in_step=8)
    assert repr(back.metrics["sized"]) == repr(Sized())
    assert back.metrics["sized"].higher_is_better is True
    for key, cell in found.cells.items():
        assert back.cells[key].error == cell.error
        if cell.measured is None:
            continue
        np.testing.assert_array_equal(back[key].values, cell.measured.values)
        assert back[key].notes == cell.measured.notes
        for name, curve in cell.measured.curves.items():
            np.testing.assert_array_equal(back[key].curves[name].values, curve.values)
            assert back[key].curves[name].what == curve.what
    np.testing.assert_array_equal(back.shown["saliency"].values, found.shown["saliency"].values)
    assert set(back.shown) == set(METHODS)
    (tmp_path / "other.npz").write_bytes((tmp_path / "trust.npz").read_bytes()[:-200])
    with pytest.raises(DataInputError, match=r"Evaluation\.save"):
        ox.Evaluation.load(tmp_path / "other.npz")
    np.savez(tmp_path / "another.npz", a=1)
    with pytest.raises(DataInputError, match="no saved evaluation"):
        ox.Evaluation.load(tmp_path / "another.npz")
    with pytest.raises(OutputError, match="are saved as"):
        found.save(tmp_path / "trust.txt")


def test_tables_in_files(found, tmp_path) -> None:
    found.to_csv(tmp_path / "trust.csv")
    with (tmp_path / "trust.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert float(rows[0]["mean"]) == found.means[0, 0]
    assert float(rows[0]["low"]) <= float(rows[0]["mean"]) <= float(rows[0]["high"])
    assert rows[0]["higher_is_better"] == "false"
    assert rows[-1]["mean"] == ""
    assert rows[-1]["error"].startswith("MethodError")
    found.to_json(tmp_path / "trust.json")
    held = json.loads((tmp_path / "trust.json").read_text())
    assert held["cells"][0]["values"] == found["saliency", "pixel_flipping"].values.tolist()
    assert held["cells"][-1]["mean"] is None
    assert held["agreement"]["kendall"][0][0] == 1
    assert held["metrics"][2]["higher_is_better"] is True


def test_pictures(found) -> None:
    ranks = found.plot()
    texts = [t.get_text() for t in ranks.axes[0].texts]
    assert texts.count("failed") == 7
    assert f"{found.means[0, 0]:.3g}" in texts
    found.plot("agreement")
    curves = found.plot("curves", metric="pixel_flipping", title="flipping")
    assert len(curves.axes[0].lines) >= 3
    assert found.plot("curves").axes[0].get_title() == "pixel_flipping"
    for bad in ({"kind": "pie"}, {"kind": "curves", "metric": "sized"}, {"metric": "sized"}):
        with pytest.raises(MethodError):
            found.plot(**bad)
