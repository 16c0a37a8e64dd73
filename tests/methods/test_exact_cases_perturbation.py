"""Perturbations whose answers are known, or written out naively beside."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import onnxplain as ox


def check(found, expected, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def multilayer(models) -> ox.Explainer:
    return ox.Explainer(
        models.make(
            """m (float[N, 3] x) => (float[N, 2] y) {
              a = Gemm<transB = 1>(x, w, b)
              h = Relu(a)
              y = Gemm<transB = 1>(h, v, c)
            }""",
            w=np.ones((4, 3), np.float32), b=[-10.0, 1, 1, 1], v=np.ones((2, 4), np.float32), c=[-1.0, 1],
        )
    )  # fmt: skip


X = np.array([[20.0, 50.0, 30.0]], np.float32)


def test_feature_ablation_of_the_multilayer_case(multilayer) -> None:
    check(multilayer(X, 0, "feature_ablation").values, [[80, 200, 120]])
    found = multilayer(X, 0, "feature_ablation", feature_mask=np.array([0, 0, 1]))
    check(found.values, [[280, 280, 120]])


def test_occlusion_of_the_multilayer_case(multilayer) -> None:
    """The second window is cut off at the end."""
    check(multilayer(X, 0, ox.Occlusion((2,), (2,))).values, [[280, 280, 120]])
    check(multilayer(X, 0, ox.Occlusion(2, 2)).values, [[280, 280, 120]])
    check(multilayer(X, 0, ox.Occlusion(2)).values, [[280, 300, 320]])
    check(multilayer(X, 0, ox.Occlusion(3, 7)).values, [[390, 390, 390]])


@pytest.mark.parametrize(
    ("window", "strides"), [((2, 3, 3), (1, 2, 3)), ((1, 4, 2), 1), ((2, 8, 1), (5, 9, 1)), (3, 2), (3, None)]
)
def test_overlapping_windows_are_averaged(window, strides, models) -> None:
    """Beside loops over every window; whatever fits into memory."""
    explainer, x = ox.Explainer(models.conv()), models.random(3, 2, 8, 8, seed=4)
    found = explainer(x, 1, ox.Occlusion(window, strides), baselines=0.25, internal_batch_size=7)
    shape = (2, window, window) if isinstance(window, int) else window
    steps = strides if isinstance(strides, tuple) else (strides or 1,) * 3
    places = [
        range(0, length - w + s, s) if w < length else (0,)
        for length, w, s in zip(x.shape[1:], shape, steps, strict=True)
    ]
    total, times = np.zeros(x.shape), np.zeros(x.shape)
    for start in itertools.product(*places):
        hidden = (slice(None), *(slice(a, a + w) for a, w in zip(start, shape, strict=True)))
        without = x.copy()
        without[hidden] = 0.25
        lost = found.score - explainer(without, 1, ox.Saliency()).score
        total[hidden] += lost.reshape(3, 1, 1, 1)
        times[hidden] += 1
    np.testing.assert_allclose(found.values, total / times, atol=1e-5 * np.abs(total).max())


def test_occlusion_of_several_inputs(models) -> None:
    explainer = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    found = explainer(x, 1, ox.Occlusion(((1, 2), (3,)), ((1, 2), (1,))), internal_batch_size=5)
    assert np.ptp(found.values["table"], axis=1).max() == 0
    for k, c in itertools.product((0, 1), (0, 2)):
        without = x["image"].copy()
        without[:, k, c : c + 2] = 0
        lost = found.score - explainer({**x, "image": without}, 1, "saliency").score
        for column in (c, c + 1):
            check(found.values["image"][:, k, column], lost)


@pytest.mark.parametrize(
    ("window", "strides", "words"),
    [
        ((2, 9, 3), 1, r"window of 'x' is 9 long along axis 1.*has 8: it is larger than the input"),
        (
            (3, 2),
            1,
            r"sliding_window_shapes of 'x' is \(3, 2\), and a sample .* shape \(2, 8, 8\)",
        ),
        ((2, 2, 2), (1, 1), r"strides of 'x' is \(1, 1\)"),
        ((2, 2, 2), (1, 3, 1), r"2 long along axis 1.*moves by 3 and misses elements"),
        (9, None, r"larger than the input"),
        (((2, 2, 2), (2, 2, 2)), None, r"windows for 2 inputs, and 1 are explained \('x'"),
    ],
)
def test_windows_that_do_not_fit(window, strides, words, models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(ox.errors.DataInputError, match=words):
        explainer(x, 1, ox.Occlusion(window, strides))
