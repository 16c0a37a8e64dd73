"""Lowering suits a program to a device: only nodes that we wrote change, and the numbers stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.methods import OnePass
from onnxplain.runtime.programs import lower, unmark

ONE_PASS = tuple(n for n, m in ox.METHODS.items() if issubclass(m, OnePass))


def safe_division(models):
    """A model that divides where it may, and transposes a convolution, in the very forms that rules write."""
    return models.make(
        """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
          n = Conv(x, w)
          d = Relu(n)
          ok = Greater(d, zero)
          q = Div(n, d)
          s = Where(ok, q, zero)
          u = Add(s, n)
          t = ConvTranspose(u, v)
          r = Relu(t)
          p = GlobalAveragePool(r)
          f = Flatten(p)
          y = Gemm(f, k)
        }""",
        w=models.random(3, 2, 3, 3), v=models.random(3, 3, 3, 3, seed=1), k=models.random(3, 3, seed=2),
        zero=np.zeros((), np.float32),
    )  # fmt: skip


def run(path, **feeds):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def test_masks_of_the_models_own_stay(models) -> None:
    """Where the divisor is 0, the model's Where hides an infinity that a product would turn into NaN."""
    model, x = safe_division(models), models.random(4, 2, 4, 4, seed=3)
    explainer = ox.Explainer(model)
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = plain.run(None, {"x": x})[0]
    result = explainer(x, 1, "lrp", composite="epsilon")
    np.testing.assert_allclose(result.predictions, expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(result.values).all()


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "guided_backprop"])
def test_a_pole_behind_a_mask_is_not_multiplied_by_it(method, models) -> None:
    """The gradient of a square root at 0 is infinite; the ReLU before it lets none of it through."""
    model = models.make(
        """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
          c = Conv(x, w) r = Relu(c) s = Sqrt(r) p = GlobalMaxPool(s) f = Flatten(p) y = Identity(f)
        }""",
        w=models.random(3, 2, 2, 2),
    )  # fmt: skip
    x = models.random(5, 2, 4, 4, seed=1)
    x[0] = 0  # all of r is 0, and so is the winner
    values = ox.explain(model, x, 1, method=method).values
    assert np.isfinite(values).all()
    assert not values[0].any()
    assert values[1:].any()


@pytest.mark.parametrize("form", ["portable", "cpu", "cuda"])
@pytest.mark.parametrize("method", ONE_PASS)
def test_every_form_gives_the_same_and_keeps_the_models_nodes(method, form, models, tmp_path) -> None:
    model, x = safe_division(models) if method == "saliency" else models.conv(), models.random(2, 2, 8, 8)
    x = x[..., : (4 if method == "saliency" else 8), : (4 if method == "saliency" else 8)]
    path = ox.export(model, tmp_path / "made.onnx", method=method, form=form).path
    made = onnx.load(path)
    operators = [n.op_type for n in made.graph.node]
    own = [n.op_type for n in model.graph.node if n.op_type in ("Where", "ConvTranspose", "Greater")]
    assert all(operators.count(op) >= own.count(op) for op in own)
    if form != "cpu":
        assert "HardSigmoid" not in operators
    assert not any(p.key == facts.WRITTEN_KEY for n in made.graph.node for p in n.metadata_props)
    found = run(path, x=x, target=np.array([1, 0]))
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(found["y"], plain.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)
    if method != "saliency":
        expected = ox.explain(model, x, [1, 0], method=method).values
        np.testing.assert_allclose(
            found["attribution/x"], expected, rtol=0, atol=1e-4 * np.abs(expected).max()
        )


def test_the_cpu_form_is_lowered(models, tmp_path) -> None:
    model = models.make(
        """m (float[N, 9, 8, 8] x) => (float[N, 3] y) {
          c = Conv(x, w) r = Relu(c) d = Conv<strides = [2, 2]>(r, v) g = GlobalAveragePool(d) y = Flatten(g)
        }""",
        w=models.random(4, 9, 3, 3), v=models.random(3, 4, 2, 2),
    )  # fmt: skip
    path = ox.export(model, tmp_path / "made.onnx", method="saliency", form="cpu").path
    operators = [n.op_type for n in onnx.load(path).graph.node]
    assert "HardSigmoid" in operators
    transposed = operators.count("ConvTranspose")  # those with strides
    portable = ox.export(model, tmp_path / "portable.onnx", method="saliency").path
    operators = [n.op_type for n in onnx.load(portable).graph.node]
    assert "HardSigmoid" not in operators
    assert operators.count("ConvTranspose") > transposed


def test_an_exported_file_is_a_model_like_any_other(models, tmp_path) -> None:
    """The masks that it holds are its own, whatever marks its nodes carry."""
    first = ox.export(models.conv(), tmp_path / "first.onnx", method="saliency")
    model = onnx.load(first.path)
    for node in model.graph.node:
        node.metadata_props.add(key=facts.WRITTEN_KEY, value="")
    normal = normalize(load(model), expand=needs_body)
    assert not any(facts.is_written(n) for n in normal.model.graph.all_nodes())
    wheres = sum(n.op_type == "Where" for n in normal.model.graph)
    program = build(normal, Question("y", ("x",)), keep=[o.name for o in normal.model.graph.outputs])
    assert any(facts.is_written(n) for n in program.model.clone().graph), "marks survive a copy"
    lower(program.model, "cpu")
    assert sum(n.op_type == "Where" for n in program.model.graph) == wheres
    unmark(program.model)
    assert not any(facts.is_written(n) for n in program.model.graph)


def test_copies_of_the_models_nodes_are_none_of_ours(models) -> None:
    """DeepLIFT runs the model a second time, from the reference."""
    normal = normalize(load(safe_division(models)), expand=needs_body)
    program = build(normal, Question("y", ("x",), ox.DeepLift().needs()))
    for node in program.model.graph:
        if node.op_type == "ConvTranspose" and any(v.name == "v" for v in node.inputs):
            assert not facts.is_written(node)
    before = sum(n.op_type == "ConvTranspose" for n in normal.model.graph)
    lower(program.model, "cpu")
    assert sum(n.op_type == "ConvTranspose" for n in program.model.graph) >= 2 * before


def test_unknown_forms_are_refused(models, tmp_path) -> None:
    with pytest.raises(MethodError, match="form 'gpu' is unknown; choose one of portable, cpu, cuda"):
        ox.export(models.conv(), tmp_path / "made.onnx", form="gpu")
    assert not list(tmp_path.iterdir())
    assert isinstance(ir.from_proto(models.conv()), ir.Model)
