"""The facade: targets, outputs, baselines, notes; and inspection."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import GENERAL, made

import onnxplain as ox


def w(models) -> np.ndarray:
    """Weights (4, 6) of a linear model, whose gradients are its rows."""
    return models.random(4, 6, seed=3)


@pytest.fixture(scope="module")
def linear(models) -> ox.Explainer:
    return ox.Explainer(models.linear(w(models)))


SIGNED = ox.Saliency(abs=False)


def test_one_target_for_all(linear, models) -> None:
    found = linear(models.random(3, 6), 2, SIGNED)
    np.testing.assert_allclose(found.values, np.tile(w(models)[2], (3, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found.target, [[2], [2], [2]])
    np.testing.assert_allclose(found.score, found.predictions[:, 2])
    assert len(found) == 3


@pytest.mark.parametrize("target", [[0, 3, 1], np.array([0, 3, 1], np.int32), [[0], [3], [1]], [-4, -1, -3]])
def test_one_target_per_sample(target, linear, models) -> None:
    found = linear(models.random(3, 6), target, SIGNED)
    np.testing.assert_allclose(found.values, w(models)[[0, 3, 1]], rtol=1e-6)
    np.testing.assert_array_equal(found.target[:, 0], [0, 3, 1])


def test_predicted_target(linear, models) -> None:
    found = linear(models.random(3, 6), "predicted", SIGNED)
    best = found.predictions.argmax(1)
    np.testing.assert_array_equal(found.target[:, 0], best)
    np.testing.assert_allclose(found.values, w(models)[best], rtol=1e-6)


def test_targets_of_maps(models) -> None:
    explainer = ox.Explainer(models.maps())
    x = models.random(2, 2, 5, 5)
    one = explainer(x, (1, 2, 3), SIGNED)
    each = explainer(x, [(1, 2, 3), (0, 4, 4)], SIGNED)
    np.testing.assert_array_equal(one.values[0], each.values[0])
    np.testing.assert_allclose(each.score, [each.predictions[0, 1, 2, 3], each.predictions[1, 0, 4, 4]])
    assert not each.values[1, :, :3].any(), "a 3x3 convolution at the corner sees the corner"
    best = explainer(x, "predicted", SIGNED)
    np.testing.assert_allclose(best.score, best.predictions.reshape(2, -1).max(1))
    assert best.target.shape == (2, 3)


@pytest.mark.parametrize("target", [None, "predicted"])
def test_a_single_score_needs_no_target(target, models) -> None:
    found = ox.explain(models.single(), models.random(3, 4), target, method=SIGNED)
    assert found.target.shape == (3, 0)
    np.testing.assert_allclose(found.score, found.predictions[:, 0])
    same = ox.explain(models.single(), models.random(3, 4), 0, method=SIGNED)
    np.testing.assert_allclose(found.values, same.values)


def test_score_per_sample_without_an_axis(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N] y) { y = ReduceSum<keepdims = 0>(x, a) }", a=np.array([1])
    )
    found = ox.explain(model, models.random(4, 3), method=SIGNED)
    np.testing.assert_array_equal(found.values, np.ones((4, 3)))


def test_named_output(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (int64[N] k, float[N, 3] y, float[N, 2] z) { k = ArgMax<axis = 1, keepdims = "
        "0>(x) "
        "y = Identity(x) z = MatMul(x, w) }",
        w=models.random(3, 2),
    )
    explainer = ox.Explainer(model)
    x = models.random(2, 3)
    assert [o.name for o in explainer.outputs] == ["k", "y", "z"]
    np.testing.assert_array_equal(explainer(x, 1, SIGNED).values, [[0, 1, 0]] * 2)
    found = explainer(x, 1, SIGNED, output="z")
    np.testing.assert_allclose(found.values, np.tile(models.random(3, 2)[:, 1], (2, 1)))
    assert found.output == ("z", "z")


def test_softmax_is_left_out_unless_told_otherwise(models) -> None:
    explainer = ox.Explainer(models.mlp(softmax=True))
    x = models.random(3, 5)
    plain = ox.explain(models.mlp(), x, 1, method=SIGNED)
    before = explainer(x, 1, SIGNED)
    np.testing.assert_allclose(before.values, plain.values, rtol=1e-5)
    np.testing.assert_allclose(before.score, plain.score, rtol=1e-5)
    assert before.output == ("y", "z")
    assert any("Softmax" in n for n in before.notes)
    through = explainer(x, 1, SIGNED, through_softmax=True)
    p = through.predictions
    jacobian = [ox.explain(models.mlp(), x, k, method=SIGNED).values for k in range(3)]
    expected = sum(p[:, [1]] * ((k == 1) - p[:, [k]]) * jacobian[k] for k in range(3))
    np.testing.assert_allclose(through.values, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(through.score, p[:, 1], rtol=1e-6)
    assert through.output == ("y", "y")
    assert not any("Softmax" in n for n in through.notes)


def test_outputs_without_a_batch_axis(models) -> None:
    model = models.make(
        "m (float[1, 4] x) => (float[3, 2] y) { a = MatMul(x, w) y = Reshape(a, shape) }",
        w=models.random(4, 6), shape=np.array([3, 2]),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    found = explainer(models.random(1, 4), (2, 1), SIGNED)
    np.testing.assert_allclose(found.values[0], models.random(4, 6)[:, 5], rtol=1e-6)
    two = explainer(models.random(2, 4), [(2, 1), (0, 0)], SIGNED)  # each has a run of its own
    assert two.predictions.shape == (2, 3, 2)
    np.testing.assert_allclose(two.values, models.random(4, 6)[:, [5, 0]].T, rtol=1e-6)


def test_models_of_one_sample_without_a_batch_axis(models) -> None:
    model = models.make("m (float[3] x) => (float[2] y) { y = MatMul(x, w) }", w=models.random(3, 2))
    explainer = ox.Explainer(model)
    x = models.random(3, seed=1)
    for method in (*GENERAL, "linear_shap"):
        found = explainer(x, 1, made(method))
        assert found.values.shape == (3,)
        assert found.predictions.shape == (2,)
        assert len(found) == 1
    expected = x * models.random(3, 2)[:, 1]
    np.testing.assert_allclose(explainer(x, 1, "integrated_gradients").values, expected, rtol=1e-5)
    np.testing.assert_allclose(explainer.predict(x)["y"], x @ models.random(3, 2), rtol=1e-5)


@pytest.mark.parametrize("time", ["T", "3"])
def test_models_with_time_first(time, models) -> None:
    """The first axis is not taken for the batch where the output has another one first."""
    model = models.make(
        f"""m (float[{time}, N, 4] x) => (float[N, 2] y) {{
          a = MatMul(x, w) h = Tanh(a) y = ReduceSum<keepdims = 0>(h, axes)
        }}""",
        w=models.random(4, 2, seed=1), axes=np.array([0]),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    found = explainer(models.random(3, 1, 4), 1, "deep_lift")
    assert found.values.shape == (3, 1, 4)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    x = models.random(3, 3, 4)
    found = explainer(x, [1, 0, 1], "deep_lift")  # samples lie along the axis that is named after them
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    np.testing.assert_allclose(found.values[:, [1]], explainer(x[:, [1]], 0, "deep_lift").values, rtol=1e-5)


def test_a_batch_of_one_and_a_fixed_length_output(models) -> None:
    """N = 1 is a batch of one, not a model without batches."""
    found = ox.explain(models.mlp(batch="1"), models.random(1, 5), 2, method=SIGNED)
    assert found.values.shape == (1, 5)
    assert found.target.tolist() == [[2]]


@pytest.mark.parametrize(
    "baseline", [0.5, np.full(5, 0.5), np.full((1, 5), 0.5), np.full((3, 5), 0.5), {"x": 0.5}]
)
def test_baselines(baseline, models) -> None:
    model, x = models.tanh(), models.random(3, 5)
    found = ox.explain(model, x, 1, baselines=baseline)
    start = ox.Explainer(model).predict(np.full((3, 5), 0.5))["y"][:, 1]
    np.testing.assert_allclose(found.reference, found.score - start, rtol=1e-4, atol=1e-6)
    assert np.abs(found.delta).max() < 1e-4
    assert np.abs(found.values - ox.explain(model, x, 1).values).max() > 1e-2


def test_baseline_per_sample(models) -> None:
    x, starts = models.random(3, 5), models.random(3, 5, seed=9)
    found = ox.explain(models.tanh(), x, 1, baselines=starts)
    for k in range(3):
        alone = ox.explain(models.tanh(), x[k : k + 1], 1, baselines=starts[k])
        np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", ["N", "1"])
@pytest.mark.parametrize("start", [0, [0, 1, 2, 3], {"ids": 7}])
def test_baselines_of_tokens_are_tokens(batch, start, models) -> None:
    explainer = ox.Explainer(models.tokens(batch))
    rng = np.random.default_rng(0)
    inputs = {"ids": rng.integers(0, 20, (3, 4)), "mask": np.ones((3, 4), int)}
    found = explainer(inputs, 1, baselines=start)
    ids = start["ids"] if isinstance(start, dict) else start
    there = explainer.predict({**inputs, "ids": np.broadcast_to(ids, (3, 4))})["y"][:, 1]
    np.testing.assert_allclose(found.reference, found.score - there, rtol=1e-4, atol=1e-6)
    assert np.abs(found.delta).max() < 1e-3
    assert not found.values[inputs["ids"] == np.broadcast_to(ids, (3, 4))].any(), (
        "what does not change gets nothing"
    )


def test_integer_inputs_that_are_numbers(models) -> None:
    model = models.make(
        "m (int64[N, 3] counts) => (float[N, 2] y) { c = Cast<to = 1>(counts) y = MatMul(c, w) }",
        w=models.random(3, 2),
    )
    counts = np.array([[1, 2, 3], [0, 5, 1]])
    found = ox.explain(model, counts, 1, method="input_x_gradient")
    np.testing.assert_allclose(found.values, counts * models.random(3, 2)[:, 1], rtol=1e-6)


def test_progress_is_shown_only_if_wanted(models, capsys) -> None:
    explainer = ox.Explainer(models.mlp())
    for method in ("integrated_gradients", "smooth_grad"):
        explainer(models.random(2, 5), 1, method)
        assert capsys.readouterr() == ("", "")
        explainer(models.random(2, 5), 1, method, progress=True)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert method.replace("_", " ") in shown.err


def test_attribution_prints_and_plots(models) -> None:
    found = ox.explain(models.mlp(), models.random(2, 5), 1)
    assert "IntegratedGradients(n_steps=50" in repr(found)
    assert "x (2, 5)" in repr(found)
    assert "|delta|" in repr(found)
    assert found.plot() is not None
    inner = ox.explain(models.mlp(), models.random(2, 5), 1, wrt="h", method="saliency")
    assert inner.plot(1) is not None
    two = ox.explain(
        models.two_inputs(), {"image": np.ones((1, 2, 4)), "table": np.ones((1, 3))}, 0, method="lrp"
    )
    assert two.plot(name="table") is not None
    with pytest.raises(ox.errors.DataInputError, match="image, table"):
        two.plot()


def test_inspection(models) -> None:
    found = ox.inspect(models.conv(softmax=True))
    assert [i.name for i in found.inputs] == ["x"]
    assert [o.name for o in found.outputs] == ["y"]
    assert found.problems == ()
    rows = {row.op_type: row for row in found.operators}
    assert (rows["Conv"].count, rows["Conv"].gradient, rows["Conv"].rule) == (3, "rule", "zplus")
    assert rows["Gemm"].rule == "epsilon"
    assert [row.count for row in found.operators] == sorted(
        (row.count for row in found.operators), reverse=True
    )


def test_inspection_finds_problems(models) -> None:
    unknown = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { a = odd.Thing(x) y = Relu(a) }", domain="odd"
    )
    found = ox.inspect(unknown)
    assert any("odd.Thing" in p for p in found.problems)
    assert {(r.op_type, r.gradient) for r in found.operators} == {("Thing", "missing"), ("Relu", "rule")}
    integers = models.make("m (float[N, 3] x) => (int64[N, 1] y) { y = ArgMax<axis = 1>(x) }")
    assert any("floats" in p for p in ox.inspect(integers).problems)
    flat = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Floor(x) }")
    assert any("'y' does not depend differentiably" in p for p in ox.inspect(flat).problems)
    with pytest.raises(ox.errors.TargetError, match="no output 'z'"):
        ox.inspect(flat, output="z")


def test_an_explainer_says_what_it_explains(models) -> None:
    assert repr(ox.Explainer(models.two_inputs(), device="cpu")) == "Explainer(image, table -> y, on cpu)"


def test_a_method_may_stand_after_the_target(models) -> None:
    x = models.random(2, 5)
    found = ox.explain(models.mlp(), x, 1, "lrp")
    np.testing.assert_array_equal(found.values, ox.Explainer(models.mlp())(x, 1, "lrp").values)
    assert found.method == ox.LRP()
