"""What a sample is: rows are cut and repeated only where the graph proves that they do not touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox

SIGNED = ox.Saliency(abs=False)


def close(a: Any, b: Any, rtol: float = 2e-3) -> None:
    scale = max(float(np.abs(np.asarray(b)).max()), 1e-6)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale)


def attention(models: Any) -> onnx.ModelProto:
    return models.make(
        """m (float[N, 4] x) => (float[N, 3] y) {
          t = Transpose<perm = [1, 0]>(x) s = MatMul(x, t) a = Softmax<axis = 1>(s)
          m = MatMul(a, x) y = MatMul(m, w)
        }""",
        w=models.random(4, 3),
    )  # fmt: skip


def adjacency(models: Any) -> onnx.ModelProto:
    return models.make(
        """m (float[N, 4] x, float[N, N] adjacency) => (float[N, 3] y) {
          m = MatMul(adjacency, x) a = MatMul(m, w) y = Tanh(a)
        }""",
        w=models.random(4, 3),
    )  # fmt: skip


def edges(models: Any) -> onnx.ModelProto:
    return models.make(
        """m (float[N, 4] x, int64[E] source, int64[E, 1] sink) => (float[N, 3] y) {
          sent = Gather(x, source) none = Sub(x, x) got = ScatterND<reduction = "add">(none, sink, sent)
          both = Add(x, got) a = MatMul(both, w) y = Tanh(a)
        }""",
        w=models.random(4, 3),
    )  # fmt: skip


def centred(models: Any) -> onnx.ModelProto:
    return models.make(
        """m (float[N, 4] x) => (float[N, 3] y) {
          mean = ReduceMean(x, axes) c = Sub(x, mean) a = MatMul(c, w) y = Tanh(a)
        }""",
        w=models.random(4, 3), axes=np.array([0]),
    )  # fmt: skip


def softmax(models: Any) -> onnx.ModelProto:
    return models.make(
        "m (float[N, 4] x) => (float[N, 3] y) { a = MatMul(x, w) s = Softmax<axis = 0>(a) y = Log(s) }",
        w=models.random(4, 3),
    )


def reverse(models: Any) -> onnx.ModelProto:
    return models.make(
        """m (float[N, 4] x) => (float[N, 3] y) {
          a = MatMul(x, w) h = Tanh(a) y = Slice(h, from, to, axis, step)
        }""",
        w=models.random(4, 3), **{"from": np.array([-1])}, to=np.array([-(2**31)]), axis=np.array([0]),
        step=np.array([-1]),
    )  # fmt: skip


def alone(models: Any) -> onnx.ModelProto:
    return models.make(
        "m (float[D] x) => (float[D] y) { t = Tanh(x) y = CumSum(t, axis) }", axis=np.array(0, np.int64)
    )


def fixed(models: Any) -> onnx.ModelProto:
    return models.make(
        "m (float[3] x) => (float[3] y) { a = MatMul(x, w) y = Tanh(a) }", w=models.random(3, 3)
    )


def fixed_rows(models: Any) -> onnx.ModelProto:
    return models.make(
        "m (float[4, 4] x) => (float[4, 3] y) { m = MatMul(mix, x) a = MatMul(m, w) y = Tanh(a) }",
        w=models.random(4, 3), mix=models.random(4, 4, seed=1),
    )  # fmt: skip


#: Models whose rows touch, their inputs besides x, and a target of the whole output.
TOUCHING: dict[str, tuple[Any, dict[str, Any], tuple[int, ...]]] = {
    "attention": (attention, {}, (1, 2)),
    "adjacency": (adjacency, {"adjacency": np.eye(4, k=1) + np.eye(4)}, (1, 2)),
    "edges": (edges, {"source": [0, 1, 1], "sink": [[1], [2], [3]]}, (2, 0)),
    "centred": (centred, {}, (0, 1)),
    "softmax": (softmax, {}, (3, 1)),
    "reverse": (reverse, {}, (0, 1)),
    "alone": (alone, {}, (3,)),
    "fixed": (fixed, {}, (1,)),
    "fixed_rows": (fixed_rows, {}, (1, 2)),
}


def differences(explainer: ox.Explainer, inputs: dict[str, Any], target: tuple[int, ...]) -> np.ndarray:
    """Return central differences of the score with respect to x."""
    x = np.asarray(inputs["x"], np.float64)
    out, step = np.empty_like(x), 1e-2
    for k in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[k] += sign * step
            ends.append(float(explainer.predict({**inputs, "x": moved.astype(np.float32)})["y"][target]))
        out[k] = (ends[0] - ends[1]) / (2 * step)
    return out


def touching(name: str, models: Any) -> tuple[ox.Explainer, dict[str, Any], tuple[int, ...]]:
    make, more, target = TOUCHING[name]
    explainer = ox.Explainer(make(models))
    declared = explainer.inputs[0].shape or ()
    shape = [d if isinstance(d, int) else 4 for d in declared]
    return explainer, {"x": models.random(*shape, seed=5, scale=0.5), **more}, target


@pytest.mark.parametrize("name", TOUCHING)
def test_rows_that_touch_are_one_sample(name, models) -> None:
    explainer, inputs, target = touching(name, models)
    found = explainer(inputs, target, SIGNED, wrt="x")
    assert len(found) == 1
    assert found.values.shape == inputs["x"].shape
    close(found.values, differences(explainer, inputs, target))
    assert any("one sample" in note and "batch_axes=" in note for note in found.notes)
    ig = ox.IntegratedGradients(n_steps=64)
    path = explainer(inputs, target, ig, wrt="x")
    there = explainer.predict({**inputs, "x": np.zeros_like(inputs["x"])})["y"][target]
    close(path.score - path.reference, there)
    close(path.values.sum(), path.score - there, 1e-3)
    for size in (1, 2, 5):
        again = explainer(
            inputs, target, "integrated_gradients", wrt="x", n_steps=64, internal_batch_size=size
        )
        close(again.values, path.values, 1e-5)


@pytest.mark.parametrize("name", TOUCHING)
def test_a_target_of_rows_that_touch_is_one_of_the_whole_output(name, models) -> None:
    explainer, inputs, target = touching(name, models)
    if len(target) > 1:
        with pytest.raises(ox.errors.TargetError, match=r"a tuple of 2 indices .*one sample: .* node '"):
            explainer(inputs, 1, SIGNED, wrt="x")
        with pytest.raises(ox.errors.TargetError, match="a tuple of 2 indices"):
            explainer(inputs, [0, 1, 2, 0], SIGNED, wrt="x")
    predicted = explainer(inputs, "predicted", SIGNED, wrt="x")
    best = np.unravel_index(predicted.predictions.argmax(), predicted.predictions.shape)
    np.testing.assert_array_equal(predicted.target, [best])
    close(predicted.values, differences(explainer, inputs, best))


@pytest.mark.parametrize("name", TOUCHING)
def test_the_file_and_the_explainer_agree(name, models, tmp_path) -> None:
    import onnxruntime as ort

    explainer, inputs, target = touching(name, models)
    made = ox.export(TOUCHING[name][0](models), tmp_path / "made.onnx", method=SIGNED, wrt="x")
    assert made.mixed is not None
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    feeds = {i.name: np.asarray(inputs[i.name]) for i in session.get_inputs() if i.name in inputs}
    feeds = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    index = np.array(target if len(target) == 1 else [target])
    (values,) = session.run(["attribution/x"], {**feeds, "target": index})
    close(values, explainer(inputs, target, SIGNED, wrt="x").values, 1e-5)


def recurrent(models: Any, names: str = "T, B") -> onnx.ModelProto:
    return models.make(
        f"""m (float[{names}, 3] x) => (float[{names}, 2] y) {{
          h = RNN<hidden_size = 2>(x, w, r) y = Squeeze(h, one)
        }}""",
        w=models.random(1, 2, 3), r=models.random(1, 2, 2, seed=1), one=np.array([1]),
    )  # fmt: skip


def test_time_first(models) -> None:
    """Samples lie along the second axis: proven, and each has a target of its own."""
    explainer = ox.Explainer(recurrent(models))
    x = models.random(5, 3, 3)
    targets = [(4, 0), (2, 1), (0, 1)]
    found = explainer(x, targets, SIGNED)
    assert len(found) == 3
    for k, target in enumerate(targets):
        lone = explainer(x[:, [k]], target, SIGNED)
        close(found.values[:, [k]], lone.values, 1e-5)
        close(lone.values, differences(explainer, {"x": x[:, [k]]}, (target[0], 0, target[1])))
    for size in (1, 2):
        path = explainer(x, targets, "integrated_gradients", internal_batch_size=size)
        close(path.values, explainer(x, targets, "integrated_gradients").values, 1e-5)
        np.testing.assert_allclose(path.delta, 0, atol=1e-3)


def test_a_list_on_a_time_first_model_is_no_index_tuple(models) -> None:
    with pytest.raises(ox.errors.TargetError, match="a tuple of 2 indices"):
        ox.explain(recurrent(models), models.random(5, 2, 3), [0, 1], method=SIGNED)


def test_unnamed_time_first(models) -> None:
    """Without a name the first axis is tried alone, and refused: one sample."""
    explainer = ox.Explainer(recurrent(models, "q, r"))
    x = models.random(5, 3, 3)
    found = explainer(x, (4, 1, 0), SIGNED)
    assert len(found) == 1
    close(found.values, differences(explainer, {"x": x}, (4, 1, 0)))
    said = explainer(x, (4, 0), SIGNED, batch_axes=1)
    assert len(said) == 3
    close(said.values[:, [1]], found.values[:, [1]], 1e-5)


def test_a_side_input_of_equal_length_is_shared(models) -> None:
    model = models.make(
        """m (float[N, 4] x, float[M, 4] prototypes) => (float[N, M] y) {
          t = Transpose<perm = [1, 0]>(prototypes) a = MatMul(x, t) y = Tanh(a)
        }"""
    )
    explainer = ox.Explainer(model)
    inputs = {"x": models.random(4, 4), "prototypes": models.random(4, 4, seed=1)}
    found = explainer(inputs, [0, 1, 2, 3], "integrated_gradients", wrt="x")
    for k in range(4):
        lone = explainer({**inputs, "x": inputs["x"][[k]]}, k, "integrated_gradients", wrt="x")
        close(found.values[k], lone.values[0], 1e-5)


def test_scalars_are_samples_where_they_do_not_touch(models) -> None:
    model = models.make("m (float[D] x) => (float[D] y) { y = Tanh(x) }")
    x = models.random(6)
    found = ox.explain(model, x, method=SIGNED)
    assert len(found) == 6
    close(found.values, 1 - np.tanh(x) ** 2)


def test_batch_axes_by_the_user_are_checked_by_running(models) -> None:
    for name in ("attention", "centred", "softmax", "reverse"):
        explainer, inputs, _ = touching(name, models)
        with pytest.raises(ox.errors.DataInputError, match=r"other company.*leave batch_axes out"):
            explainer(inputs, 1, SIGNED, batch_axes=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_batch_axes_of_a_fixed_batch(batch: int, models) -> None:
    """One sample at a time leaves nothing to compare with; fewer samples than it takes are filled up."""
    model = models.make(
        f"""m (float[{batch}, 2, 4, 4] x) => (float[{batch}, 3] y) {{
          v, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
          t = Tanh(v) u = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(t, i)
          f = Flatten(u) y = MatMul(f, w)
        }}""",
        w=models.random(32, 3),
    )
    explainer = ox.Explainer(model)
    x = models.random(4, 2, 4, 4)
    together = explainer(x, 1, SIGNED, batch_axes=0).values
    for k in range(4):
        close(explainer(x[k : k + 1], 1, SIGNED, batch_axes=0).values[0], together[k])


def test_all_inputs_of_a_model_that_takes_one_sample_are_cut(models) -> None:
    """Even where samples are proven to lie in the first input alone: the second has to fit as well."""
    model = models.make(
        """m (float[1, 4] x, float[1, 2] aside) => (float[1, 4] y) {
          a = Gemm(aside, w) s = Reshape(a, image)
          v, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(s)
          u = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(v, i) f = Flatten(u) c = Gemm(f, k)
          y = Add(x, c)
        }""",
        w=models.random(2, 32), k=models.random(32, 4), image=np.array([1, 2, 4, 4]),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    x, aside = models.random(3, 4), models.random(3, 2, seed=1)
    together = explainer.predict({"x": x, "aside": aside})["y"]
    for k in range(3):
        one = explainer.predict({"x": x[k : k + 1], "aside": aside[k : k + 1]})["y"]
        close(together[k : k + 1], one)


def test_the_whole_may_be_asked_for(models) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(3, 5)
    found = explainer(x, (2, 1), SIGNED, batch_axes={"x": None})
    assert len(found) == 1
    close(found.values[2], explainer(x[2:], 1, SIGNED).values[0], 1e-5)
    assert not found.values[:2].any()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (2, "2 for input 'x', which has 2 axes"),
        ("rows", "give an axis"),
        ({"z": 0}, "'z', which is no input"),
        ({"x": 0.5}, "0.5 for input 'x'"),
        (True, "give an axis"),
    ],
)
def test_batch_axes_that_make_no_sense(given, told, models) -> None:
    with pytest.raises(ox.errors.DataInputError, match=told):
        ox.explain(models.mlp(), models.random(3, 5), 1, method=SIGNED, batch_axes=given)


def test_declared_output_shapes_are_hints(models) -> None:
    """Exporters write the shape of the example that they traced."""
    model = models.make(
        """m (float[N, 3, W] x) => (float[N, 25, 2] y) {
          t = Transpose<perm = [0, 2, 1]>(x) a = MatMul(t, w) y = Tanh(a)
        }""",
        w=models.random(3, 2),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    for width in (25, 40, 7):
        x = models.random(2, 3, width)
        found = explainer(x, (width - 1, 1), SIGNED)
        close(found.values[:, :, : width - 1], np.zeros((2, 3, width - 1)))
        assert found.values[:, :, -1].any()
        with pytest.raises(ox.errors.TargetError, match=rf"axis 0 of \({width}, 2\)"):
            explainer(x, (width, 1), SIGNED)


def test_inner_declarations_are_hints(models) -> None:
    """Models made dynamic after export still declare a batch of 1 inside."""
    model = models.conv(softmax=True)
    inferred = onnx.shape_inference.infer_shapes(models.conv(softmax=True, batch="1"))
    model.graph.value_info.extend(inferred.graph.value_info)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    x = models.random(3, 2, 8, 8)
    expected = ox.explain(models.conv(softmax=True), x, [0, 1, 2], method="lrp")
    close(ox.explain(model, x, [0, 1, 2], method="lrp").values, expected.values, 1e-5)


@pytest.fixture(scope="module")
def quantised(models, tmp_path_factory) -> onnx.ModelProto:
    """Return a small network whose activations are quantised by the range of each whole tensor."""
    import logging

    from onnxruntime.quantization import quantize_dynamic

    folder = tmp_path_factory.mktemp("quantised")
    onnx.save(models.mlp(), folder / "plain.onnx")
    logging.disable(logging.WARNING)
    quantize_dynamic(folder / "plain.onnx", folder / "int8.onnx")
    logging.disable(logging.NOTSET)
    return onnx.load(folder / "int8.onnx")


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "lrp", "deep_lift", "smooth_grad"])
def test_samples_whose_company_shifts_them_run_alone(method, quantised, models) -> None:
    """Dynamic quantisation takes its range from the whole batch."""
    explainer = ox.Explainer(quantised)
    x = models.random(3, 5) * np.array([[1], [3], [10]], np.float32)
    found = explainer(x, [0, 1, 2], method)
    assert len(found) == 3
    assert any("one by one" in note and "company" in note for note in found.notes)
    for k in range(3):
        lone = explainer(x[[k]], k, method)
        np.testing.assert_allclose(found.values[k], lone.values[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.predictions[k], lone.predictions[0], rtol=1e-5)
