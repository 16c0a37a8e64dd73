"""What every method must do, by being registered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from kinds import FACTS, GENERAL, ON_IMAGES, PARTICULAR, errors, facts, made

import onnxplain as ox

#: On convolutional networks.
every_method = pytest.mark.parametrize("name", ON_IMAGES)
#: On networks of any kind.
every_general_method = pytest.mark.parametrize("name", GENERAL)


def close(a: Any, b: Any, rtol: float = 1e-4) -> None:
    """Compare within a tolerance relative to the largest magnitude."""
    scale = max(float(np.abs(np.asarray(b)).max()), 1e-6)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv(softmax=True))


@pytest.fixture(scope="module")
def images(models) -> np.ndarray:
    return models.random(4, 2, 8, 8, seed=11)


@every_method
def test_a_batch_is_its_samples_one_by_one(name, conv, images) -> None:
    together = conv(images, target=[0, 1, 2, 3], method=made(name))
    assert together.values.shape == images.shape
    assert together.values.dtype == images.dtype
    for k in range(4):
        alone = conv(images[k : k + 1], target=k, method=made(name))
        close(together.values[k], alone.values[0])
        close(together.score[k], alone.score[0])


@every_method
def test_inputs_are_left_alone(name, conv, images) -> None:
    given = images.copy()
    given.flags.writeable = False
    conv(given, target=1, method=made(name))
    np.testing.assert_array_equal(given, images)


@every_method
def test_same_call_same_bits(name, models, images) -> None:
    first, second = (ox.explain(models.conv(), images, 1, method=made(name)) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.score, second.score)


@every_method
@pytest.mark.parametrize("size", [3, 7])
def test_internal_batch_size_changes_nothing(name, size, conv, images) -> None:
    free = conv(images, target=2, method=made(name))
    bound = conv(images, target=2, method=made(name), internal_batch_size=size)
    close(bound.values, free.values, 1e-5)


@every_general_method
def test_features_that_are_not_used_get_nothing(name, models) -> None:
    model = models.make(
        """m (float[N, 4] x, float[N, 2] idle) => (float[N, 2] y) {
          cut = Slice(x, from, to, axis)
          a = MatMul(cut, w)
          h = Relu(a)
          y = MatMul(h, v)
        }""",
        **{"from": np.array([1]), "to": np.array([3]), "axis": np.array([1])},
        w=models.random(2, 6), v=models.random(6, 2, seed=1),
    )  # fmt: skip
    x = models.random(3, 4, seed=2)
    found = ox.explain(model, {"x": x, "idle": models.random(3, 2)}, 0, method=made(name))
    assert found.arrays["x"][:, [1, 2]].any()
    assert found.arrays["idle"].shape == (3, 2)
    parts = (found.arrays, errors(found, 0.3))
    idle, error = (np.concatenate([a["x"][:, [0, 3]], a["idle"]], 1) for a in parts)
    assert (np.abs(idle) <= error).all()


@pytest.mark.parametrize("name", PARTICULAR)
def test_methods_for_one_kind_of_network_say_so(name, models) -> None:
    with pytest.raises(ox.errors.OnnxplainError, match=rf"{PARTICULAR[name]}.*integrated_gradients"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method=made(name))


@every_general_method
def test_exact_on_a_linear_model(name, models) -> None:
    w, x = models.random(3, 6), models.random(2, 6, seed=1)
    found = ox.explain(models.linear(w), x, 1, method=made(name))
    known = facts(name).linear
    if not (facts(name).amounts or known):  # the most important is known
        assert (found.values.argmax(1) == np.abs(w[1] * x).argmax(1)).all()
        return
    allowed = [f(w[1], x) for f in ([known] if known else [f.linear for f in FACTS.values() if f.linear])]
    bound = 1e-5 * np.abs(found.values).max() + errors(found)["x"]
    assert any((np.abs(found.values - a) < bound).all() for a in allowed)


@every_method
def test_the_sum_that_is_promised_is_kept(name, models, images) -> None:
    found = ox.explain(models.conv(bias=False), images, 1, method=made(name))
    if facts(name).sums:
        assert found.delta is not None
    if found.delta is None:
        assert found.reference is None
        return
    total = found.values.reshape(4, -1).astype(np.float64).sum(1)
    close(total - found.reference, found.delta, 1e-9)
    assert found.delta.shape == found.reference.shape == (4,)
    assert found.relative_delta.max() < facts(name).off


@every_general_method
def test_several_inputs_give_a_dict(name, models) -> None:
    explainer = ox.Explainer(models.two_inputs())
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    found = explainer(inputs, target=1, method=made(name))
    assert list(found.values) == ["image", "table"]
    assert {k: v.shape for k, v in found.values.items()} == {k: v.shape for k, v in inputs.items()}
    alone = explainer(inputs, target=1, method=made(name), wrt="table")
    assert list(alone.arrays) == ["table"]
    if not facts(name).together:
        close(alone.values, found.values["table"])


#: Parameters by which nothing depends on the order of axes.
_UNMOVED = {
    "smooth_grad": {"method": ox.Saliency(abs=False), "stdevs": 0.0},
    "partition_shap": {"hierarchy": tuple(range(128))},
}


@every_method
def test_channels_last(name, models, images) -> None:
    """Moving the input's axes moves the explanation's."""
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    options = _UNMOVED.get(name, {})
    method, masks = made(name, **options), [None, None]
    if method.takes_players and facts(name).drawn:  # by number: they must have the same ones
        places = np.arange(128).reshape(1, 2, 8, 8)
        masks = [places.transpose(0, 2, 3, 1), places]
    found = ox.explain(models.channels_last(), last, 1, method=method, feature_mask=masks[0]).values
    plain = ox.explain(models.conv(), images, 1, method=method, feature_mask=masks[1]).values
    close(found.transpose(0, 3, 1, 2), plain)


@every_general_method
def test_a_batch_axis_that_is_not_the_first(name, models) -> None:
    inputs = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=1)}
    explainer = ox.Explainer(models.batch_last())
    found = explainer(inputs, target=1, method=made(name))
    assert found.arrays["aside"].shape == (5, 3)
    for k in range(3):
        one = {"x": inputs["x"][k : k + 1], "aside": inputs["aside"][:, k : k + 1]}
        alone = explainer(one, target=1, method=made(name))
        close(found.arrays["x"][k], alone.arrays["x"][0])
        if not facts(name).drawn:
            close(found.arrays["aside"][:, k], alone.arrays["aside"][:, 0])


@every_method
@pytest.mark.parametrize(("batch", "n"), [(1, 2), (4, 1), (4, 6)])
def test_models_with_a_fixed_batch(name, batch, n, models) -> None:
    x = models.random(n, 2, 8, 8, seed=3)
    targets = [k % 4 for k in range(n)]
    fixed = ox.explain(models.conv(batch=str(batch)), x, targets, method=made(name))
    free = ox.explain(models.conv(), x, targets, method=made(name))
    close(fixed.values, free.values)
    close(fixed.predictions, free.predictions)
    close(fixed.score, free.score)
    assert any("fixed number of samples" in note for note in fixed.notes)
    assert not any("fixed number of samples" in note for note in free.notes)


@every_general_method
@pytest.mark.parametrize("batch", ["N", "1"])
def test_tokens_get_one_number_each(name, batch, models) -> None:
    rng = np.random.default_rng(0)
    inputs = {"ids": rng.integers(0, 20, (3, 7)), "mask": np.ones((3, 7), np.int64)}
    inputs["mask"][1, 5:] = 0
    if facts(name).soft:
        with pytest.raises(ox.errors.DataInputError, match=r"floats only, and 'ids' holds int64.*wrt="):
            ox.explain(models.tokens(batch), inputs, [0, 1, 2], method=made(name))
        return
    found = ox.explain(models.tokens(batch), inputs, [0, 1, 2], method=made(name))
    assert list(found.arrays) == ["ids"]
    assert found.values.shape == (3, 7)
    masked = np.abs(found.values[1, 5:]).max()
    if name == "lrp":  # its default shares out evenly what the stabiliser would keep
        assert masked < 1e-6 * np.abs(found.values[1]).max(), "masked tokens are not used"
    elif facts(name).dummy:
        assert masked == 0, "masked tokens are not used"
    else:
        assert masked < 0.3 * np.abs(found.values[1]).max()
    forward = isinstance(made(name).needs(), ox.Scores)  # varies the tokens themselves
    if facts(name).dummy:  # a token of id 0 is its own baseline
        moved = [not forward or t != 0 for t in inputs["ids"][1, :5]]
        assert found.values[1, :5].astype(bool).tolist() == moved
    assert any("ids" in note and "embedding" in note for note in found.notes) != forward
    if facts(name).from_baseline:
        assert found.relative_delta.max() < max(1e-3, facts(name).off)


@every_general_method
def test_inner_values_can_be_explained(name, models) -> None:
    x = models.random(3, 5)
    explainer = ox.Explainer(models.mlp())
    found = explainer(x, target=1, method=made(name), wrt="h")
    assert list(found.arrays) == ["h"]
    assert found.values.shape == (3, 8)
    weights = models.random(8, 3, seed=2)[:, 1]
    if name == "saliency":
        close(found.values, np.tile(np.abs(weights), (3, 1)))
    close(found.inputs["h"], np.maximum(x @ models.random(5, 8, seed=1) + models.random(8, seed=3), 0))
    with pytest.raises(ox.errors.DataInputError, match="'h' is computed from 'x'"):
        explainer(x, target=1, method=made(name), wrt=["x", "h"])


@every_general_method
def test_float16_models_are_explained_in_float32(name, models) -> None:
    model = models.mlp()
    half = models.make(
        "m (float16[N, 5] x) => (float16[N, 3] y) { a = Gemm(x, w, b) h = Relu(a) y = Gemm(h, v, c) }"
    )
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        half.graph.initializer.append(onnx.numpy_helper.from_array(array, tensor.name))
        tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), tensor.name))
    x = models.random(2, 5, seed=5).astype(np.float16)
    found = ox.explain(half, x, 1, method=made(name))
    close(found.values, ox.explain(model, x, 1, method=made(name)).values)
    assert found.values.dtype == np.float32
    assert any("float32" in note for note in found.notes)


@every_method
def test_a_method_prints_as_python(name, conv, images) -> None:
    method = made(name)
    again = eval(repr(method), {k: getattr(ox, k) for k in ox.__all__})
    assert again == method
    assert hash(again) == hash(method)
    assert conv(images[:1], target=0, method=method).method == method


@pytest.mark.parametrize("ending", [".npz", ".json"])
@every_method
def test_saved_results_come_back(name, ending, conv, images, tmp_path) -> None:
    found = conv(images, target=[0, 1, 2, 3], method=made(name))
    found.save(tmp_path / f"result{ending}")
    again = ox.Attribution.load(tmp_path / f"result{ending}")
    assert type(again.check) is type(found.check)
    for field in ("target", "score", "predictions", "values"):
        np.testing.assert_array_equal(getattr(again, field), getattr(found, field))
    for field in ("delta", "reference"):
        mine, held = getattr(found, field), getattr(again, field)
        assert (mine is None) == (held is None)
        if mine is not None:
            np.testing.assert_array_equal(held, mine)
    for field in (
        "method", "output", "rule_table", "notes", "model_hash", "seed", "versions", "sample_axes",
    ):  # fmt: skip
        assert getattr(again, field) == getattr(found, field)
    assert again.inputs.keys() == found.inputs.keys()
    for kind, held in found.extras.items():
        arrays, others = (e if isinstance(e, dict) else {"": e} for e in (held, again.extras[kind]))
        assert arrays.keys() == others.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(others[key], array)


def test_one_explainer_serves_many_threads(models, images) -> None:
    jobs = [(n, t) for n in ON_IMAGES for t in range(3)]
    serial = [ox.Explainer(models.conv())(images, target=t, method=made(n)).values for n, t in jobs]
    shared = ox.Explainer(models.conv())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: shared(images, target=job[1], method=made(job[0])).values, jobs))
    for mine, theirs in zip(found, serial, strict=True):
        close(mine, theirs, 1e-5)


@every_method
def test_regions_gather_what_any_method_finds(name, conv, images) -> None:
    regions = {"scales": (10.0,), "min_size": 4, "segment_size": None, "dilation": 0, "min_pixel_diff": 1}
    plain, found = (conv(images[:1], 1, m) for m in (made(name), ox.XRAI(made(name), **regions)))
    ranks = found.extras["ranks"]["x"][0]
    for rank in range(1, ranks.max() + 1):
        mean = plain.values[0].max(0)[ranks == rank].mean()
        close(found.values[0][:, ranks == rank], mean, 1e-3)


@every_method
def test_smoothing_without_noise_changes_nothing(name, conv, images) -> None:
    plain = conv(images[:2], [0, 1], made(name))
    smooth = conv(images[:2], [0, 1], ox.SmoothGrad(made(name), n_samples=2, stdevs=0.0))
    close(smooth.values, plain.values)
