"""Metrics that draw weights anew: by their formulas in plain loops, and where truth is known."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
import pytest
import scipy.stats
from skimage.metrics import structural_similarity

import onnxplain as ox
from onnxplain.backward.asks import Scores
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.errors import DataInputError, MethodError, TargetError
from onnxplain.graph.redraw import Redrawing
from onnxplain.methods import Method, method
from onnxplain.metrics import MPRT, DataRandomisation, EfficientMPRT, RandomLogit, SmoothMPRT
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.plans.points import Noise

GRADIENT = ox.methods.Saliency(abs=False)


@dataclass(frozen=True)
class Sample(Method):
    """Says the sample itself, whatever the model; or nothing; or numbers at random."""

    name: ClassVar[str] = "sample"
    kind: str = "sample"

    def needs(self) -> Scores:
        return Scores()

    def attribute(self, problem) -> Found:
        rng = np.random.default_rng(zlib.crc32(problem.scores().tobytes()))
        made = {
            "sample": lambda x: x, "nothing": np.zeros_like, "random": lambda x: rng.standard_normal(x.shape)
        }[self.kind]  # fmt: skip
        return Found({k: made(v).astype(np.float32) for k, v in problem.features.items()})


@pytest.fixture(scope="module")
def proto(models) -> onnx.ModelProto:
    return models.conv()


@pytest.fixture(scope="module")
def conv(proto) -> ox.Explainer:
    return ox.Explainer(proto)


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(3, 2, 8, 8, seed=11)


TARGET = [0, 3, 1]


def rewritten(proto, names, **how):
    """Write the weights of layers into a copy of the file, layer by layer."""
    made, drawing = onnx.ModelProto(), Redrawing(**how)
    made.CopyFrom(proto)
    held = {i.name: i for i in made.graph.initializer}
    for layer in drawing.layers(ox.Explainer(proto).normal):
        if layer.name in names:
            for value, tensor in drawing.drawn(layer).items():
                held[value.name].CopyFrom(onnx.numpy_helper.from_array(tensor.numpy(), value.name))
    return ox.Explainer(made)


def by_hand(of, a, b):
    return [of(one.ravel(), other.ravel()) for one, other in zip(a, b, strict=True)]


def spearman(a, b):
    return scipy.stats.spearmanr(a, b)[0]


@pytest.mark.parametrize(
    ("order", "absolute"), [("top_down", True), ("bottom_up", False), ("independent", True)]
)
def test_mprt_is_what_files_with_other_weights_give(order, absolute, proto, conv, x):
    how = {"draw": "normal", "seed": 3, "redraw": "biases"}
    found = MPRT(order, absolute=absolute, **how)(conv, x, TARGET, GRADIENT)
    curve = found.curves["layers"]
    names = curve.names[1:]
    forwards = [n.name or n.output[0] for n in proto.graph.node if n.op_type in ("Conv", "Gemm")]
    assert len(names) == len(forwards) == 4
    first = conv(x, TARGET, GRADIENT).values
    of = np.abs if absolute else np.asarray
    for k, name in enumerate(names):
        drawn = [name] if order == "independent" else names[: k + 1]
        other = rewritten(proto, drawn, **how)(x, TARGET, GRADIENT).values
        expected = by_hand(spearman, of(first), of(other))
        np.testing.assert_allclose(curve.values[:, k + 1], expected, atol=1e-4)
    np.testing.assert_allclose(curve.values[:, 0], 1)
    np.testing.assert_allclose(found.values, curve.values[:, 1:].mean(1))
    last = MPRT(order, absolute=absolute, value="last", **how)(conv, x, TARGET, GRADIENT)
    np.testing.assert_allclose(last.values, curve.values[:, -1])
    if order != "independent":
        skipped = MPRT(order, absolute=absolute, skip_layers=True, **how)(conv, x, TARGET, GRADIENT)
        np.testing.assert_allclose(skipped.values, curve.values[:, -1], atol=1e-6)


def test_orders_name_the_same_layers(conv):
    names = {
        order: [layer.name for layer in Redrawing().layers(conv.normal, order)]
        for order in ("top_down", "bottom_up", "independent")
    }
    assert names["top_down"] == names["bottom_up"][::-1] == names["independent"][::-1]


@pytest.mark.parametrize("similarity", ["spearman", "pearson", "kendall_tau", "cosine", "ssim", "hog"])
def test_what_ignores_the_model_stays_and_what_is_random_has_nothing_in_common(similarity, conv, x):
    same = MPRT(similarity=similarity, absolute=False)(conv, x, TARGET, Sample())
    np.testing.assert_allclose(same.values, 1, atol=1e-6)
    nothing = MPRT(similarity=similarity)(conv, x, TARGET, Sample("nothing"))
    np.testing.assert_allclose(nothing.values, 1)
    assert "are constant" in nothing.notes[0]
    random = MPRT(similarity=similarity, absolute=False)(conv, x, TARGET, Sample("random"))
    assert np.abs(random.values.mean()) < 0.2


def test_ssim_is_of_images_and_of_rows(proto, conv, x, models):
    found = MPRT(similarity="ssim", skip_layers=True, absolute=False)(conv, x, TARGET, GRADIENT)
    names = [n.name or n.output[0] for n in conv.normal.model.graph]
    first, other = (e(x, TARGET, GRADIENT).values for e in (conv, rewritten(proto, names)))
    expected = []
    for a, b in zip(first, other, strict=True):
        a, b = ((v / np.abs(v).max()).astype(np.float64).sum(0) for v in (a, b))
        reach = max(a.max(), b.max()) - min(a.min(), b.min())
        expected.append(structural_similarity(a, b, win_size=7, data_range=reach))
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    table = ox.Explainer(models.mlp())
    rows = models.random(3, 5)
    row = MPRT(similarity="ssim", absolute=False)(table, rows, 1, GRADIENT)
    assert np.isfinite(row.values).all()


def test_smooth_mprt_averages_over_the_same_noise(proto, conv, x):
    metric = SmoothMPRT("top_down", n_samples=4, noise_magnitude=0.3, seed=5)
    curve = metric(conv, x, TARGET, GRADIENT).curves["layers"]
    points = Noise(4, None, 0.3, 5).at(conv.pose(x, TARGET, GRADIENT).problem, slice(0, 3)).features["x"]
    copies = [*points.reshape(3, *x.shape), x]

    def smooth(explainer):
        return np.abs(np.mean([explainer(c, TARGET, GRADIENT).values for c in copies], axis=0))

    for k in range(1, len(curve.names)):
        other = rewritten(proto, curve.names[1 : k + 1], seed=5)
        np.testing.assert_allclose(
            curve.values[:, k], by_hand(spearman, smooth(conv), smooth(other)), atol=2e-3
        )
    plain = MPRT("bottom_up", seed=5)(conv, x, TARGET, GRADIENT)
    one = SmoothMPRT(n_samples=1, seed=5)(conv, x, TARGET, GRADIENT)
    np.testing.assert_allclose(one.values, plain.values)


def test_efficient_mprt_is_the_rise_of_the_entropy(proto, conv, x):
    found = EfficientMPRT(n_bins=20, seed=2)(conv, x, TARGET, GRADIENT)
    names = [n.name or n.output[0] for n in conv.normal.model.graph]
    for k, explainer in enumerate((conv, rewritten(proto, names, seed=2))):
        values = explainer(x, TARGET, GRADIENT).values
        entropies = [scipy.stats.entropy(np.histogram(v, bins=20)[0]) for v in values]
        np.testing.assert_allclose(found.extras["entropy"][:, k], entropies, rtol=1e-5)
    before, after = found.extras["entropy"].T
    np.testing.assert_allclose(found.values, (after - before) / before)
    same = EfficientMPRT()(conv, x, TARGET, Sample())
    np.testing.assert_array_equal(same.values, 0)
    nothing = EfficientMPRT()(conv, x, TARGET, Sample("nothing"))
    assert np.isnan(nothing.values).all()
    assert "no rise" in nothing.notes[0]


def test_random_logit_explains_another_class(models, conv, x):
    found = RandomLogit("spearman", seed=4)(conv, x, TARGET, GRADIENT)
    other = found.extras["other"]
    assert (other != TARGET).all()
    a, b = (conv(x, list(t), GRADIENT).values for t in (TARGET, other))
    np.testing.assert_allclose(found.values, by_hand(spearman, a, b), atol=1e-4)
    drawn = [RandomLogit("cosine", seed=s)(conv, x, 1, GRADIENT).extras["other"] for s in range(12)]
    assert set(np.ravel(drawn)) == {0, 2, 3}
    alone = RandomLogit("spearman", seed=4)(conv, x[1:2], TARGET[1], GRADIENT)
    np.testing.assert_allclose(alone.values, found.values[1:2], atol=1e-5)
    row = models.random(9, seed=1)
    pair = ox.Explainer(models.linear([row, -row]))
    rows = models.random(2, 9)
    np.testing.assert_allclose(RandomLogit("spearman")(pair, rows, 0, GRADIENT).values, -1)
    np.testing.assert_allclose(RandomLogit("spearman", absolute=True)(pair, rows, 0, GRADIENT).values, 1)
    np.testing.assert_allclose(RandomLogit("ssim", absolute=True)(pair, rows, [-1, 0], GRADIENT).values, 1)


def test_data_randomisation_compares_two_models(tmp_path, models, conv, x):
    same = DataRandomisation(conv)(conv, x, TARGET, GRADIENT)
    np.testing.assert_allclose(same.values, 1)
    other = models.conv(softmax=False)
    for one in other.graph.initializer:
        array = models.random(*one.dims, seed=len(one.name))
        one.CopyFrom(onnx.numpy_helper.from_array(array, one.name))
    onnx.save(other, tmp_path / "other.onnx")
    found = DataRandomisation(tmp_path / "other.onnx", "pearson")(conv, x, TARGET, GRADIENT)
    a, b = (np.abs(e(x, TARGET, GRADIENT).values) for e in (conv, ox.Explainer(other)))
    expected = by_hand(lambda p, q: scipy.stats.pearsonr(p, q)[0], a, b)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    with pytest.raises(DataInputError, match="give two with the same inputs"):
        DataRandomisation(models.two_inputs())(conv, x, TARGET, GRADIENT)
    with pytest.raises(MethodError, match="other"):
        DataRandomisation(3)


def test_what_does_not_fit_is_told(models, conv, x):
    with pytest.raises(MethodError, match="draws all layers at once"):
        MPRT("independent", skip_layers=True)
    table, rows = ox.Explainer(models.mlp()), models.random(3, 5)
    with pytest.raises(DataInputError, match="histograms of gradients are of images"):
        MPRT(similarity="hog")(table, rows, 1, GRADIENT)
    narrow = ox.Explainer(models.linear([[1, 2], [3, 4]]))
    with pytest.raises(DataInputError, match="SSIM is of at least 3 numbers"):
        RandomLogit()(narrow, models.random(3, 2), 1, GRADIENT)
    for model, target in ((models.single(), None), (models.maps(), (1, 2, 2))):
        shape = (2, 4) if target is None else (2, 2, 5, 5)
        with pytest.raises(TargetError, match="needs a target among the classes"):
            RandomLogit("cosine")(model, models.random(*shape), target, GRADIENT)
    plain = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Sigmoid(x) }")
    with pytest.raises(MethodError, match="no weights that could be drawn anew"):
        MPRT()(plain, models.random(2, 3), 1, GRADIENT)


@pytest.mark.parametrize("trained", [True, False])
def test_gradients_pass_and_guided_backpropagation_fails_on_the_digits(trained):
    """As Adebayo et al. and Sixt et al. say; signed ranks, since |x| alone makes those of |IG| alike."""
    explainer = ox.Explainer(digits_model_path())
    if not trained:
        explainer = ox.metrics.fully_random(explainer, Redrawing(draw="he", seed=77))
    images, labels = digits_samples()
    methods = {
        "gradient": GRADIENT, "ig": ox.IntegratedGradients(4), "guided": "guided_backprop",
        "deconvolution": "deconvolution", "cam": method("grad_cam", relu_attributions=False),
    }  # fmt: skip
    curves = {
        name: MPRT(absolute=False, seed=1)(explainer, images[:4], labels[:4].tolist(), method)
        .curves["layers"].values.mean(0)
        for name, method in methods.items()
    }  # fmt: skip
    for passes in ("gradient", "ig", "cam"):
        assert np.abs(curves[passes][2:]).mean() < 0.3, curves
    assert curves["guided"][1] > 0.6, curves
    assert curves["guided"][2] > 0.5, curves
    assert curves["guided"][1:].mean() > 2 * max(curves[k][1:].mean() for k in ("gradient", "ig"))
    assert curves["deconvolution"][1] > curves["gradient"][1] + 0.2, curves
