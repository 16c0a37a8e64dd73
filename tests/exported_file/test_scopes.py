"""Names in exported files: one value of a name where both could be seen."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from half_models import half
from names_twice import names_twice

import onnxplain as ox
from onnxplain.exported_file import distinct_names

IG = ox.IntegratedGradients(n_steps=4)
KINDS = {
    "plan": {"method": IG},
    "at_once": {"method": IG, "steps_at_once": 3},
    "nested": {"method": ox.SmoothGrad(IG, n_samples=2)},
    "rows": {"method": IG, "baselines": ox.Background(np.ones((3, 2, 8, 8), np.float32))},
    "top_k": {"method": "saliency", "top_k": 2},
    "top_k_of_plans": {"method": IG, "top_k": 2},
    "predicted": {"method": IG, "target": "predicted"},
    "several": {"method": {"a": IG, "b": "lrp", "c": ox.Occlusion((2, 4, 4))}},
    "layer": {"method": "layer_conductance"},
    "fast": {"method": IG, "form": "cpu"},
}


def _run(path, x: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs() if i.name != "x"]
    feeds = {"x": x, **{name: np.arange(len(x)) % 4 for name in names}}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(float(np.abs(expected).max()), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_is_there_once(kind, models, tmp_path) -> None:
    made = ox.export(models.conv(softmax=True), tmp_path / "made.onnx", **KINDS[kind])
    assert names_twice(made.path) == set()


@pytest.mark.parametrize("outer", ["at_once", "several"])
@pytest.mark.parametrize("inner", ["plan", "at_once", "predicted", "several"])
def test_a_file_of_a_file(inner, outer, models, tmp_path) -> None:
    """What a file gives it gives in a file that explains it, too, beside what explains the same model."""
    model, x = models.conv(), models.random(2, 2, 8, 8)
    score = model.graph.output[0].name
    first = ox.export(model, tmp_path / "first.onnx", **KINDS[inner])
    whole = ox.export(first.path, tmp_path / "whole.onnx", output=score, wrt="x", **KINDS[outer])
    direct = ox.export(model, tmp_path / "direct.onnx", **KINDS[outer])
    assert names_twice(whole.path) == set()
    found = _run(whole.path, x)
    for name, values in _run(first.path, x).items():
        close(found[name], values)
    for name, values in _run(direct.path, x).items():
        close(found[max((n for n in whole.outputs if n.rstrip("_") == name), key=len)], values)


def test_a_file_of_a_file_in_half_precision(models, tmp_path) -> None:
    """Casts at the border have names of their own, too."""
    small = half(models.conv())
    first = ox.export(small, tmp_path / "first.onnx", **KINDS["plan"])
    score = small.graph.output[0].name
    whole = ox.export(first.path, tmp_path / "whole.onnx", output=score, wrt="x", **KINDS["plan"])
    assert names_twice(whole.path) == set()
    x = models.random(2, 2, 8, 8).astype(np.float16)
    found = _run(whole.path, x)
    for name, values in _run(first.path, x).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-3 * float(np.abs(values).max()))


def test_bodies_yield_to_what_is_around_them() -> None:
    """The body's own 'a', 'w' and 'late' get other names; what it reads from outside stays that."""
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]>
        m (float[2] x, bool go) => (float[2] y, float[2] late) {
          a = Neg(x)
          b = Sqrt(x)
          y = If(go) <then_branch = g () => (float[2] inside) <float[2] w = {1, 2}> {
                c = Mul(b, w)
                inside = Add(c, a)
              }, else_branch = h () => (float[2] other) { other = Identity(a) }>
          late = Neg(y)
        }"""
    )
    x = np.array([1, 4], np.float32)
    expected = ort.InferenceSession(proto.SerializeToString()).run(None, {"x": x, "go": np.array(True)})
    model = ir.from_proto(proto)
    then = next(n for n in model.graph if n.op_type == "If").attributes["then_branch"].as_graph()
    product, total = then
    product.outputs[0].name, total.outputs[0].name = "late", "y"
    then.initializers["w"].name = "b"
    distinct_names(model)
    assert [product.outputs[0].name, total.outputs[0].name] == ["late/inside", "y/inside"]
    assert list(then.initializers) == ["b/inside"]
    assert [v.name for v in model.graph.outputs] == ["y", "late"]
    again = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    for found, wanted in zip(again.run(None, {"x": x, "go": np.array(True)}), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
