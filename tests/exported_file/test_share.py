"""Weights once: copies of all kinds become nodes, with the same numbers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.exported_file import share_weights


def run(proto, x: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


BASE = np.random.default_rng(0).normal(size=(12, 16, 3, 3)).astype(np.float32)
COPIES = {
    "copy": BASE,
    "positive": np.maximum(BASE, 0),
    "negative": np.minimum(BASE, 0),
    "absolute": np.abs(BASE),
    "square": BASE * BASE,
    "transposed": BASE.transpose(1, 0, 2, 3),
    "flipped": BASE[..., ::-1, ::-1],
    "both": np.minimum(BASE, 0).transpose(1, 0, 2, 3)[..., ::-1, ::-1],
    "longer": BASE.transpose(1, 0, 2, 3)[None, :, :, None],
    "all": BASE.transpose(3, 2, 1, 0),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_become_nodes(name, models) -> None:
    copy = np.ascontiguousarray(COPIES[name])
    model = models.make(
        "m (float[1] x) => (float[a, b, c, d] y, float[e, f, g, h] z) { y = Mul(x, w) z = Mul(x, v) }",
        w=BASE, v=copy,
    )  # fmt: skip
    if copy.ndim != 4:
        del model.graph.output[1].type.tensor_type.shape.dim[:]
        model.graph.output[1].type.tensor_type.ClearField("shape")
    made = ir.from_proto(model)
    assert share_weights(made) == BASE.nbytes
    assert "v" not in made.graph.initializers
    x = np.array([3], np.float32)
    for ours, theirs in zip(run(ir.to_proto(made), x), run(model, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["one entry", "shuffled", "small", "dtype"])
def test_what_is_no_copy_stays(kind, models) -> None:
    other = BASE.copy()
    if kind == "one entry":
        other[0, 0, 0, 0] += 1e-3
    elif kind == "shuffled":  # the same entries, in no order of axes
        other = np.random.default_rng(1).permutation(other.ravel()).reshape(BASE.shape)
    base = BASE[:1, :1] if kind == "small" else BASE
    other = base if kind == "small" else other.astype(np.float64) if kind == "dtype" else other
    kinds = "double" if kind == "dtype" else "float"
    model = models.make(
        f"m (float[1] x, {kinds}[1] u) => (float[a, b, c, d] y, {kinds}[e, f, g, h] z) "
        "{ y = Mul(x, w) z = Mul(u, v) }",
        w=base, v=other,
    )  # fmt: skip
    made = ir.from_proto(model)
    assert share_weights(made) == 0
    assert set(made.graph.initializers) == {"w", "v"}


@pytest.mark.parametrize("form", ["portable", "cpu"])
@pytest.mark.parametrize("method", ["lrp", "deep_lift", "integrated_gradients", "occlusion"])
def test_files_hold_weights_once(method, form, models, tmp_path) -> None:
    model = models.make(
        """m (float[N, 8, 6, 6] x) => (float[N, 4] y) {
          a = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(a) b = Conv(r, v) p = GlobalAveragePool(b)
          f = Flatten(p) y = MatMul(f, u)
        }""",
        w=models.random(64, 8, 3, 3), v=models.random(256, 64, 1, 1), u=models.random(256, 4),
    )  # fmt: skip
    made = ox.export(model, tmp_path / "made.onnx", method=method, form=form)
    assert made.source_size == 4 * (64 * 72 + 256 * 64 + 1024)
    spent = made.size - made.source_size
    assert spent < made.source_size / 2  # no second copy, but nodes
    feeds = {"x": models.random(2, 8, 6, 6), "target": np.array([1, 3])}
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    found = session.run(["attribution/x"], feeds)[0]
    expected = ox.explain(model, feeds["x"], [1, 3], method=method).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def held(model: ir.Model, name: str, array: np.ndarray) -> None:
    """Give a model a weight in place of an input, without a copy of it."""
    (given,) = (v for v in model.graph.inputs if v.name == name)
    model.graph.inputs.remove(given)
    given.const_value, given.shape = ir.tensor(array), ir.Shape(array.shape)
    model.graph.register_initializer(given)


@pytest.mark.parametrize("copies", [1, 2])
def test_memory_does_not_grow_with_a_weight(copies, models) -> None:
    weight = np.arange(75_000_000, dtype=np.float32).reshape(7500, 10_000)  # 300 MB
    made = ir.from_proto(
        models.make(
            "m (float[a, 7500] x, float[a, b] u, float[c, d] w, float[e, f] v) "
            "=> (float[a, g] y, float[a, h] z) { y = MatMul(x, w) z = MatMul(u, v) }"
        )
    )
    held(made, "w", weight)
    held(made, "v", weight.T if copies == 2 else weight[:-1].T)  # a copy, or one entry of a length too few
    tracemalloc.start()
    try:
        assert share_weights(made) == (weight.nbytes if copies == 2 else 0)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_weights_beside_the_model(models, tmp_path) -> None:
    w = models.random(64, 96)
    proto = models.make(
        "m (float[N, 64] x) => (float[N, 64] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }",
        w=w,
        v=w.T.copy(),
    )
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    made = ox.export(tmp_path / "m.onnx", tmp_path / "made.onnx", method="saliency")
    assert made.source_size == 2 * w.nbytes
    assert made.size < made.source_size  # the model holds it twice, the file once
    assert ox.verify(made.path, tmp_path / "m.onnx", models.random(3, 64))
