"""Weights that a layer and its walk back share are read anew, where both have the same shape."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.exported_file import own_weights


def square(models) -> onnx.ModelProto:
    """Return two square layers, one of them a convolution, and one that is not square."""
    return models.make(
        """m (float[N, 8, 6, 6] x) => (float[N, 3] y) {
          a = Conv<pads = [1, 1, 1, 1]>(x, w)
          b = Relu(a)
          p = GlobalAveragePool(b)
          f = Flatten(p)
          h = MatMul(f, u)
          r = Relu(h)
          y = MatMul(r, v)
        }""",
        w=models.random(8, 8, 3, 3, seed=1),
        u=models.random(8, 8, seed=2),
        v=models.random(8, 3, seed=3),
    )


def run(path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)


@pytest.mark.parametrize(
    "method", ["saliency", "lrp", "deep_lift", ox.IntegratedGradients(n_steps=5)], ids=str
)
def test_square_layers_read_theirs_and_the_numbers_stay(method, models, tmp_path) -> None:
    feeds = {"x": models.random(2, 8, 6, 6), "target": np.array([0, 2])}
    plain = ox.export(square(models), tmp_path / "own.onnx", method=method).path
    values = dict(zip([o.name for o in onnx.load(plain).graph.output], run(plain, feeds), strict=True))
    expected = ox.explain(square(models), feeds["x"], [0, 2], method=method)
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(values["attribution/x"], expected.values, rtol=0, atol=1e-5 * scale)
    if method == "saliency":
        assert sum("onnxplain/own/Neg" in (n.name or "") for n in ir.load(plain).graph.all_nodes()) == 2
    cpu = ox.export(square(models), tmp_path / "cpu.onnx", method=method, form="cpu").path
    assert not any("onnxplain/own" in n.name for n in ir.load(cpu).graph.all_nodes() if n.name)


def test_each_role_has_one(models) -> None:
    model = ir.from_proto(
        models.make(
            """m (float[N, 4] x) => (float[N, 4] y) {
              a = MatMul(x, w)
              b = MatMul(a, w)
              t = Transpose<perm = [1, 0]>(w)
              c = MatMul(b, t)
              d = MatMul(c, t)
              e = Gemm<transB = 1>(d, w)
              y = Gemm(e, v)
            }""",
            w=models.random(4, 4),
            v=models.random(4, 4, seed=1),
        )
    )
    x = models.random(2, 4)
    before = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    assert own_weights(model) == 1
    after = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    np.testing.assert_array_equal(before[0], after[0])
    assert own_weights(model) == 0


def test_others_keep_their_weights(models) -> None:
    model = ir.from_proto(
        models.make(
            """m (float[N, 6, 5, 5] x) => (float[N, 6, 5, 5] y) {
              a = Conv<group = 6>(x, w)
              b = ConvTranspose<group = 6>(a, w)
              c = Conv(b, v)
              y = ConvTranspose(c, v)
            }""",
            w=models.random(6, 1, 3, 3),
            v=models.random(4, 6, 2, 2),
        )
    )
    assert own_weights(model) == 0


def test_deep_networks_are_no_recursion(models, tmp_path) -> None:
    layers = "\n".join(f"h{k + 1} = Tanh(h{k})" for k in range(1500))
    model = models.make(
        f"m (float[N, 4] x) => (float[N, 3] y) {{ h0 = Identity(x) {layers} y = MatMul(h1500, v) }}",
        v=models.random(4, 3),
    )
    proto = ir.from_proto(model)
    assert own_weights(proto) == 0
