"""Files whose lengths are all known: by input, by axis, by the number of samples."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from command_line import failure, run

import onnxplain as ox
from onnxplain.errors import DataInputError, InvalidModelError

METHODS = {
    "saliency": {},
    "lrp": {},
    "deep_lift": {},
    "integrated_gradients": {"n_steps": 4},
    "smooth_grad": {"n_samples": 3},
    "grad_cam": {},
    "score_cam": {},
    "occlusion": {"sliding_window_shapes": (2, 4, 4), "strides": (2, 4, 4)},
    "rise": {"n_masks": 8},
    "kernel_shap": {"n_samples": 100, "feature_mask": "grid"},
    "lime": {"n_samples": 100, "feature_mask": "grid"},
    "layer_activation": {},
}
ATTENTION = """
    q = MatMul(x, a) t = Transpose<perm = [0, 2, 1]>(x) s = MatMul(q, t) p = Softmax<axis = -1>(s)
    c = MatMul(p, x) r = ReduceMean<keepdims = 0>(c, one) y = MatMul(r, v)
"""


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def nodes(graph: onnx.GraphProto):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def shapes(path) -> dict[str, tuple[object, ...]]:
    graph = onnx.load(path).graph
    return {
        v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim)
        for v in (*graph.input, *graph.output)
    }


def assert_static(path, found) -> None:
    """All that is declared is a number, and true; nothing asks for a shape."""
    declared = shapes(path)
    assert all(isinstance(d, int) and d > 0 for dims in declared.values() for d in dims), declared
    assert {k: v.shape for k, v in found.items()} == {k: declared[k] for k in found}
    assert not {n.op_type for n in nodes(onnx.load(path).graph)} & {"Shape", "Size"}


def attention(models, rows: str = "N", length: str = "T"):
    return models.make(
        f"m (float[{rows}, {length}, 6] x) => (float[{rows}, 3] y) {{ {ATTENTION} }}",
        a=models.random(6, 6), v=models.random(6, 3), one=np.array([1]),
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_number_of_samples(method, models, tmp_path) -> None:
    model, x, options = models.conv(), models.random(3, 2, 8, 8), dict(METHODS[method])
    if method == "layer_activation":
        options["layer"] = model.graph.node[0].output[0]
    made = ox.export(model, tmp_path / "made.onnx", method=method, batch=3, **options)
    feeds = {"x": x} | ({"target": np.array([1, 0, 2])} if "target" in made.inputs else {})
    found = stock(made.path, **feeds)
    assert_static(made.path, found)
    if "target" in made.inputs:
        assert shapes(made.path)["target"] == (3,)
    wanted = ox.verify(made.path, model, feeds)
    assert wanted, wanted.differences


@pytest.mark.parametrize(
    "given",
    [
        {"shapes": {"x": (2, 5, 6)}},
        {"shapes": {"N": 2, "T": 5}},
        {"shapes": {"x": (None, 5, 6)}, "batch": 2},
        {"shapes": {"T": 5, "x": [2, None, None]}},
        {"shapes": {"T": np.int64(5)}, "batch": 2},
    ],
)
@pytest.mark.parametrize("method", ["lrp", "integrated_gradients"])
def test_shapes_by_input_and_by_axis(given, method, models, tmp_path) -> None:
    made = ox.export(attention(models), tmp_path / "made.onnx", method=method, **given)
    feeds = {"x": models.random(2, 5, 6), "target": np.array([1, 2])}
    found = stock(made.path, **feeds)
    assert_static(made.path, found)
    assert shapes(made.path)["x"] == (2, 5, 6)
    assert ox.verify(made.path, attention(models), feeds)


def test_some_lengths_may_stay_open(models, tmp_path) -> None:
    made = ox.export(attention(models), tmp_path / "made.onnx", method="lrp", shapes={"T": 5})
    assert shapes(made.path)["x"] == ("N", 5, 6)
    for n in (1, 4):
        assert ox.verify(made.path, attention(models), models.random(n, 5, 6))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_number_becomes_another(batch, models, tmp_path) -> None:
    model = attention(models, "1", "5")
    made = ox.export(model, tmp_path / "made.onnx", method="lrp", batch=batch)
    x, target = models.random(batch, 5, 6), np.arange(batch) % 3
    found = stock(made.path, x=x, target=target)
    assert_static(made.path, found)
    expected = ox.explain(attention(models), x, target, method="lrp").values
    np.testing.assert_allclose(found["attribution/x"], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_samples_along_another_axis(models, tmp_path) -> None:
    model = models.make(
        "m (float[T, batch, 4] x, float[1, batch, 3] h) => (float[batch, 3] y) { "
        "a, y0 = RNN<hidden_size = 3>(x, W, R, , , h) y = Squeeze(y0, zero) }",
        W=models.random(1, 3, 4), R=models.random(1, 3, 3), zero=np.array([0]),
    )  # fmt: skip
    made = ox.export(model, tmp_path / "made.onnx", method="saliency", batch=2, shapes={"T": 5})
    assert shapes(made.path) == {
        "x": (5, 2, 4), "h": (1, 2, 3), "target": (2,), "y": (2, 3), "attribution/x": (5, 2, 4),
    }  # fmt: skip
    assert ox.verify(made.path, model, {"x": models.random(5, 2, 4), "h": models.random(1, 2, 3)})


def test_several_methods_and_classes(models, tmp_path) -> None:
    made = ox.export(
        models.conv(),
        tmp_path / "made.onnx",
        method=["lrp", ox.IntegratedGradients(n_steps=3)],
        top_k=2,
        batch=2,
    )
    found = stock(made.path, x=models.random(2, 2, 8, 8))
    declared = shapes(made.path)
    assert {k: v.shape for k, v in found.items()} == {k: declared[k] for k in found}
    assert ox.verify(made.path, models.conv(), models.random(2, 2, 8, 8))


WRONG = {
    "unknown": ({"shapes": {"z": 3}}, "no input and no open axis 'z'; inputs are x, open axes N, T"),
    "near": ({"shapes": {"xx": 3}}, "did you mean 'x'"),
    "too few": ({"shapes": {"x": (2, 5)}}, r"input 'x' has 3 axes \(N, T, 6\), and 2 lengths"),
    "contradiction": ({"shapes": {"x": (2, 5, 7)}}, "input 'x' has the length 6 along axis 2"),
    "zero": ({"shapes": {"x": (0, 5, 6)}}, "input 'x', axis 0 is 0; give a whole number"),
    "text": ({"shapes": {"x": "2,5,6"}}, "input 'x' takes a whole shape"),
    "number": ({"shapes": {"x": 2}}, "input 'x' takes a whole shape"),
    "fraction": ({"shapes": {"T": 2.5}}, "axis 'T' is 2.5"),
    "two ways": ({"shapes": {"x": (2, 5, 6), "T": 4}}, "axis 'T' makes the axis 'T' 4 long, and input 'x' 5"),
    "batch": ({"shapes": {"x": (2, 5, 6)}, "batch": 3}, "input 'x' has 2 samples by shapes=, and batch=3"),
    "no dict": ({"shapes": (2, 5, 6)}, "give a dict by input"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_lengths_are_told(case, models, tmp_path) -> None:
    given, words = WRONG[case]
    with pytest.raises(DataInputError, match=words):
        ox.export(attention(models), tmp_path / "made.onnx", method="lrp", **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("batch", [0, -1, "some", 2.5, True])
def test_wrong_batches_are_told(batch, models, tmp_path) -> None:
    with pytest.raises(ox.errors.MethodError, match=r"batch is .*'any'.* a whole number of at least 1"):
        ox.export(attention(models), tmp_path / "made.onnx", batch=batch)


def test_lengths_that_do_not_run_are_told(models, tmp_path) -> None:
    model = models.make(
        "m (float[N, H, 4] x) => (float[N, 3] y) { f = Flatten(x) y = MatMul(f, w) }", w=models.random(20, 3)
    )
    assert ox.export(model, tmp_path / "made.onnx", method="saliency", shapes={"H": 5}, batch=2)
    with pytest.raises((DataInputError, InvalidModelError), match=r"input 'x' of \(2, 6, 4\)"):
        ox.export(model, tmp_path / "other.onnx", method="saliency", shapes={"x": (2, 6, 4)})
    assert not (tmp_path / "other.onnx").exists()


def test_samples_that_are_none_are_told(models, tmp_path) -> None:
    model = models.make(
        "m (float[N, 4] x) => (float[4] y) { y = ReduceSum<keepdims = 0>(x, zero) }", zero=np.array([0])
    )
    with pytest.raises(
        DataInputError, match=r"batch=2: no axis of input 'x' \(N, 4\) is proven to hold samples"
    ):
        ox.export(model, tmp_path / "made.onnx", method="saliency", batch=2)


def test_command(models, tmp_path) -> None:
    onnx.save(attention(models), tmp_path / "model.onnx")
    model, out = str(tmp_path / "model.onnx"), str(tmp_path / "made.onnx")
    run("export", model, out, "--batch", "2", "--shape", "T=5")
    assert shapes(out)["x"] == (2, 5, 6)
    run("export", model, out, "--shape", "x=2,4,6")
    assert shapes(out)["x"] == (2, 4, 6)
    for given, words in (
        ("x", "--shape x"),
        ("x=2,a,6", "--shape x=2,a,6"),
        ("x=2,4,7", "'x' has the length 6"),
    ):
        assert words in failure("export", model, out, "--shape", given)
    assert "--batch" in failure("export", model, out, "--batch", "few")
