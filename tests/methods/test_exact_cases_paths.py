"""Paths and noise on functions whose explanations are known."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime.plans import adaptive

NET = "m (float[N, {n}] x) => (float[N, 1] y) {{ {body} }}"


def check(found, expected, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def square(models) -> ox.Explainer:
    """(2 x1 + x2)^2."""
    return ox.Explainer(models.make(NET.format(n=2, body="a = MatMul(x, w) y = Mul(a, a)"), w=[[2.0], [1.0]]))


@pytest.fixture
def bend(models) -> ox.Explainer:
    """relu(relu(x1) - 1 - relu(x2))."""
    body = "r = Relu(x) d = MatMul(r, w) e = Sub(d, one) y = Relu(e)"
    return ox.Explainer(models.make(NET.format(n=2, body=body), w=[[1.0], [-1.0]], one=1.0))


THREES = np.full((1, 2), 3, np.float32)


@pytest.mark.parametrize(("max_dist", "expected"), [(0.0, [54, 27]), (1.0, [72, 9])])
def test_guided_paths(max_dist, expected, square) -> None:
    found = square(THREES, method=ox.GuidedIG(n_steps=2000, fraction=0.1, max_dist=max_dist))
    check(found.values, [expected], 2e-3)
    check(found.reference, [81.0])
    assert found.relative_delta.max() < 2e-3


def test_guided_paths_on_the_line_are_left_sums(models) -> None:
    x, b = models.random(3, 5, seed=2), models.random(1, 5, seed=3)
    explainer = ox.Explainer(models.mlp())
    left = explainer(x, [0, 1, 2], ox.IntegratedGradients(30, "riemann_left"), baselines=b)
    check(explainer(x, [0, 1, 2], ox.GuidedIG(30, max_dist=0.0), baselines=b).values, left.values, 1e-4)
    assert not explainer(x, 0, "guided_ig", n_steps=3, baselines=x).values.any(), "no way to go"


def test_idgi_goes_where_the_gradient_points(square, bend) -> None:
    """Of (2 x1 + x2)^2 the gradient is along (2, 1): shares of 4/5 and 1/5, whatever the steps."""
    for n in (1, 3, 40):
        check(square(THREES, method="idgi", n_steps=n).values, [[64.8, 16.2]])
    found = bend(np.array([[3.0, 1.0]], np.float32), method="idgi", n_steps=7)
    check(found.values, [[0.5, 0.5]])
    assert found.relative_delta.max() < 1e-6


def test_the_sum_of_idgi_is_exact_on_a_network(models) -> None:
    x = models.random(3, 2, 8, 8, seed=5)
    found = ox.explain(models.conv(), x, [0, 1, 2], method=ox.IDGI(5), baselines="mean")
    assert found.relative_delta.max() < 1e-5


def test_blur_integral_of_a_linear_model(models) -> None:
    """Gradients are constant; where scales are as far apart as the quotient's step, the sum telescopes."""
    from scipy.ndimage import gaussian_filter

    w = models.random(3, 12, 10, seed=1)
    body = "f = Mul(x, w) y = ReduceSum<keepdims = 0>(f, axes)"
    text = f"m (float[N, 3, 12, 10] x) => (float[N] y) {{ {body} }}"
    x = models.random(2, 3, 12, 10)
    blurred = np.stack([[gaussian_filter(c, 5.0, mode="constant") for c in row] for row in x.astype(float)])
    method = ox.BlurIG(max_sigma=5.0, n_steps=500, grad_step=0.01)
    model = models.make(text, w=w, axes=np.array([1, 2, 3]))
    found = ox.explain(model, x, method=method)
    np.testing.assert_allclose(found.values, w * (x - blurred), atol=1e-4)
    np.testing.assert_allclose(found.reference, (w * (x - blurred)).sum((1, 2, 3)), rtol=1e-4)
    assert np.abs(found.delta).max() < 1e-3


@pytest.mark.parametrize("method", [ox.ExpectedGradients(4000), ox.GradientShap(4000, seed=2)])
def test_expected_gradients_are_the_mean_over_the_background(method, models) -> None:
    x, rows = models.random(2, 5, seed=2), models.random(4, 5, seed=3)
    explainer = ox.Explainer(models.tanh())
    found = explainer(x, 1, method, baselines=rows)
    exact = explainer(x, 1, "ig", baselines=ox.Background(rows)).values
    errors = found.extras["standard_error"]["x"]
    assert (np.abs(found.values - exact) < 4.5 * errors + 1e-6).all()
    assert errors.max() < 0.05 * np.abs(exact).max()
    check(explainer(x, 1, method, baselines=ox.Background(rows)).values, found.values)


def test_the_error_of_gradient_shap_is_its_spread_over_seeds(models) -> None:
    x, rows = models.random(1, 5, seed=2), models.random(4, 5, seed=3)
    explainer = ox.Explainer(models.tanh())
    rounds = [explainer(x, 1, ox.GradientShap(12, 0.3, seed=seed), baselines=rows) for seed in range(150)]
    spread = np.std([r.values for r in rounds], axis=0, ddof=1)
    told = np.sqrt(np.mean([r.extras["standard_error"]["x"] ** 2 for r in rounds], axis=0))
    np.testing.assert_allclose(told, spread, rtol=0.3)


def test_local_gradient_shap_leaves_the_way_out(models) -> None:
    found = ox.explain(
        models.linear([[1.0, -2.0]]),
        np.array([[3.0, 5.0]], np.float32),
        method=ox.GradientShap(multiply_by_inputs=False),
    )
    check(found.values, [[1, -2]])


def test_points_go_where_the_score_bends(bend, models) -> None:
    x = np.array([[3.0, 1.0], [3.0, 0.0], [0.5, 0.0]], np.float32)
    found = bend(x, method=ox.IntegratedGradients(200, tol=1e-3))
    check(found.values[0], [1.5, -0.5], 5e-3)
    assert found.relative_delta[:2].max() < 1e-3
    assert found.extras["converged"].all()
    assert found.extras["gradients"].tolist()[2] == 9, "nothing happens there"
    assert found.extras["gradients"].max() < 30
    assert any("tol=0.001 was reached by 3 of 3 samples, with 9 to" in note for note in found.notes)
    short = bend(x, method=ox.IntegratedGradients(10, tol=1e-6))
    assert short.extras["gradients"].max() == 10
    assert short.extras["converged"].tolist() == [False, False, True]
    assert any("was not reached by 2 of 3 samples with n_steps=10" in note for note in short.notes)


@pytest.mark.parametrize("size", [None, 1, 5])
def test_each_sample_has_points_of_its_own(size, models, tmp_path) -> None:
    x = models.random(5, 2, 8, 8, seed=5)
    explainer, method = ox.Explainer(models.conv()), ox.IntegratedGradients(400, tol=2e-3)
    found = explainer(x, "predicted", method, baselines=0.3, internal_batch_size=size)
    assert len(explainer._programs) == 1
    assert found.extras["converged"].all()
    assert found.relative_delta.max() < 2.1e-3
    assert len(set(found.extras["gradients"].tolist())) > 1
    alone = explainer(x[3:4], "predicted", method, baselines=0.3)
    check(alone.values[0], found.values[3], 1e-5)
    fine = explainer(x, "predicted", ox.IntegratedGradients(2000), baselines=0.3)
    assert np.abs(found.values - fine.values).max() < 0.03 * np.abs(fine.values).max()
    found.save(tmp_path / "found.json")
    again = ox.Attribution.load(tmp_path / "found.json")
    np.testing.assert_array_equal(again.extras["gradients"], found.extras["gradients"])


def test_few_gradients_are_held(monkeypatch, models) -> None:
    """What is added up early has its final weight."""
    x, method = models.random(3, 2, 8, 8, seed=5), ox.IntegratedGradients(300, tol=1e-5)
    explainer = ox.Explainer(models.conv())
    free = explainer(x, 1, method)
    held: list[int] = []
    release = adaptive._Paths._release

    def watched(self):
        release(self)
        held.append(len(self.held))

    monkeypatch.setattr(adaptive, "_HELD", 12)
    monkeypatch.setattr(adaptive._Paths, "_release", watched)
    bound = explainer(x, 1, method)
    assert max(held) < 3 * 40
    fine = explainer(x, 1, ox.IntegratedGradients(3000))
    for found in (free, bound):
        assert found.relative_delta.max() < 2e-2
        assert np.abs(found.values - fine.values).max() < 0.03 * np.abs(fine.values).max()


def test_no_more_segments_are_halved_than_should_suffice() -> None:
    errors = np.array(
        [[0.4, -0.4, 0.1, 0.0], [0.4, 0.4, 0.4, 0.4], [4.0, 0.1, 0.1, 0.1], [0.4, 0.3, 0.0, 0.0]]
    )
    sizes = np.abs(errors)
    sizes[2, 0] = 0  # too narrow
    order = np.argsort(-sizes, axis=1, kind="stable")
    # in the first row 0.4 and -0.4 cancel, which does not count; the third can do no better than halve all
    found = adaptive._enough(errors, sizes, order, np.array([0.2, 0.8, 0.5, 0.45]))
    assert found.tolist() == [2, 3, 4, 1]


def test_tol_stands_alone() -> None:
    with pytest.raises(ox.errors.MethodError, match=r"tol places points itself.*riemann_left.*give one"):
        ox.IntegratedGradients(method="riemann_left", tol=0.1)
    with pytest.raises(ox.errors.MethodError, match=r"n_steps is 1.*give at least 2"):
        ox.IntegratedGradients(1, tol=0.1)


def test_tol_inside_other_averages(models) -> None:
    x, rows = models.random(2, 5, seed=2), models.random(3, 5, seed=3)
    explainer, method = ox.Explainer(models.mlp()), ox.IntegratedGradients(300, tol=1e-3)
    found = explainer(x, 1, method, baselines=ox.Background(rows))
    exact = explainer(x, 1, ox.IntegratedGradients(2000), baselines=ox.Background(rows))
    check(found.values, exact.values, 0.02)
    assert any("tol=0.001" in note for note in found.notes)
    smooth = explainer(x, 1, ox.SmoothGrad(method, n_samples=3))
    plain = explainer(x, 1, ox.SmoothGrad(ox.IntegratedGradients(2000), n_samples=3))
    check(smooth.values, plain.values, 0.02)


def test_smooth_integrated_gradients(models) -> None:
    """The mean of the inner method at noisy copies."""
    x, explainer = models.random(2, 5, seed=2), ox.Explainer(models.mlp())
    found = explainer(x, 1, ox.SmoothGrad("ig", n_samples=6, stdevs=0.2), baselines=0.5)
    noisy = [
        explainer(x, 1, ox.SmoothGrad("ig", n_samples=6, stdevs=0.2), baselines=0.5, internal_batch_size=k)
        for k in (1, 4)
    ]
    for other in noisy:
        check(other.values, found.values)
    check(explainer(x, 1, ox.SmoothGrad("ig", n_samples=2, stdevs=0.0)).values, explainer(x, 1, "ig").values)


def test_smoothing_hands_players_and_backgrounds_on(models) -> None:
    x, rows, mask = models.random(2, 5, seed=2), models.random(3, 5, seed=3), np.array([0, 0, 1, 1, -1])
    explainer = ox.Explainer(models.mlp())
    still = ox.SmoothGrad("feature_ablation", n_samples=2, stdevs=0.0)
    check(
        explainer(x, 1, still, feature_mask=mask, baselines=0.5).values,
        explainer(x, 1, "feature_ablation", feature_mask=mask, baselines=0.5).values,
    )
    shap = ox.SmoothGrad("deep_lift_shap", n_samples=2, stdevs=0.0)
    check(
        explainer(x, 1, shap, baselines=rows).values, explainer(x, 1, "deep_lift_shap", baselines=rows).values
    )
    with pytest.raises(ox.errors.DataInputError, match=r"smooth_grad.*no use for a feature_mask"):
        explainer(x, 1, ox.SmoothGrad(), feature_mask=mask)


def test_sums_over_players_are_averaged_with_the_answers(models) -> None:
    """Elements that each bear their group's number, against a background: the sum is that over groups."""
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Whole(ox.Method):
        name: ClassVar[str] = "whole"
        takes_baselines: ClassVar[bool] = True
        takes_players: ClassVar[bool] = True

        def needs(self) -> ox.Scores:
            return ox.Scores()

        def attribute(self, problem: ox.Problem) -> ox.Found:
            gone = problem.scores() - problem.scores(problem.baselines)
            shares = np.repeat(gone[:, None] / problem.players.count, problem.players.count, 1)
            values = problem.players.spread(shares.astype(np.float32))
            return ox.Found(values, gone, errors=values, total=shares.sum(1), notes=("whole",))

    x, rows = models.random(2, 5, seed=2), models.random(3, 5, seed=3)
    found = ox.explain(
        models.mlp(), x, 1, Whole(), baselines=ox.Background(rows), feature_mask=np.array([0, 0, 1, 1, 1])
    )
    assert found.relative_delta.max() < 1e-5
    assert found.notes.count("whole") == 1
    check(found.extras["standard_error"]["x"], found.values)


@pytest.fixture
def quarters(models) -> tuple[ox.Explainer, np.ndarray]:
    """The sum of an image of 8 x 8, weighted; and its four quarters."""
    w = np.zeros((2, 8, 8), np.float32)
    w[0, :4, :4], w[0, :4, 4:], w[1, 4:, :4] = 1, 3, -2
    body = "f = Mul(x, w) y = ReduceSum<keepdims = 0>(f, axes)"
    text = f"m (float[N, 2, 8, 8] x) => (float[N] y) {{ {body} }}"
    mask = np.arange(4).reshape(2, 2).repeat(4, 0).repeat(4, 1)
    return ox.Explainer(models.make(text, w=w, axes=np.array([1, 2, 3]))), mask


@pytest.mark.parametrize("algorithm", ["full", "fast"])
def test_regions_get_the_mean_of_their_attribution(algorithm, quarters) -> None:
    """The maximum over channels is gathered: 1, 3, 0 and 0 in the four quarters, of an image of ones."""
    explainer, mask = quarters
    x = np.ones((2, 2, 8, 8), np.float32)
    method = ox.XRAI("input_x_gradient", algorithm=algorithm, min_pixel_diff=1)
    found = explainer(x, method=method, feature_mask=mask)
    expected = np.array([1.0, 3.0, 0.0, 0.0])[mask]
    check(found.values, np.broadcast_to(expected, x.shape))
    assert found.extras["ranks"]["x"][0][0, [0, 7]].tolist() == [2, 1]
    half = ox.XRAI("input_x_gradient", area_threshold=0.2, min_pixel_diff=1)
    left = explainer(x, method=half, feature_mask=mask).values[0, 0]
    check(left[0, 7], 3.0)
    check(left[mask != 1], np.full(48, 1 / 3))  # what is not covered gets one value


def test_black_and_white_are_the_ends_of_each_image(models) -> None:
    x = models.random(3, 2, 8, 8, seed=2)
    explainer = ox.Explainer(models.conv())
    quick = {"scales": (10.0,), "min_size": 4, "segment_size": None, "dilation": 1, "min_pixel_diff": 1}
    found = explainer(x, 1, "xrai", n_steps=30, **quick)
    ends = [f(x, (1, 2, 3), keepdims=True) + 0 * x for f in (np.min, np.max)]
    both = np.mean([explainer(x, 1, "ig", n_steps=30, baselines=b).values for b in ends], 0)
    each = [
        np.array([both[k].max(0)[found.extras["ranks"]["x"][k] == r].mean() for r in (1, 2)])
        for k in range(3)
    ]
    for k in range(3):
        ranks = found.extras["ranks"]["x"][k]
        check([found.values[k, 0][ranks == r][0] for r in (1, 2)], each[k], 1e-4)
        np.testing.assert_array_equal(found.values[k, 0], found.values[k, 1])


def test_xrai_hands_backgrounds_on(models) -> None:
    x, rows = models.random(2, 2, 8, 8, seed=2), models.random(3, 2, 8, 8, seed=3)
    explainer, mask = ox.Explainer(models.conv()), np.arange(4).reshape(2, 2).repeat(4, 0).repeat(4, 1)
    method = ox.XRAI("integrated_gradients", min_pixel_diff=1)
    found = explainer(x, 1, method, feature_mask=mask, baselines=ox.Background(rows))
    maps = explainer(x, 1, "ig", baselines=ox.Background(rows)).values.max(1)
    check(found.values[:, 0, 0, 0], maps[:, :4, :4].mean((1, 2)), 1e-4)
    with pytest.raises(ox.errors.DataInputError, match=r"'xrai' has no baselines"):
        explainer(x, 1, "xrai", baselines=0.0)
    with pytest.raises(ox.errors.DataInputError, match=r"has other numbers in other channels"):
        explainer(x, 1, method, feature_mask=np.arange(128).reshape(2, 8, 8))
    with pytest.raises(ox.errors.MethodError, match=r"scales is \(\); give at least one"):
        ox.XRAI(scales=())


def test_the_inner_methods_usual_baseline_is_taken(models) -> None:
    assert ox.SmoothGrad("meaningful_perturbation").default_baseline() == "blur"
    assert ox.XRAI("meaningful_perturbation").default_baseline() == "blur"
    assert ox.SmoothGrad().default_baseline() is None
    x, quick = models.random(2, 2, 8, 8, seed=3), ox.method("meaningful_perturbation", n_steps=3, mask_size=4)
    still = ox.SmoothGrad(quick, n_samples=1, stdevs=0.0)
    plain, smooth = (ox.explain(models.conv(), x, 1, m).values for m in (quick, still))
    check(smooth, plain)


def test_regions_are_of_inputs() -> None:
    with pytest.raises(ox.errors.MethodError, match=r"'layer_activation' at a layer.*give one of the input"):
        ox.XRAI(ox.method("layer_activation", layer="r1"))
