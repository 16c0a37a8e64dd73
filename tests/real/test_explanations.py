"""Trained models, explained: gradients against central differences, completeness, conservation, one file."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from trained import target_of

import onnxplain as ox

pytestmark = pytest.mark.models

#: Different kinds: an ImageNet classifier, small image classifiers, text recognition and its angle, a
#: transformer encoder and its int8 form, text and byte classifiers, recurrent nets, audio, tables.
CHECKED = [
    "mobilenetv2", "mnist", "shapes", "leafsnap", "ocr_rec", "ocr_cls", "minilm", "minilm_int8",
    "movie_review", "magika", "lac", "silero", "nsnet2_16k", "plcmos", "aecmos_16k", "season",
    "penguin", "sunshine",
]  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_gradient_agrees_with_central_differences(name, real_model):
    import real_check

    agreement = real_check.check(real_model(name), jitter=1e-3)
    assert agreement.relative_error < 1e-4, agreement


def explained(model, **options):
    """Explain a model's target at its real input."""
    explainer = ox.Explainer(model.path)
    return explainer(model.feeds, target=target_of(model, explainer), output=model.output, **options)


def test_integrated_gradients_complete_on_mobilenet(real_model):
    """About 2 % of the score difference at 50 steps, under 1 % at 200, or at 40 that are placed by errors."""
    model = real_model("mobilenetv2")
    black = (-np.array([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225])).reshape(1, 3, 1, 1)
    few = explained(model, method="integrated_gradients", n_steps=50, baselines=black)
    many = explained(model, method="integrated_gradients", n_steps=200, baselines=black)
    assert few.reference[0] > 15
    assert few.relative_delta[0] < 0.04
    assert many.relative_delta[0] < 0.01
    assert any("one by one" in note for note in few.notes)
    placed = explained(model, method=ox.IntegratedGradients(200, tol=0.01), baselines=black)
    assert placed.relative_delta[0] < 0.01
    assert placed.extras["converged"].all()
    assert placed.extras["gradients"][0] <= 60


#: All but those that nothing differentiable runs through, and the largest.
RELATED = [
    *CHECKED, "mnist_tf", "opennsfw", "silero_op15", "nsnet2_48k", "dnsmos_p808", "basic_pitch", "chars2vec",
    "aecmos_48k", "modnet",
]  # fmt: skip


@pytest.mark.parametrize("name", RELATED)
def test_relevance_is_handed_back_or_accounted_for(name, real_model):
    """Through convolutions, recurrent cells, loops, branches, attention: what is missing, some node kept."""
    result = explained(real_model(name), method=ox.LRP(bias="keep", account=True))
    assert all(np.isfinite(v).all() for v in result.arrays.values())
    assert max(np.abs(v).max() for v in result.arrays.values()) > 0
    assert result.reference == pytest.approx(result.score), "relevance starts as the score"
    kept = {node: float(v) for node, v in result.extras["kept"].items()}
    missing = -float(result.delta.sum())
    size = max(sum(map(abs, kept.values())), float(np.abs(result.score).sum()))
    assert sum(kept.values()) == pytest.approx(missing, abs=2e-3 * size)
    keepers = {node.split()[0] for node, v in kept.items() if abs(v) > 1e-3 * size}
    assert keepers <= KEEPERS, "only what has a bias, a shift, a constant, or bodies may keep relevance"


#: Operators with a bias or a constant operand, or that are linearised; and those that have others inside.
KEEPERS = {
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "LayerNormalization", "InstanceNormalization",
    "Softmax", "LSTM", "GRU", "If", "Loop", "Scan", "ReduceSum", "ReduceMean", "AveragePool",
    "GlobalAveragePool",
}  # fmt: skip


#: Networks of ReLUs; those of other activations, gates and squeezes; and a GRU whose sums nearly cancel.
CONSERVING = {
    **dict.fromkeys(
        ["mobilenetv2", "mnist", "mnist_tf", "shapes", "leafsnap", "opennsfw", "dnsmos_p808", "penguin",
         "sunshine", "movie_review", "u2netp"], 1e-3,
    ),
    **dict.fromkeys(["modnet", "ocr_cls", "season", "magika", "silero_op15", "chars2vec"], 1e-2),
    "nsnet2_16k": 1e-2, "lac": 0.03,
}  # fmt: skip


@pytest.mark.parametrize("name", CONSERVING)
def test_the_default_relevance_sums_to_the_score(name, real_model):
    """Biases keep nothing: 1 % at most is missing."""
    result = explained(real_model(name), method="lrp")
    assert result.relative_delta.max() < CONSERVING[name]


@pytest.mark.parametrize("name", ["mnist", "leafsnap", "movie_review", "dnsmos_p808", "mnist_tf"])
def test_deep_taylor_conserves_on_trained_networks_of_relus(name, real_model):
    """Its z+ has no biases, and a score above 0 then arrives whole."""
    result = explained(real_model(name), method=ox.LRP("deep_taylor"))
    assert result.relative_delta.max() < 1e-3


@pytest.mark.parametrize("name", [*RELATED, "dnsmos_personal"])
def test_deep_lift_sums_to_the_difference(name, real_model):
    """Through recurrent cells, branches, attention, quantised layers: the whole difference arrives."""
    result = explained(real_model(name), method="deep_lift")
    assert all(np.isfinite(v).all() for v in result.arrays.values())
    assert result.relative_delta.max() < 2e-3


@pytest.mark.parametrize("name", ["mobilenetv2", "mnist", "movie_review", "minilm", "lac", "season"])
def test_reveal_cancel_sums_to_it_too(name, real_model):
    """Where parts are far larger than their sum, float32 loses some of it (silero 8 %; in float64 5e-11)."""
    result = explained(real_model(name), method=ox.DeepLift("reveal_cancel"))
    assert all(np.isfinite(v).all() for v in result.arrays.values())
    assert result.relative_delta.max() < 2e-3


@pytest.mark.parametrize("composite", ["epsilon_alpha2_beta1_flat", "zero_epsilon_gamma", "attention_cp"])
@pytest.mark.parametrize("name", ["mobilenetv2", "minilm", "silero", "lac"])
def test_other_composites_go_through_as_well(name, composite, real_model):
    result = explained(real_model(name), method=ox.LRP(composite))
    assert all(np.isfinite(v).all() for v in result.arrays.values())


def test_tokens_are_explained_at_the_embedding(real_model):
    model = real_model("movie_review")
    result = explained(model, method="integrated_gradients", n_steps=64)
    assert result.values.shape == model.feeds["input"].shape
    assert result.relative_delta[0] < 0.02


@pytest.mark.parametrize("method", ["input_x_gradient", "lrp", "deep_lift", "excitation_backprop"])
def test_export_runs_in_stock_onnxruntime(method, real_model, tmp_path):
    model = real_model("mobilenetv2")
    made = ox.export(model.path, tmp_path / "explained.onnx", method=method)
    session = ort.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    target = np.array([model.target[-1]])
    values = session.run([made.outputs[-1]], {**model.feeds, "target": target})[0]
    expected = explained(model, method=method).values
    # DeepLIFT's reference is a constant in the file, folded before running, and rounds in another way
    tolerance = 1e-3 if method == "deep_lift" else 1e-4
    np.testing.assert_allclose(values, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", ["coffee", "hrv_60_5"])
def test_trees_are_refused_before_running(name, real_model):
    model = real_model(name)
    found = ox.inspect(model.path)
    assert any("TreeEnsemble" in problem for problem in found.problems)
    with pytest.raises(
        ox.errors.NotExplainableError, match=r"TreeEnsemble.*constant between their thresholds"
    ):
        ox.explain(model.path, model.feeds, target="predicted", output=found.outputs[-1].name)
