"""Explainers say the same with onnxplain's own operators as without, whatever the method and the rules."""

from __future__ import annotations

import contextlib
import dataclasses

import attention_models
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from kinds import FACTS, Facts

import onnxplain as ox
from onnxplain.backward.composites.presets import PRESETS
from onnxplain.errors import OnnxplainError, RuntimeUnavailableError
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime import operators

FOUR = (np.arange(64).reshape(1, 8, 8) // 32 * 2 + np.arange(8) // 4).astype(np.int64)


def said(explainer, *arguments, **options):
    try:
        return explainer(*arguments, **options)
    except OnnxplainError as error:
        return error


def both(model, x, target, method, **options) -> bool:
    """Compare both; return whether there was something to compare."""
    a, b = (said(ox.Explainer(model, accelerate=k), x, target, method, **options) for k in (True, False))
    if isinstance(b, OnnxplainError):
        assert str(a) == str(b)
        return False
    for name, values in b.arrays.items():
        # Steps are the same bit for bit; sums are made in another order, and onnxruntime fuses what stands
        # around them otherwise.
        np.testing.assert_allclose(a.arrays[name], values, rtol=0, atol=5e-5 * np.abs(values).max())
    np.testing.assert_allclose(a.score, b.score, rtol=1e-5, atol=1e-6)
    return True


@pytest.mark.parametrize("name", sorted(ox.METHODS))
def test_every_method(name, models) -> None:
    kind, facts = ox.METHODS[name], FACTS.get(name, Facts())
    fields = {f.name for f in dataclasses.fields(kind)}
    chosen = {k: v for k, v in {"n_steps": 5, "n_masks": 20, "n_repeats": 2}.items() if k in fields}
    model = models.conv(softmax=True)
    if name == "layer_activation":
        chosen["layer"] = next(n.output[0] for n in model.graph.node if n.op_type == "Relu")
    method = kind(**(chosen | {k: v for k, v in facts.quick.items() if k in fields}))
    options = {"feature_mask": FOUR} if method.wants_players() else {}
    both(model, models.random(2, 2, 8, 8), [0, 2], method, **options)


def composites() -> dict[str, ox.LRP]:
    """Return all composites of relevance, with bounds where they need them."""
    found = {}
    for name, bounds in ((n, b) for n in PRESETS for b in ({}, {"low": -3.0, "high": 3.0})):
        with contextlib.suppress(OnnxplainError):
            found.setdefault(name, ox.LRP(name, **bounds))
    return found


COMPOSITES = composites()


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_every_composite(name, models) -> None:
    assert len(COMPOSITES) > 15
    for model in (models.conv(), models.vgg(), models.maps()):
        dims = model.graph.input[0].type.tensor_type.shape.dim
        shape = [d.dim_value or (2 if k == 0 else 16) for k, d in enumerate(dims)]
        both(model, models.random(*shape), "predicted", COMPOSITES[name])


def transformer(models, norm: str):
    """Attention over words, of which not even the graph says that their axes are those of the rest."""
    names = {"LayerNormalization": "gain, shift", "RMSNormalization": "gain"}[norm]
    body = attention_models.block(0, masked=True).replace("Reshape(q0, split)", "Reshape(q0, asked)")
    return models.make(
        f"""m (float[N, L, 8] x, float[N, 1, 1, M] hidden, int64[4] asked) => (float[N, 3] y) {{
          h0 = {norm}(x, {names})
          {body}
          a = {norm}(h1, {names}) d = Div(a, root) e = Erf(d) f = Add(e, unit) b = Mul(a, f) c = Mul(b, half)
          p = ReduceMean<keepdims = 0>(c, one)
          y = MatMul(p, end)
        }}""",
        opset=18 if norm == "LayerNormalization" else 23,
        **attention_models.weights(models, 1), **attention_models.shapes("apart", 0),
        gain=models.random(8, seed=3), shift=models.random(8, seed=4), unit=1.0, half=0.5, root=np.sqrt(2),
    )  # fmt: skip


WALKS = [(m, "LayerNormalization") for m in ("saliency", "deep_lift", "lrp", ox.LRP("attention"))]
WORDS = {"hidden": np.zeros((2, 1, 1, 4), np.float32), "asked": np.array([0, 0, 2, 4])}


@pytest.mark.parametrize(("method", "norm"), [*WALKS, ("saliency", "RMSNormalization")], ids=str)
def test_transformers(method, norm, models) -> None:
    if norm == "RMSNormalization":
        pytest.importorskip("onnxruntime", minversion="1.24", reason="it has no kernel for RMSNormalization")
    model, x = transformer(models, norm), WORDS | {"x": models.random(2, 4, 8)}
    assert both(model, x, [0, 2], method, wrt=["x"])


def test_programs_have_them(models, tmp_path) -> None:
    """What is compared above is not twice the same."""

    def own(model, method, **options) -> set[str]:
        path = ox.export(model, tmp_path / "made.onnx", method=method, form="accelerated", **options).path
        return {n.op_type for n in onnx.load(path).graph.node if n.domain == DOMAIN}

    assert own(models.conv(), "deep_lift") == {"Elementwise", "MaxPoolGrad"}
    assert "GiveAll" in own(models.conv(), "lrp")
    text = transformer(models, "LayerNormalization")
    assert own(text, "saliency", wrt=["x"]) >= {
        "GeluBackward",
        "NormBackward",
        "SoftmaxBackward",
        "SumCopies",
    }


@pytest.mark.parametrize(
    ("method", "form"),
    [(m, "accelerated") for m in ("lrp", "deep_lift", "integrated_gradients", "smooth_grad")]
    + [(m, "accelerated_cuda") for m in ("lrp", "deep_lift")],  # the library has them for the CPU, too
)
def test_files_of_this_form_say_the_same(method, form, models, tmp_path) -> None:
    model, x = models.conv(), models.random(3, 2, 8, 8)
    made = ox.export(model, tmp_path / "made.onnx", method=method, form=form).path
    options = ort.SessionOptions()
    operators.register(options)
    session = ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution/x"], {"x": x, "target": np.array([0, 1, 2])})
    expected = ox.Explainer(model, accelerate=False)(x, [0, 1, 2], method).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert ox.verify(made, model, x)


def test_without_the_library(models, monkeypatch) -> None:
    """Explainers go on with operators of the standard, and say so; who insists is told why."""
    monkeypatch.setattr(operators, "_tried", lambda device: "it is not there")
    explainer = ox.Explainer(models.conv())
    assert any("operators of the standard alone: it is not there" in note for note in explainer.notes)
    assert explainer(models.random(1, 2, 8, 8), 0, "deep_lift").values.any()
    with pytest.raises(RuntimeUnavailableError, match="it is not there"):
        ox.Explainer(models.conv(), accelerate=True)
    assert not any("standard alone" in note for note in ox.Explainer(models.conv(), accelerate=False).notes)


def test_a_library_that_does_not_load(monkeypatch, tmp_path) -> None:
    (tmp_path / "onnxplain_ops.so").write_bytes(b"no library")
    monkeypatch.setattr(operators, "operators_library", lambda: tmp_path / "onnxplain_ops.so")
    assert "does not take the library" in str(operators._tried.__wrapped__())
    monkeypatch.setattr(operators, "operators_library", lambda: None)
    assert "without its library" in str(operators._tried.__wrapped__())


@pytest.mark.parametrize(
    "name", [None, *(o.name for o in onnx.load_from_string(operators._probe("cuda")).graph.output)]
)
def test_operators_that_compute_something_else_on_a_gpu_are_not_used(name, monkeypatch) -> None:
    made = operators._made

    def on_gpu(device: str) -> dict[str, np.ndarray]:
        found = {k: v.copy() for k, v in made("cpu").items()}
        if name is not None and device == "cuda":
            found[name].flat[-1] = 1.01 * found[name].flat[-1] + 0.5
        return found

    monkeypatch.setattr(operators, "built_with_cuda", lambda: True)
    monkeypatch.setattr(operators, "resolve", lambda device: device)
    monkeypatch.setattr(operators, "_made", on_gpu)
    says = operators._tried.__wrapped__("cuda")
    assert says == (name and "the library of operators computes something else on cuda")
