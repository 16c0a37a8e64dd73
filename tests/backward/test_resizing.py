"""The gradient of Resize against onnxruntime itself: it is linear, so unit inputs show its matrix."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.graph.resampling import resampling, undecided

ort = pytest.importorskip("onnxruntime")

MODES = [f'mode = "{m}"' for m in ("linear", "cubic")] + [
    f'mode = "nearest", nearest_mode = "{r}"'
    for r in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
]
PLACES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
#: Some keep a length though they are not 1, some give a whole multiple though they are not whole.
SCALES = ((2.0, 2.0), (1.5, 0.5), (1.3, 2.25), (0.5, 1.0), (2.25, 1.0))


def _model(models, mode: str, places: str, scales, *, batch: str = "1, 1", height=3, width=4):
    attributes = f'{mode}, coordinate_transformation_mode = "{places}"'
    return models.make(
        f"m (float[{batch}, {height}, {width}] x) => (float[{batch}, h, w] y) "
        f'{{ y = Resize<{attributes}>(x, "", s) }}',
        s=[1.0, 1.0, *scales],
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("places", PLACES)
def test_the_gradient_is_what_onnxruntime_resizes_by(models, mode: str, places: str) -> None:
    for scales in SCALES:
        units = np.eye(12, dtype=np.float32).reshape(12, 1, 3, 4)
        many = _model(models, mode, places, scales, batch="12, 1")
        session = ort.InferenceSession(many.SerializeToString(), providers=["CPUExecutionProvider"])
        matrix = session.run(None, {"x": units})[0]
        target = tuple(n - 1 for n in matrix.shape[1:])
        model = _model(models, mode, places, scales)
        found = ox.explain(model, models.random(1, 1, 3, 4), target, method="saliency", abs=False)
        expected = matrix[(slice(None), *target)].reshape(3, 4)
        np.testing.assert_allclose(found.values[0, 0], expected, atol=1e-5, err_msg=str(scales))


@pytest.mark.parametrize("batch", ["1, 1", "N, 1"])
def test_a_copy_is_a_copy_whatever_the_scale(models, batch: str) -> None:
    """Where no length changes, onnxruntime copies."""
    model = _model(models, MODES[0], "asymmetric", (1.2, 1.2), batch=batch)
    x = models.random(1, 1, 3, 4)
    np.testing.assert_array_equal(ox.Explainer(model).predict(x)["y"], x)
    found = ox.explain(model, x, (0, 2, 3), method="saliency", abs=False).values
    assert found[0, 0, 2, 3] == 1
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize("batch", ["1", "N"])
@pytest.mark.parametrize(("length", "scale"), [(5, 0.6), (17, 1.3), (12, 0.7)])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_where_rounding_errors_decide_the_gradient_decides_alike(
    models, rounding: str, length: int, scale: float, batch: str
) -> None:
    """1.5 / 0.6 - 0.5 is 2, or the float below."""
    model = models.make(
        f"""m (float[{batch}, 1, {length}] x) => (float[{batch}, 1, w] y)
        {{ y = Resize<nearest_mode = "{rounding}">(x, "", s) }}""",
        s=[1.0, 1.0, scale],
    )
    x = np.arange(length, dtype=np.float32).reshape(1, 1, length)
    explainer = ox.Explainer(model)
    for k, chosen in enumerate(explainer.predict(x)["y"].ravel()):
        found = explainer(x, (0, k), "saliency", abs=False).values.ravel()
        np.testing.assert_array_equal(found, np.arange(length) == chosen, err_msg=str(k))


def test_places_between_two_elements_are_undecided() -> None:
    floor = {"nearest_mode": "floor"}
    assert undecided(5, 3, 0.6, floor)
    assert not undecided(4, 2, 0.5, floor)
    assert not undecided(5, 3, 0.6, {"mode": "linear"})
    assert not undecided(6, 3, 0.5, {"coordinate_transformation_mode": "asymmetric"})


@pytest.mark.parametrize("places", PLACES)
def test_each_place_is_a_mean(places: str) -> None:
    for mode, (before, after) in itertools.product(("nearest", "linear", "cubic"), ((3, 7), (5, 2), (1, 4))):
        attributes = {"mode": mode, "coordinate_transformation_mode": places}
        made = resampling(before, after, after / before, attributes)
        assert made is not None
        assert made.shape == (after, before)
        np.testing.assert_allclose(made.sum(1), 1)


def test_what_has_no_matrix_is_left_to_the_runtime() -> None:
    assert resampling(4, 2, 0.5, {"mode": "linear", "antialias": 1}) is None
    assert resampling(4, 2, 0.5, {"coordinate_transformation_mode": "tf_crop_and_resize"}) is None
