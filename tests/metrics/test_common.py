"""What every metric must do, by being registered."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measures import ALL, GENERAL, made, measure, needs

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, OptionError
from onnxplain.metrics import FAMILIES, METRICS, Measured, metric

every_metric = pytest.mark.parametrize("name", ALL)
every_general_metric = pytest.mark.parametrize("name", GENERAL)

#: A method that every metric can measure.
METHOD = "input_x_gradient"


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv(softmax=True))


@pytest.fixture(scope="module")
def images(models) -> np.ndarray:
    return models.random(4, 2, 8, 8, seed=11)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    made = np.zeros((4, 1, 8, 8), bool)
    made[:, :, 2:6, 3:7] = True
    return made


@every_metric
def test_a_value_for_each_sample_and_nothing_is_written_to(name, conv, images, masks) -> None:
    given = images.copy()
    given.flags.writeable = False
    found = made(name)(conv, given, [0, 1, 2, 3], METHOD, **needs(name, masks))
    assert isinstance(found, Measured)
    assert found.values.shape == (4,)
    assert found.values.dtype == np.float64
    assert found.notes or np.isfinite(found.values).all()
    low, high = METRICS[name].range
    assert (np.isnan(found.values) | ((found.values >= low - 1e-9) & (found.values <= high + 1e-9))).all()
    assert "InputXGradient" in repr(found)
    for curve in found.curves.values():
        assert curve.values.ndim == 2
        assert len(curve.values) == 4
        np.broadcast_to(curve.at, curve.values.shape)
    np.testing.assert_array_equal(given, images)


@every_metric
def test_a_sample_is_measured_by_itself(name, conv, images, masks) -> None:
    if not measure(name).apart:
        pytest.skip("measures a batch as a whole")
    together = made(name)(conv, images, [0, 1, 2, 3], METHOD, **needs(name, masks)).values
    small = made(name)(conv, images, [0, 1, 2, 3], METHOD, internal_batch_size=3, **needs(name, masks)).values
    np.testing.assert_allclose(small, together, rtol=2e-3, atol=1e-5)
    if not measure(name).drawn:
        alone = made(name)(conv, images[2:3], 2, METHOD, **needs(name, masks[2:3])).values
        np.testing.assert_allclose(alone[0], together[2], rtol=2e-3, atol=1e-5)


@every_metric
def test_ready_attributions_are_measured_as_the_method_is(name, conv, images, masks) -> None:
    if "method" in METRICS[name].needs:
        ready = conv(images, 1, METHOD)
        with pytest.raises(MethodError, match="give method="):
            made(name)(conv, images, 1, attributions=ready, **needs(name, masks))
        return
    ready = conv(images, 1, METHOD)
    by_method = made(name)(conv, images, 1, METHOD, **needs(name, masks))
    for given in (ready, ready.values, dict(ready.arrays)):
        found = made(name)(conv, images, 1, attributions=given, **needs(name, masks))
        np.testing.assert_array_equal(found.values, by_method.values)
    assert found.method == ""


@every_metric
def test_the_seed_decides_what_is_drawn(name, conv, images, masks) -> None:
    drawn = "seed" in {f.name for f in fields(METRICS[name])}
    assert drawn == measure(name).drawn
    first, second = (made(name)(conv, images, 1, METHOD, **needs(name, masks)).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    if drawn:
        other = made(name, seed=7)(conv, images, 1, METHOD, **needs(name, masks)).values
        assert not np.array_equal(first, other)


@every_metric
def test_what_is_missing_or_does_not_fit_is_told_first(name, conv, images, masks) -> None:
    given = needs(name, masks)
    with pytest.raises(MethodError, match="neither is given"):
        made(name)(conv, images, 1, **given)
    with pytest.raises(MethodError, match="both are given"):
        made(name)(conv, images, 1, METHOD, attributions=images, **given)
    with pytest.raises(OptionError, match="there is no method 'nothing'"):
        made(name)(conv, images, 1, "nothing", **given)
    with pytest.raises(OptionError):
        made(name, absolute="yes")
    if given:
        with pytest.raises(MethodError, match="give masks="):
            made(name)(conv, images, 1, METHOD)
        with pytest.raises(DataInputError, match="masks of 'x' have shape"):
            made(name)(conv, images, 1, METHOD, masks=masks[..., :5])
        with pytest.raises(DataInputError, match="masks of 'x' have shape"):
            made(name)(conv, images, 1, METHOD, masks=masks[:3])
    else:
        with pytest.raises(MethodError, match="no use for masks"):
            made(name)(conv, images, 1, METHOD, masks=masks)
    if "method" not in METRICS[name].needs:
        with pytest.raises(DataInputError, match="attributions of 'x' have shape"):
            made(name)(conv, images, 1, attributions=images[..., :5], **given)
        with pytest.raises(DataInputError, match="NaN"):
            made(name)(conv, images, 1, attributions=images * np.nan, **given)
    if not METRICS[name].removes:
        with pytest.raises(MethodError, match="no use for baselines"):
            made(name)(conv, images, 1, METHOD, baselines=0.0, **given)
        with pytest.raises(MethodError, match="no use for feature_mask"):
            made(name)(conv, images, 1, METHOD, feature_mask="segments", **given)


@every_general_metric
def test_rows_of_a_table_are_measured(name, models) -> None:
    model = ox.Explainer(models.mlp(softmax=True))
    width = model.inputs[0].shape[-1]
    x = models.random(4, width, seed=3)
    mask = np.zeros((4, width), bool)
    mask[:, 1:3] = True
    found = made(name)(model, x, 0, METHOD, **needs(name, mask))
    assert found.values.shape == (4,)
    assert found.notes or np.isfinite(found.values).all()


@every_general_metric
def test_tokens_are_measured_or_refused(name, models) -> None:
    model = ox.Explainer(models.tokens())
    ids = np.array([[1, 2, 3, 4, 5, 6], [3, 1, 4, 1, 5, 2]])
    given = needs(name, {"ids": ids > 2})
    inputs = {"ids": ids, "mask": np.ones((2, 6), np.int64)}
    if not measure(name).words:
        with pytest.raises(DataInputError, match="floats"):
            made(name)(model, inputs, 0, METHOD, **given)
        return
    found = made(name)(model, inputs, 0, METHOD, **given)
    assert found.values.shape == (2,)


def test_names_and_families() -> None:
    listed = [m for family in FAMILIES.values() for m in family]
    assert len(listed) == len(METRICS) == len({m.name for m in listed})
    for kind in listed:
        assert isinstance(metric(kind.name), kind)
        assert kind.__doc__
        for parameter in fields(kind):
            assert parameter.name in kind.__doc__, (kind.name, parameter.name)
    with pytest.raises(MethodError, match="did you mean 'pixel_flipping'"):
        metric("pixel_fliping")
    with pytest.raises(MethodError, match="is a class"):
        metric(METRICS["pixel_flipping"])


@every_metric
def test_a_metric_is_plain_data(name) -> None:
    one = made(name)
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(one) == hash(made(name))


def test_every_metric_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    missing = [name for name in METRICS if f"`{name}`" not in text]
    assert not missing


def test_an_interval_takes_two_samples(conv, images) -> None:
    found: Any = made("pixel_flipping")(conv, images[:1], 1, METHOD)
    with pytest.raises(DataInputError, match="an interval takes two or more"):
        found.interval()
    low, high = made("pixel_flipping")(conv, images, 1, METHOD).interval(0.9, seed=1)
    assert low < high
    with pytest.raises(MethodError, match="level"):
        found.interval(1.5)
