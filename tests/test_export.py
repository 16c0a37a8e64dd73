"""Exported files: standard ONNX that predicts and explains, in stock onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.methods import OnePass

ONE_PASS = tuple(n for n, m in ox.METHODS.items() if issubclass(m, OnePass))
every_method = pytest.mark.parametrize("method", ONE_PASS)


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-4) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-6))


@every_method
@pytest.mark.parametrize("n", [1, 5])
def test_the_file_says_what_the_explainer_says(method, n, models, tmp_path) -> None:
    model = models.conv(softmax=True)
    made = ox.export(model, tmp_path / "made.onnx", method=method)
    assert made.path == tmp_path / "made.onnx"
    assert made.inputs == ("x", "target")
    assert made.outputs == ("y", "attribution/x")
    x, target = models.random(n, 2, 8, 8), np.arange(n) % 4
    found = stock(made.path, x=x, target=target)
    expected = ox.explain(model, x, target.tolist(), method=method)
    close(found["attribution/x"], expected.values)
    close(found["y"], expected.predictions)


@every_method
def test_the_file_is_standard(method, models, tmp_path) -> None:
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method).path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {o.domain for o in model.opset_import} == {""}
    assert {n.domain for n in model.graph.node} == {""}
    assert not model.functions
    assert model.producer_name == "onnxplain"
    assert {p.key: p.value for p in model.metadata_props}["onnxplain.method"] == repr(ox.method(method))
    x, target = model.graph.input
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["N", 2, 8, 8]
    assert target.type.tensor_type.elem_type == onnx.TensorProto.INT64
    out = model.graph.output[1].type.tensor_type
    assert [d.dim_param or d.dim_value for d in out.shape.dim] == ["N", 2, 8, 8]


@every_method
@pytest.mark.parametrize("form", ["portable", "cpu", "cuda"])
def test_nothing_is_baked_in(method, form, models, tmp_path) -> None:
    """Another input, another target: another explanation."""
    others = () if method == "visual_backprop" else (1, 2, 3)  # whose mask is the same for all targets
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method, form=form).path
    x = models.random(2, 2, 8, 8)
    one, turned, *other = (
        stock(path, x=a, target=np.array([t, t]))["attribution/x"]
        for a, t in ((x, 0), (-x, 0), *((x, t) for t in others))
    )
    changes = [np.abs(one - changed).max() / np.abs(one).max() for changed in (turned, *other)]
    assert changes[0] > 0.05
    assert max(changes[1:], default=1) > 0.05
    close(stock(path, x=x[:1], target=np.array([0]))["attribution/x"], one[:1])


@every_method
def test_digits(method, tmp_path) -> None:
    images, labels = digits_samples()
    path = ox.export(digits_model_path(), tmp_path / "digits.onnx", method=method).path
    found = stock(path, image=images, target=labels)
    close(found["attribution/image"], ox.explain(digits_model_path(), images, labels, method=method).values)


def test_a_single_score_needs_no_target(models, tmp_path) -> None:
    made = ox.export(models.single(), tmp_path / "made.onnx", method="input_x_gradient")
    assert made.inputs == ("x",)
    x = models.random(3, 4)
    expected = ox.explain(models.single(), x, method="input_x_gradient").values
    close(stock(made.path, x=x)["attribution/x"], expected)


def test_maps_take_an_index_tuple(models, tmp_path) -> None:
    path = ox.export(models.maps(), tmp_path / "made.onnx", method="saliency").path
    x, target = models.random(2, 2, 5, 5), np.array([[0, 1, 2], [2, 4, 4]])
    expected = ox.explain(models.maps(), x, target, method="saliency").values
    close(stock(path, x=x, target=target)["attribution/x"], expected)


def test_outputs_without_a_batch_axis(models, tmp_path) -> None:
    model = models.make(
        "m (float[1, 4] x) => (float[3, 2] y) { a = MatMul(x, w) r = Relu(a) y = Reshape(r, shape) }",
        w=models.random(4, 6), shape=np.array([3, 2]),
    )  # fmt: skip
    path = ox.export(model, tmp_path / "made.onnx", method="saliency").path
    x = models.random(1, 4, seed=3)
    for target in ((0, 1), (2, 0)):
        expected = ox.explain(model, x, target, method="saliency").values
        close(stock(path, x=x, target=np.array([target]))["attribution/x"], expected)


def test_several_inputs(models, tmp_path) -> None:
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3)}
    made = ox.export(models.two_inputs(), tmp_path / "made.onnx", method="lrp")
    assert made.outputs == ("y", "attribution/image", "attribution/table")
    found = stock(made.path, **inputs, target=np.array([0, 1, 0]))
    expected = ox.explain(models.two_inputs(), inputs, [0, 1, 0], method="lrp").arrays
    for name, values in expected.items():
        close(found[f"attribution/{name}"], values)
    one = ox.export(models.two_inputs(), tmp_path / "one.onnx", method="lrp", wrt="table")
    assert one.outputs == ("y", "attribution/table")
    assert one.inputs == ("image", "table", "target")


def test_inner_values(models, tmp_path) -> None:
    made = ox.export(models.mlp(), tmp_path / "made.onnx", method="saliency", wrt=["x", "h"])
    assert made.outputs == ("y", "attribution/x", "attribution/h")
    x = models.random(3, 5)
    found = stock(made.path, x=x, target=np.array([1, 1, 1]))
    for name in ("x", "h"):
        expected = ox.explain(models.mlp(), x, 1, method="saliency", wrt=name).values
        close(found[f"attribution/{name}"], expected)


@pytest.mark.parametrize("length", ["L", "6"])
def test_tokens_get_one_number_each(length, models, tmp_path) -> None:
    model = models.tokens(length=length)
    made = ox.export(model, tmp_path / "made.onnx", method="input_x_gradient")
    assert made.inputs == ("ids", "mask", "target")
    assert made.outputs == ("y", "attribution/ids")
    ids = np.random.default_rng(0).integers(0, 20, (2, 6))
    feeds = {"ids": ids, "mask": np.ones((2, 6), np.int64)}
    expected = ox.explain(model, feeds, 1, method="input_x_gradient").values
    close(stock(made.path, **feeds, target=np.array([1, 1]))["attribution/ids"], expected)


def test_all_outputs_of_the_model_stay(models, tmp_path) -> None:
    model = models.make(
        """m (float[N, 3] x) => (int64[N] best, float[N, 3] y, float[N, 3] z) {
          y = Relu(x) best = ArgMax<axis = 1, keepdims = 0>(y) z = Tanh(x)
        }"""
    )
    x = models.random(2, 3)
    made = ox.export(model, tmp_path / "made.onnx", method="saliency", output="z")
    assert made.outputs == ("best", "y", "z", "attribution/x")
    found = stock(made.path, x=x, target=np.array([0, 2]))
    np.testing.assert_array_equal(found["best"], np.maximum(x, 0).argmax(1))
    close(found["attribution/x"], ox.explain(model, x, [0, 2], output="z", method="saliency").values)


def test_through_softmax(models, tmp_path) -> None:
    model, x = models.mlp(softmax=True), models.random(2, 5)
    options = {"method": ox.Saliency(abs=False), "through_softmax": True}
    path = ox.export(model, tmp_path / "made.onnx", **options).path
    expected = ox.explain(model, x, 1, **options).values
    close(stock(path, x=x, target=np.array([1, 1]))["attribution/x"], expected)
    logits = ox.explain(model, x, 1, method=ox.Saliency(abs=False)).values
    assert np.abs(logits - expected).max() > 1e-2


def test_fixed_batch(models, tmp_path) -> None:
    model = models.conv(batch="2")
    path = ox.export(model, tmp_path / "made.onnx", method="lrp").path
    x = models.random(2, 2, 8, 8)
    expected = ox.explain(model, x, [1, 3], method="lrp").values
    close(stock(path, x=x, target=np.array([1, 3]))["attribution/x"], expected)


def test_an_exported_file_can_be_explained_and_exported_again(models, tmp_path) -> None:
    x, target = models.random(2, 5), np.array([1, 2])
    first = ox.export(models.mlp(), tmp_path / "first.onnx", method="saliency")
    feeds = {"x": x, "target": target}
    found = ox.explain(first.path, feeds, [1, 2], method="input_x_gradient", output="y", wrt="x")
    expected = ox.explain(models.mlp(), x, [1, 2], method="input_x_gradient").values
    close(found.values, expected)
    second = ox.export(first.path, tmp_path / "second.onnx", method="input_x_gradient", output="y", wrt="x")
    assert len(set(second.inputs)) == 3
    assert len(set(second.outputs)) == 3
    again = stock(second.path, **dict(zip(second.inputs, (x, target, target), strict=True)))
    close(again["attribution/x"], ox.explain(models.mlp(), x, [1, 2], method="saliency").values)
    close(again[second.outputs[-1]], expected)


def test_the_source_may_have_external_weights(models, tmp_path) -> None:
    model = models.conv()
    onnx.save(model, tmp_path / "source.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "elsewhere").mkdir()
    path = ox.export(tmp_path / "source.onnx", tmp_path / "elsewhere" / "made.onnx", method="saliency").path
    x = models.random(1, 2, 8, 8)
    expected = ox.explain(models.conv(), x, 1, method="saliency").values
    close(stock(path, x=x, target=np.array([1]))["attribution/x"], expected)
