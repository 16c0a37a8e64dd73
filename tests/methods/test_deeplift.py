"""DeepLIFT and DeepSHAP: exact cases, references in every form they may have, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, UnsupportedRuleError

NET = "m (float[N, {n}] x) => (float[N, 1] y) {{ {body} }}"
SHAP = {"method": "deep_lift_shap"}


def check(found, expected, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_saturation(rule, models) -> None:
    """y = 1 - relu(1 - i1 - i2) at (1, 1)."""
    body = "s = ReduceSum(x, axis) a = Sub(one, s) r = Relu(a) y = Sub(one, r)"
    model = models.make(NET.format(n=2, body=body), axis=np.array([1]), one=1.0)
    found = ox.explain(model, np.ones((1, 2), np.float32), method=ox.DeepLift(rule))
    check(found.values, [[0.5, 0.5]])
    check(found.reference, [1.0])
    check(found.delta, [0.0])


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_two_rectifiers(rule, models) -> None:
    """2 relu(x1) + 2 relu(x2 - 1.5) at (1, 2)."""
    body = "a = Sub(x, shift) r = Relu(a) y = MatMul(r, w)"
    model = models.make(NET.format(n=2, body=body), shift=[0.0, 1.5], w=[[2.0], [2.0]])
    check(ox.explain(model, np.array([[1.0, 2.0]], np.float32), method=ox.DeepLift(rule)).values, [[2, 1]])


@pytest.mark.parametrize("form", ["difference", "layer"])
def test_the_smaller_of_two(form, models) -> None:
    """min(i1, i2) = i1 - relu(i1 - i2): Rescale gives all to one input, RevealCancel half to each."""
    first = {
        "difference": "a, b = Split<axis = 1, num_outputs = 2>(x) d = Sub(a, b)",
        "layer": "a = MatMul(x, first) d = MatMul(x, both)",
    }[form]
    model = models.make(
        NET.format(n=2, body=f"{first} r = Relu(d) y = Sub(a, r)"), first=[[1.0], [0]], both=[[1.0], [-1]]
    )
    x = np.array([[3.0, 1.0], [1.0, 3.0]], np.float32)
    explainer = ox.Explainer(model)
    check(explainer(x, method=ox.DeepLift()).values, [[0, 1], [1, 0]])
    revealed = explainer(x, method=ox.DeepLift("reveal_cancel"))
    check(revealed.values, [[0.5, 0.5], [0.5, 0.5]])
    check(revealed.delta, [0, 0])
    assert {row[2] for row in revealed.rule_table if row[1] == "Relu"} == {"reveal_cancel"}


def test_from_zero_it_is_gradient_times_input_without_biases(models) -> None:
    x = models.random(5, 2, 8, 8, seed=2)
    explainer = ox.Explainer(models.conv(bias=False))
    found, known = (explainer(x, target=2, method=m).values for m in ("deep_lift", "input_x_gradient"))
    check(found, known, 1e-5 * float(np.abs(known).max()))


def test_where_nothing_differs_the_gradient_stands_in(models) -> None:
    """At the baseline itself the attributions are 0; next to it the multipliers are gradients."""
    x = models.random(3, 5)
    explainer = ox.Explainer(models.tanh())
    assert not explainer(x, target=1, method="deep_lift", baselines=x).values.any()
    step = np.float32(1e-4)
    near = explainer(x + step, target=1, method="deep_lift", baselines=x).values
    gradient = explainer(x, target=1, method=ox.Saliency(abs=False)).values
    check(near, gradient * step, 1e-2 * float(step))


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("baseline", ["number", "sample", "batch", "dict"])
def test_baselines(rule, baseline, models) -> None:
    x, starts = models.random(4, 2, 8, 8), models.random(4, 2, 8, 8, seed=1)
    explainer = ox.Explainer(models.conv())
    given = {"number": 0.3, "sample": starts[0], "batch": starts, "dict": {"x": starts}}[baseline]
    found = explainer(x, target=1, method=ox.DeepLift(rule), baselines=given)
    there = starts if baseline in ("batch", "dict") else np.broadcast_to(given, x.shape).astype(np.float32)
    check(found.reference, found.score - explainer.predict(there)["y"][:, 1], 1e-4)
    assert found.relative_delta.max() < 1e-5


def test_eps_chooses_between_quotient_and_gradient(models) -> None:
    """y = tanh(x) from 0 to 1: tanh(1), or the gradient 1 - tanh(1)^2 where eps says that 1 is about 0."""
    model = models.make(NET.format(n=1, body="y = Tanh(x)"))
    one = np.ones((1, 1), np.float32)
    check(ox.explain(model, one, method=ox.DeepLift(eps=0.0)).values, [[np.tanh(1)]])
    check(ox.explain(model, one, method=ox.DeepLift(eps=1.0)).values, [[1 - np.tanh(1) ** 2]])


def test_softmax_is_left_out_as_for_other_methods(models) -> None:
    x = models.random(3, 5)
    explainer = ox.Explainer(models.mlp(softmax=True))
    before = explainer(x, target=1, method="deep_lift")
    check(before.values, ox.explain(models.mlp(), x, 1, method="deep_lift").values)
    through = explainer(x, target=1, method="deep_lift", through_softmax=True)
    assert through.relative_delta.max() < 1e-5
    zero = explainer.predict(np.zeros_like(x))["y"]
    check(through.reference, (explainer.predict(x)["y"] - zero)[:, 1])


def test_shap_on_a_linear_model(models) -> None:
    """w (x - mean b)."""
    w, x, references = models.random(3, 6), models.random(2, 6, seed=1), models.random(5, 6, seed=2)
    found = ox.explain(models.linear(w), x, 1, **SHAP, baselines=references)
    check(found.values, w[1] * (x - references.mean(0)))
    check(found.reference, ((x - references.mean(0)) @ w[1]))
    check(found.delta, [0, 0])


@pytest.mark.parametrize("size", [None, 1, 4])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_shap_is_the_mean_over_references(rule, size, models) -> None:
    x, references = models.random(3, 2, 8, 8), models.random(5, 2, 8, 8, seed=1)
    explainer = ox.Explainer(models.conv())
    method = ox.DeepLiftShap(rule, per_reference=True)
    found = explainer(x, target=[0, 1, 2], method=method, baselines=references, internal_batch_size=size)
    each = np.stack(
        [explainer(x, target=[0, 1, 2], method=ox.DeepLift(rule), baselines=r).values for r in references], 1
    )
    check(found.values, each.mean(1), 1e-4)
    check(found.extras["per_reference"]["x"], each, 1e-4)
    assert found.relative_delta.max() < 1e-5
    assert not explainer(x, target=0, method=ox.DeepLiftShap(rule), baselines=references).extras


def test_shap_of_several_inputs(models) -> None:
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    starts = {"image": models.random(4, 2, 4, seed=2), "table": models.random(4, 3, seed=3)}
    explainer = ox.Explainer(models.two_inputs())
    found = explainer(inputs, target=1, **SHAP, baselines=starts)
    each = [
        explainer(inputs, target=1, method="deep_lift", baselines={k: v[j] for k, v in starts.items()}).values
        for j in range(4)
    ]
    for name in inputs:
        check(found.values[name], np.mean([e[name] for e in each], axis=0))
    single = explainer(inputs, target=1, **SHAP, baselines={"table": starts["table"]})
    zeros = {"table": starts["table"], "image": np.zeros((4, 2, 4))}
    check(single.values["image"], explainer(inputs, target=1, **SHAP, baselines=zeros).values["image"])


def test_shap_with_a_batch_axis_that_is_not_the_first(models) -> None:
    inputs = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=1)}
    starts = {"x": models.random(2, 5, seed=2), "aside": models.random(5, 2, seed=3)}
    explainer = ox.Explainer(models.batch_last())
    found = explainer(inputs, target=1, **SHAP, baselines=starts)
    each = [
        explainer(
            inputs, target=1, method="deep_lift",
            baselines={"x": starts["x"][j], "aside": starts["aside"][:, [j, j, j]]},
        ).values["aside"]
        for j in range(2)
    ]  # fmt: skip
    check(found.values["aside"], np.mean(each, axis=0))


@pytest.mark.parametrize("batch", ["N", "1"])
def test_tokens_as_references(batch, models) -> None:
    rng = np.random.default_rng(0)
    inputs = {"ids": rng.integers(0, 20, (3, 7)), "mask": np.ones((3, 7), np.int64)}
    references = rng.integers(0, 20, (4, 7))
    explainer = ox.Explainer(models.tokens(batch))
    found = explainer(inputs, target=1, **SHAP, baselines=references)
    each = [explainer(inputs, target=1, method="deep_lift", baselines=np.tile(r, (3, 1))) for r in references]
    check(found.values, np.mean([e.values for e in each], axis=0))
    check(found.reference, np.mean([e.reference for e in each], axis=0))
    same = explainer(inputs, target=1, method="deep_lift", baselines=inputs["ids"])
    assert not same.values.any()


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_quantised_models_too(rule, models) -> None:
    """Rounding is a function of one element like any other."""
    body = """
      q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) a = MatMul(d, w) h = Relu(a)
      r = QuantizeLinear(h, s, z) e = DequantizeLinear(r, s, z) y = MatMul(e, v)
    """
    model = models.make(
        NET.format(n=4, body=body), w=models.random(4, 6), v=models.random(6, 1, seed=1),
        s=np.array(0.05, np.float32), z=np.array(3, np.int8),
    )  # fmt: skip
    found = ox.explain(model, models.random(3, 4, seed=3), method=ox.DeepLift(rule), baselines=0.3)
    assert found.relative_delta.max() < 1e-5


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_rows_that_are_masked_altogether(rule, models) -> None:
    """Softmax is NaN there, and the model replaces that."""
    graph = """m (float[N, 3, 4] x) => (float[N, 1] y) {
      q = MatMul(x, w) t = Transpose<perm = [0, 2, 1]>(x) s = MatMul(q, t) a = Add(s, mask) p = Softmax(a)
      n = IsNaN(p) g = Where(n, zero, p) z = MatMul(g, x) f = Flatten(z) y = MatMul(f, v)
    }"""
    none = -np.inf
    mask = np.array([[0, 0, none], [none, none, none], [0, 0, 0]], np.float32)
    model = models.make(graph, w=models.random(4, 4), mask=mask, zero=0.0, v=models.random(12, 1))
    x = models.random(2, 3, 4, seed=3)
    found = ox.explain(model, x, method=ox.DeepLift(rule), baselines=models.random(3, 4, seed=4))
    assert found.relative_delta.max() < 1e-5


@pytest.mark.parametrize("steps", ["3", "7", "T"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_recurrent_models(rule, kind, steps, models, tmp_path) -> None:
    """Written out step by step where they are few, else a Scan for input and reference at once."""
    graph = f"""m (float[N, {steps}, 2] x) => (float[N, 3] y) {{
      t = Transpose<perm = [1, 0, 2]>(x)
      all, last = {kind}<hidden_size = 3>(t, w, r, b)
      h = Transpose<perm = [1, 0, 2]>(last)
      y = Flatten(h)
    }}"""
    gates = {"LSTM": 12, "GRU": 9}[kind]
    model = models.make(
        graph, w=models.random(1, gates, 2), r=models.random(1, gates, 3, seed=1),
        b=models.random(1, 2 * gates, seed=2),
    )  # fmt: skip
    x = models.random(4, 7 if steps == "T" else int(steps), 2, seed=3)
    method = ox.DeepLift(rule)
    found = ox.explain(model, x, 1, method=method)
    assert found.relative_delta.max() < 1e-5
    made = ox.export(model, tmp_path / "made.onnx", method=method)
    check(stock(made.path, x=x, target=np.ones(4, np.int64))["attribution/x"], found.values)


BAD = [
    ({"baselines": np.zeros((2, 4))}, r"\(M, 5\)"),
    ({"baselines": np.zeros((0, 5))}, "at least one"),
    ({"baselines": np.full((2, 5), np.nan)}, "finite"),
    ({"baselines": "black"}, "finite"),
    ({"baselines": {"z": 0.0}}, "'z'"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_references_that_do_not_fit(options, words, models) -> None:
    with pytest.raises(DataInputError, match=words):
        ox.explain(models.mlp(), models.random(2, 5), 0, **SHAP, **options)


def test_references_of_unequal_number(models) -> None:
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    starts = {"image": np.zeros((4, 2, 4)), "table": np.zeros((3, 3))}
    with pytest.raises(DataInputError, match="'table' has 3 references, but 'image' has 4"):
        ox.explain(models.two_inputs(), inputs, 1, **SHAP, baselines=starts)


def test_parameters_that_make_no_sense() -> None:
    with pytest.raises(MethodError, match="rule is 'linear'; give 'rescale' or 'reveal_cancel'"):
        ox.method("deep_lift", rule="linear")
    with pytest.raises(MethodError, match="eps is -1; give a number"):
        ox.method("deep_lift_shap", eps=-1)


def test_an_operator_without_a_form_is_refused_before_anything_runs(models) -> None:
    body = "values, places = TopK<axis = 1>(x, k) y = ReduceSum(values, axis)"
    model = models.make(NET.format(n=4, body=body), k=np.array([2]), axis=np.array([1]))
    x = models.random(2, 4)
    with pytest.raises(UnsupportedRuleError, match=r"'rescale' .* TopK node .* integrated_gradients"):
        ox.explain(model, x, method="deep_lift")
    assert ox.explain(model, x, method="integrated_gradients").values.any()


def test_a_choice_that_differs_at_the_reference_is_followed(models) -> None:
    """y = 5 if a > 0 else b: at (1, 1) the 5 is picked, at the reference b = 0; b counts half the way."""
    body = "a, b = Split<axis = 1, num_outputs = 2>(x) c = Greater(a, zero) y = Where(c, five, b)"
    model = models.make(NET.format(n=2, body=body), zero=0.0, five=5.0)
    found = ox.explain(model, np.ones((1, 2), np.float32), method="deep_lift")
    check(found.values, [[4.5, 0.5]])
    check(found.delta, [0.0])


@pytest.mark.parametrize("op_type", ["ArgMax", "IsInf"])
def test_what_cannot_be_followed_is_refused_unless_it_is_a_guard(op_type, models, tmp_path) -> None:
    """An index changes with its input; whether something is infinite hardly does."""
    body = f"i = {op_type}(x) f = Cast<to = 1>(i) z = Add(f, x) y = ReduceSum(z, axis)"
    model = models.make(NET.format(n=2, body=body), axis=np.array([1]), opset=20)
    x = np.ones((1, 2), np.float32)
    if op_type == "IsInf":
        check(ox.explain(model, x, method="deep_lift").values, [[1.0, 1.0]])
        return
    for ask in (
        lambda: ox.explain(model, x, method="deep_lift"),
        lambda: ox.export(model, tmp_path / "made.onnx", method="deep_lift"),
    ):
        with pytest.raises(UnsupportedRuleError, match=r"ArgMax node .* integrated_gradients"):
            ask()


def test_a_choice_that_is_a_function_of_one_value_is_followed(models) -> None:
    """y = 5 if the sum of the row is positive, else 0."""
    body = (
        "s = ReduceSum(x, axis) c = Greater(s, zero) w = Where(c, five, zero) m = Mul(s, zero) y = Add(w, m)"
    )
    model = models.make(NET.format(n=2, body=body), axis=np.array([1]), zero=0.0, five=5.0)
    found = ox.explain(model, np.ones((1, 2), np.float32), method="deep_lift")
    check(found.values, [[2.5, 2.5]])
    check(found.delta, [0.0])


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


@pytest.mark.parametrize("baseline", [None, 0.4, "array"])
def test_exported_with_the_reference_inside(baseline, models, tmp_path) -> None:
    start = models.random(1, 2, 8, 8, seed=3) if baseline == "array" else baseline
    model, x = models.conv(), models.random(3, 2, 8, 8)
    made = ox.export(model, tmp_path / "made.onnx", method="deep_lift", baselines=start)
    assert made.inputs == ("x", "target")
    assert made.outputs == ("y", "attribution/x")
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    found = stock(made.path, x=x, target=np.array([1, 2, 3]))
    expected = ox.explain(model, x, [1, 2, 3], method="deep_lift", baselines=start)
    check(found["attribution/x"], expected.values, 1e-4)


def test_exported_for_tokens(models, tmp_path) -> None:
    inputs = {"ids": np.random.default_rng(0).integers(0, 20, (3, 7)), "mask": np.ones((3, 7), np.int64)}
    made = ox.export(models.tokens(), tmp_path / "made.onnx", method="deep_lift")
    found = stock(made.path, **inputs, target=np.array([0, 1, 2]))
    check(found["attribution/ids"], ox.explain(models.tokens(), inputs, [0, 1, 2], method="deep_lift").values)


BAD_EXPORTS = [
    ({"method": "deep_lift", "baselines": np.zeros((3, 8, 8))}, "does not broadcast"),
    ({"method": "deep_lift", "baselines": np.zeros((3, 2, 8, 8))}, "does not broadcast"),
    ({"method": "deep_lift", "baselines": {"z": 0}}, "'z'"),
    ({"method": "deep_lift", "baselines": np.nan}, "finite"),
    ({"method": "saliency", "baselines": 0.0}, "compare with a reference"),
    ({"method": "deep_lift", "baselines": 1e300}, "too large for float32"),
]


@pytest.mark.parametrize(("options", "words"), BAD_EXPORTS)
def test_exports_that_do_not_fit(options, words, models, tmp_path) -> None:
    with pytest.raises(DataInputError, match=words):
        ox.export(models.conv(), tmp_path / "made.onnx", **options)


def test_many_references_are_one_file(models, tmp_path) -> None:
    rows, x = models.random(3, 2, 8, 8, seed=5), models.random(2, 2, 8, 8)
    ox.export(models.conv(), tmp_path / "made.onnx", method="deep_lift_shap", baselines=rows)
    session = ort.InferenceSession(str(tmp_path / "made.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution/x"], {"x": x, "target": np.array([1, 2])})
    expected = ox.explain(models.conv(), x, [1, 2], "deep_lift_shap", baselines=rows)
    np.testing.assert_allclose(found, expected.values, rtol=0, atol=1e-5 * np.abs(expected.values).max())


NORMS = {
    "layer": "y = LayerNormalization(x, w)",
    "mean and variance": "y = MeanVarianceNormalization<axes = [1]>(x)",
    "length": "y = LpNormalization<axis = 1>(x)",
    "written": "m = ReduceMean(x, axis) d = Sub(x, m) n = ReduceL2(d, axis) y = Div(d, n)",
    "rectified": "n = LayerNormalization(x, w) y = Relu(n)",
    "squared": "n = LayerNormalization(x, w) y = Mul(n, n)",
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_normalisations_of_which_one_element_is_chosen(rule, norm, models) -> None:
    """Every element has a part in it, where it differs from the reference."""
    weights = {"w": models.random(6, seed=1), "axis": np.array([1])}
    used = {k: v for k, v in weights.items() if f", {k})" in NORMS[norm]}
    model = models.make(f"m (float[N, 6] x) => (float[N, 6] y) {{ {NORMS[norm]} }}", **used)
    x, start = models.random(3, 6, seed=2), models.random(3, 6, seed=3)
    found = ox.explain(model, x, 1, method=ox.DeepLift(rule), baselines=start)
    assert np.abs(found.delta).max() < 1e-5
    assert (found.values[found.score != found.reference] != 0).all()
