"""Files tell samples apart wherever the explainer does, whatever lengths their inputs may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox

SIGNED = ox.Saliency(abs=False)


def state(models: Any) -> onnx.ModelProto:
    """The batch is the first axis of one input and the second of another."""
    return models.make(
        """m (float[N, T, 3] x, float[2, N, 4] h) => (float[N, 4] y) {
          a = MatMul(x, w) s = ReduceMax<keepdims = 0>(a, one)
          first = Gather<axis = 0>(h, zero) sum = Add(s, first) y = Tanh(sum)
        }""",
        w=models.random(3, 4), one=np.array([1]), zero=np.array(0),
    )  # fmt: skip


def traced(models: Any) -> onnx.ModelProto:
    """The trace wrote down the length that it saw (7), and counts the batch."""
    return models.make(
        """m (float[N, T, 4] x) => (float[N, 3] y) {
          t = Transpose<perm = [1, 0, 2]>(x) shape = Shape(t) n = Gather(shape, one)
          two = Mul(n, heads) parts = Concat<axis = 0>(seven, two, half) q = Reshape(t, parts)
          k = Transpose<perm = [1, 0, 2]>(q) kt = Transpose<perm = [0, 2, 1]>(k) s = MatMul(k, kt)
          a = Softmax<axis = 2>(s) v = MatMul(a, k) back = Transpose<perm = [1, 0, 2]>(v)
          whole = Concat<axis = 0>(seven, n, four) o = Reshape(back, whole)
          m = ReduceMean<keepdims = 0>(o, first) y = MatMul(m, w)
        }""",
        one=np.array([1]), heads=np.array([2]), seven=np.array([7]), half=np.array([2]), four=np.array([4]),
        first=np.array([0]), w=models.random(4, 3),
    )  # fmt: skip


def weights_ask(models: Any) -> onnx.ModelProto:
    """A length that only the weights tell (5), on an axis that might be the batch."""
    return models.make(
        """m (float[N, 4] x, float[K, 3] z) => (float[N, 3] y) {
          a = MatMul(x, w) b = Tanh(a) y = MatMul(b, z)
        }""",
        w=models.random(4, 5),
    )  # fmt: skip


def channels_first(models: Any) -> onnx.ModelProto:
    """Samples lie along the second axis; the weights ask for a length of the first."""
    return models.make(
        "m (float[C, N] x) => (float[3, N] y) { a = MatMul(w, x) y = Tanh(a) }", w=models.random(3, 4)
    )


CASES: dict[str, tuple[Callable[[Any], onnx.ModelProto], dict[str, tuple[int, ...]], int]] = {
    "state": (state, {"x": (3, 5, 3), "h": (2, 3, 4)}, 0),
    "traced": (traced, {"x": (3, 7, 4)}, 0),
    "weights_ask": (weights_ask, {"x": (3, 4), "z": (5, 3)}, 0),
    "channels_first": (channels_first, {"x": (4, 5)}, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_files_tell_the_samples_that_the_explainer_tells(name, models, tmp_path) -> None:
    make, shapes, axis = CASES[name]
    model = make(models)
    feeds = {k: models.random(*shape, seed=i) for i, (k, shape) in enumerate(shapes.items())}
    n = feeds["x"].shape[axis]
    target = np.arange(n) % 3
    found = ox.explain(model, feeds, target.tolist(), method=SIGNED, wrt="x")
    assert len(found) == n
    made = ox.export(model, tmp_path / "made.onnx", method=SIGNED, wrt="x")
    assert made.mixed is None
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution/x"], {**feeds, "target": target})
    np.testing.assert_allclose(values, found.values, rtol=0, atol=1e-5)


def test_what_is_right_for_two_samples_is_no_layout_of_a_file(models, tmp_path) -> None:
    """A Squeeze without axes: one sample alone loses its axis, so the index is one of the whole output."""
    model = models.make(
        "m (float[N, 4] x) => (float[3] y) { a = MatMul(x, w) b = Tanh(a) y = Squeeze(b) }",
        w=models.random(4, 3),
    )
    x = models.random(1, 4)
    made = ox.export(model, tmp_path / "made.onnx", method=SIGNED)
    assert made.mixed is not None
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution/x"], {"x": x, "target": np.array([2])})
    np.testing.assert_allclose(values, ox.explain(model, x, 2, method=SIGNED).values, rtol=0, atol=1e-5)
