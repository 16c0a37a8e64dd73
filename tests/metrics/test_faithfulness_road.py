"""Remove and debias: beside plain loops, at its ends, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.neighbours import filled
from onnxplain.metrics import ROAD

SHARES = (5.0, 30.0, 70.0, 95.0)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv(softmax=True))


def replica(explainer: ox.Explainer, x: np.ndarray, a: np.ndarray, target: int, sign: int) -> Any:
    """The paper's procedure, without noise: for each share whether the target is predicted, and the score."""
    right, scores = [], []
    order = np.argsort(-sign * a.sum(0).ravel(), kind="stable")
    for share in SHARES:
        gone = np.zeros(x[0].size, bool)
        gone[order[: int(x[0].size * share / 100)]] = True
        point = filled(np.moveaxis(x, 0, -1), gone.reshape(x[0].shape))
        y = explainer.predict(np.moveaxis(point, -1, 0)[None].astype(np.float32))["y"][0]
        right.append(float(np.argmax(y) == target))
        scores.append(y[target])
    return right, scores


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_as_in_plain_loops(order, conv, models) -> None:
    x, a = models.random(6, 2, 8, 8, seed=1), models.random(6, 2, 8, 8, seed=2)
    target = conv.predict(x)["y"].argmax(1)
    target[0] = (target[0] + 1) % 4
    given: dict[str, Any] = {"attributions": a, "through_softmax": True}
    found = ROAD(SHARES, order, noise=0.0)(conv, x, target.tolist(), **given)
    scores = ROAD(SHARES, order, "score", noise=0.0)(conv, x, target.tolist(), **given)
    for n in range(6):
        right, expected = replica(conv, x[n], a[n], int(target[n]), 1 if order == "morf" else -1)
        assert found.curves["road"].values[n].tolist() == right
        assert found.values[n] == np.mean(right)
        np.testing.assert_allclose(scores.curves["road"].values[n], expected, rtol=1e-4)
    assert 0 < found.mean < 1, "the test sees both answers"
    np.testing.assert_allclose(found.curves["road"].at, np.array(SHARES) / 100)
    predicted = ROAD(SHARES, order, noise=0.0)(conv, x, "predicted", attributions=a)
    np.testing.assert_array_equal(predicted.values[1:], found.values[1:])
    for size in (1, 4):
        blocks = ROAD(SHARES, order)(conv, x, target.tolist(), internal_batch_size=size, **given).values
        np.testing.assert_array_equal(blocks, ROAD(SHARES, order)(conv, x, target.tolist(), **given).values)


def test_the_noise(models) -> None:
    """It lies on filled pixels alone, the same for all samples and blocks, in its units."""
    explainer = ox.Explainer(models.make("m (float[N, 2, 4, 4] x) => (float[N, 32] y) { y = Flatten(x) }"))
    x = np.ones((3, 2, 4, 4), np.float32)
    a = np.broadcast_to(np.arange(16.0).reshape(4, 4), x.shape)
    drawn = []
    for k in range(32):
        found = ROAD((50.0,), quantity="score", noise=0.5)(explainer, x, k, attributions=a)
        assert np.ptp(found.values) == 0
        drawn.append(found.values[0] - 1)
    noise = np.reshape(drawn, (2, 16))
    assert (noise[:, :8] == 0).all(), "the eight lowest stay"
    assert len(np.unique(noise[:, 8:])) == 16
    assert 0.2 < noise[:, 8:].std() < 1
    other = ROAD((50.0,), quantity="score", noise=0.5, seed=1)(explainer, x, 15, attributions=a)
    assert other.values[0] != drawn[15] + 1


def test_a_good_order_loses_the_class_sooner(models) -> None:
    """Two fields, of which one decides: what is known of it is not found around it."""
    w = np.zeros((2, 1, 8, 8))
    w[0, 0, 2:5, 2:5], w[1] = 1, 0.2
    explainer = ox.Explainer(models.make(
        "m (float[N, 1, 8, 8] x) => (float[N, 2] y) { f = Flatten(x) y = MatMul(f, w) }",
        w=w.reshape(2, 64).T.astype(np.float32),
    ))  # fmt: skip
    x = np.full((2, 1, 8, 8), 0.1, np.float32)
    x[:, :, 2:5, 2:5] = 1
    good = np.broadcast_to(w[:1], x.shape) + 0.0
    values = {}
    for order in ("morf", "lerf"):
        for sign in (1, -1):
            metric = ROAD((10.0, 15.0, 30.0), order, noise=0.0)
            values[order, sign] = metric(explainer, x, 0, attributions=sign * good).mean
    assert values["morf", 1] < values["morf", -1] == 1
    assert values["lerf", -1] < values["lerf", 1] == 1


def test_channels_may_come_last(conv, models) -> None:
    x, a = models.random(3, 2, 8, 8, seed=1), models.random(3, 2, 8, 8, seed=2)
    first = ROAD(SHARES, quantity="score", noise=0.0)(conv, x, 1, attributions=a, through_softmax=False)
    last = ox.Explainer(models.channels_last())
    turned = ROAD(SHARES, quantity="score", noise=0.0)(
        last, x.transpose(0, 2, 3, 1), 1, attributions=a.transpose(0, 2, 3, 1)
    )
    np.testing.assert_allclose(turned.values, first.values, rtol=1e-4, atol=1e-5)


def test_what_is_refused(conv, models) -> None:
    x = models.random(2, 2, 8, 8)
    with pytest.raises(DataInputError, match=r"'x' has samples of shape \(5,\) and dtype float32, which are"):
        ROAD()(models.mlp(), models.random(2, 5), 1, "saliency")
    ids = np.array([[1, 2, 3]])
    with pytest.raises(DataInputError, match=r"'ids' has samples of .* int64"):
        ROAD()(models.tokens(), {"ids": ids, "mask": np.ones_like(ids)}, 1, "saliency")
    maps = models.maps()
    with pytest.raises(DataInputError, match=r"output has shape \(3, 5, 5\)\); give quantity='score'"):
        ROAD()(maps, models.random(2, 2, 5, 5), (1, 2, 2), "saliency")
    found = ROAD((20.0,), quantity="score")(maps, models.random(2, 2, 5, 5), (1, 2, 2), "saliency")
    assert np.isfinite(found.values).all()
    with pytest.raises(DataInputError, match="is no class among several"):
        ROAD()(conv, x, ox.Weights(np.ones((2, 4))), "saliency")
    for wrong in ((), (0.0,), (50.0, 100.0)):
        with pytest.raises(MethodError, match="percentages"):
            ROAD(percentages=wrong)
    with pytest.raises(MethodError, match="no use for baselines"):
        ROAD()(conv, x, 1, "saliency", baselines=0.0)
