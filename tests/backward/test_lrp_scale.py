"""``bias="scale"``: what a row of a layer keeps goes to its inputs, as they got from it; rows stay apart."""

from __future__ import annotations

import numpy as np
import pytest
from lrp_layers import LAYERS, UNIFORM, layer_model, relevance, relevance_of_all

import onnxplain as ox
from onnxplain.backward.rules import lrp
from onnxplain.errors import MethodError, OnnxplainError

MAKERS = {"zero": lrp.zero, "epsilon": lrp.epsilon, "gamma": lrp.gamma, "zplus": lrp.zplus,
          "alpha2 beta1": lrp.alpha_beta}  # fmt: skip

#: Layers with the axes that count rows, in x and in y; of others nothing is known that could be given.
ROWS = {k: (0, 0) for k in LAYERS if k.startswith(("gemm", "conv"))} | {
    "gemm transA": (1, 0),
    "gemm on the right": (0, 1),
    "matmul": (0, 0),
    "matmul on the right": (1, 1),
}

numbers = np.random.default_rng(12)


def give_all(kept: np.ndarray, R: np.ndarray) -> np.ndarray:
    """R'_j = R_j + m |R_j| / sum_j |R_j|; m / n where none got anything."""
    missing, size = R.sum() - kept.sum(), np.abs(kept).sum()
    return kept + missing * (np.abs(kept) / size if size else 1 / kept.size)


PLAIN = ("zero", "epsilon")


@pytest.mark.parametrize("layer", ROWS)
@pytest.mark.parametrize("rule", MAKERS)
@pytest.mark.parametrize("empty", [False, True])
def test_scale_is_its_formula(empty, rule, layer, models) -> None:
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    below, above = ROWS[layer]
    if empty:
        np.moveaxis(x, below, 0)[-1] = 0.0  # nothing in it contributes
    kept = relevance(model, MAKERS[rule](), x, R)
    found = relevance(model, MAKERS[rule](bias="scale"), x, R)
    if rule in PLAIN and not {"b"} & set(LAYERS[layer][3]):  # no bias, and nothing to give
        np.testing.assert_array_equal(found, kept)
        return
    rows = zip(np.moveaxis(kept, below, 0), np.moveaxis(R, above, 0), strict=True)
    expected = np.moveaxis(np.stack([give_all(a, b) for a, b in rows]), 0, below)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(
        np.moveaxis(found, below, 0).reshape(shape[below], -1).sum(1),
        np.moveaxis(R, above, 0).reshape(made[above], -1).sum(1),
        rtol=1e-9,
        atol=1e-9 * np.abs(found).sum(),
    )


@pytest.mark.parametrize("layer", UNIFORM)
@pytest.mark.parametrize("rule", MAKERS)
def test_averages_have_only_windows_without_contributions_to_mend(rule, layer, models) -> None:
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    found = relevance(model, MAKERS[rule](bias="scale"), x, R)
    np.testing.assert_array_equal(found, relevance(model, MAKERS[rule](bias="spread"), x, R))
    if rule == "zplus":
        np.testing.assert_allclose(relevance(model, lrp.zplus(bias="scale"), -np.abs(x), R).sum(), R.sum())


@pytest.mark.parametrize("layer", [k for k in LAYERS if k not in (*ROWS, *UNIFORM, "add", "sub", "sub from")])
@pytest.mark.parametrize("rule", MAKERS)
def test_layers_without_a_bias_of_their_own_are_left_alone(rule, layer, models) -> None:
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    found = relevance(model, MAKERS[rule](bias="scale"), x, R)
    np.testing.assert_array_equal(found, relevance(model, MAKERS[rule](), x, R))


def test_spread_gives_the_only_input_of_a_sum_all(models) -> None:
    model = layer_model(models, "add")
    x, R = numbers.standard_normal((2, 3)), numbers.standard_normal((2, 3))
    np.testing.assert_array_equal(relevance(model, lrp.norm(bias="spread"), x, R), R)


#: Shape of the constant beside (2, 3, 4), and the axes of a row: those in which it varies.
CONSTANTS: dict[tuple[int, ...], tuple[int, ...]] = {
    (): (), (1, 1): (), (4,): (2,), (3, 1): (1,), (3, 4): (1, 2), (1, 3, 4): (1, 2), (2, 3, 4): (0, 1, 2)
}  # fmt: skip


@pytest.mark.parametrize("text", ["Add(x, c)", "Sub(c, x)", "Sum(c, x)"])
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_sum_gives_all_along_the_axes_of_its_constant(constant, text, models) -> None:
    """No samples can lie there; where it does not vary, each element is a row of its own."""
    c = numbers.standard_normal(constant)
    model = models.make(f"m (double[2, 3, 4] x) => (double[2, 3, 4] y) {{ y = {text} }}", c=c)
    x, R = numbers.standard_normal((2, 3, 4)), numbers.standard_normal((2, 3, 4))
    kept, found = (relevance(model, lrp.norm(bias=k), x, R) for k in ("keep", "scale"))
    if not CONSTANTS[constant]:
        np.testing.assert_array_equal(found, R)
        return
    axes = CONSTANTS[constant]
    missing = R.sum(axes, keepdims=True) - kept.sum(axes, keepdims=True)
    expected = kept + missing * np.abs(kept) / np.abs(kept).sum(axes, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("operands", ["a, b, c", "c, a, b"])
@pytest.mark.parametrize("varies", [True, False])
def test_sums_of_several_give_all_in_proportion(varies, operands, models) -> None:
    c = numbers.standard_normal(3 if varies else 1)
    model = models.make(
        f"m (double[2, 3] a, double[1, 3] b) => (double[2, 3] y) {{ y = Sum({operands}) }}", c=c
    )
    feeds = {"a": numbers.standard_normal((2, 3)), "b": numbers.standard_normal((1, 3))}
    R = numbers.standard_normal((2, 3))
    z = feeds["a"] + feeds["b"] + c
    kept = np.stack([v * R / (z + 1e-6 * np.sign(z)) for v in feeds.values()])
    axes = (0, 2) if varies else (0,)
    arrived = R.sum(1, keepdims=True) if varies else R
    lost = arrived - kept.sum(axes, keepdims=True)[0]
    a, b = kept + lost * np.abs(kept) / np.abs(kept).sum(axes, keepdims=True)
    found = relevance_of_all(model, lrp.norm(bias="scale"), feeds, R)
    np.testing.assert_allclose(found[0], a, rtol=1e-9)
    np.testing.assert_allclose(found[1], b.sum(0, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "shape", "made", "weight"),
    [
        ("Conv<pads = [0, 1, 0, 1]>(x, w, b)", (2, 3, 4, 5), (2, 2, 4, 5), (2, 3, 1, 3)),
        ("Conv(x, w, b)", (2, 3, 4, 5), (2, 2, 4, 5), (2, 3, 1, 1)),
        ("ConvTranspose(x, w, b)", (2, 3, 4, 5), (2, 2, 4, 7), (3, 2, 1, 3)),
    ],
)
def test_places_that_do_not_touch_are_rows(text, shape, made, weight, models) -> None:
    """A kernel of length 1 joins nothing along its axis: samples could lie there."""
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    w, b = numbers.standard_normal(weight), np.abs(numbers.standard_normal(2))
    model = models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {text} }}", w=w, b=b)
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    rule = lrp.zplus(bias="scale")
    whole = relevance(model, rule, x, R)
    for place in range(4):
        only = np.zeros(made)
        only[:, :, place] = R[:, :, place]
        part = relevance(model, rule, x, only)
        np.testing.assert_allclose(part[:, :, place], whole[:, :, place], rtol=1e-12)
        np.testing.assert_allclose(part.sum((1, 3))[:, place], R.sum((1, 3))[:, place], rtol=1e-9)


@pytest.mark.parametrize("kind", ["conv", "mlp"])
@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon", "zplus", "epsilon_alpha2_beta1"])
@pytest.mark.parametrize("bias", ["scale", "spread"])
def test_networks_conserve(bias, composite, kind, models) -> None:
    model = getattr(models, kind)()
    x = models.random(4, 2, 8, 8, seed=4) if kind == "conv" else models.random(4, 5)
    found = ox.explain(model, x, 1, method=ox.LRP(composite, bias=bias))
    assert found.relative_delta.max() < 1e-4
    kept = ox.explain(model, x, 1, method=ox.LRP(composite, bias="keep"))
    assert kept.relative_delta.max() > 1e-2


@pytest.mark.parametrize("kind", ["conv", "mlp"])
def test_the_default_conserves_and_presets_do_what_their_makers_do(kind, models) -> None:
    model = getattr(models, kind)()
    x = models.random(4, 2, 8, 8, seed=4) if kind == "conv" else models.random(4, 5)
    assert ox.explain(model, x, 1, method="lrp").relative_delta.max() < 1e-4
    for composite in ("epsilon_plus", "epsilon", "zplus", "epsilon_alpha2_beta1"):
        assert ox.explain(model, x, 1, method=ox.LRP(composite)).relative_delta.max() > 1e-2


@pytest.mark.parametrize("composite", ["zplus", "zero_epsilon_gamma", "epsilon_plus"])
def test_a_product_with_a_vector_gives_each_row_its_own(composite, models) -> None:
    """Its result has no axis where the vector was; square arrays would broadcast without a word."""
    square = models.make("m (float[N, 3] x) => (float[N] y) { y = MatMul(x, w) }", w=[1.0, -2.0, 3.0])
    rows = models.make("m (float[N, 2, 3] x) => (float[N, 2] y) { y = MatMul(x, w) }", w=[1.0, -2.0, 3.0])
    left = models.make("m (float[N, 3, 2] x) => (float[N, 2] y) { y = MatMul(w, x) }", w=[1.0, -2.0, 3.0])
    method = ox.LRP(composite, bias="scale")
    x = models.random(3, 2, 3, seed=6)
    first = ox.explain(square, x[:, 0], method=method)
    np.testing.assert_allclose(first.values.sum(1), first.score, rtol=1e-4)
    second = ox.explain(rows, x, 0, method=method).values
    np.testing.assert_allclose(second[:, 0], first.values, rtol=1e-4, atol=1e-6)
    assert not second[:, 1].any()
    turned = ox.explain(left, x.transpose(0, 2, 1), 0, method=method).values
    np.testing.assert_allclose(turned.transpose(0, 2, 1), second, rtol=1e-4, atol=1e-6)


NORMS = {
    "LayerNormalization<axis = -1>(x, s, b)": ((2, 3, 4), (4,), (2,)),
    "LayerNormalization<axis = 1>(x, s, b)": ((2, 3, 4), (3, 4), (1, 2)),
    "InstanceNormalization(x, s, b)": ((2, 3, 4), (3,), (2,)),
    "GroupNormalization<num_groups = 2>(x, s, b)": ((2, 4, 3), (4,), None),
    "MeanVarianceNormalization<axes = [0, 2]>(x)": ((2, 3, 4), (1,), (0, 2)),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bias", ["scale", "spread"])
def test_normalisations_give_all_to_what_they_normalise_together(bias, norm, models) -> None:
    shape, parameters, axes = NORMS[norm]
    size = "double[" + ", ".join(map(str, shape)) + "]"
    s, b = numbers.standard_normal(parameters), numbers.standard_normal(parameters)
    model = models.make(f"m ({size} x) => ({size} y) {{ y = {norm} }}", opset=21, ir_version=10, s=s, b=b)
    x, R = numbers.standard_normal(shape), numbers.standard_normal(shape)
    kept, found = (relevance(model, ox.rule("detached", bias=k), x, R) for k in ("keep", bias))
    if axes is None:
        parts = [a.reshape(4, 6) for a in (kept, found, R)]  # two groups of two channels
    else:
        moved = [np.moveaxis(a, axes, range(-len(axes), 0)) for a in (kept, found, R)]
        parts = [a.reshape(-1, int(np.prod([shape[k] for k in axes]))) for a in moved]
    for k, f, r in zip(*parts, strict=True):
        np.testing.assert_allclose(f, give_all(k, r), rtol=1e-9, atol=1e-12)


def test_without_its_shift_a_normalisation_shares_by_what_is_left(models) -> None:
    graph = "m (double[2, 4] x) => (double[2, 4] y) { y = LayerNormalization<epsilon = 0.0>(x, s, b) }"
    s, b = numbers.standard_normal(4), numbers.standard_normal(4)
    x, R = numbers.standard_normal((2, 4)), numbers.standard_normal((2, 4))
    dropped = relevance(models.make(graph, s=s, b=b), ox.rule("detached", bias="drop"), x, R)
    plain = relevance(models.make(graph, s=s, b=0 * b), ox.rule("detached"), x, R)
    np.testing.assert_allclose(dropped, plain, rtol=1e-9)


@pytest.mark.parametrize("power", [-37.0, -27.0, 27.0, 37.0])
@pytest.mark.parametrize("bias", ["keep", "scale"])
def test_tiny_and_huge_scores_are_shared_out_all_the_same(bias, power, models) -> None:
    """What is shared out is scaled by a power of two: the relevances of a score of 1e-37 do not vanish."""
    graph = """m (float[N, 5] x) => (float[N, 2] y) {
      a = Gemm(x, w, b) r = Relu(a) c = Gemm(r, v, d) q = Relu(c) z = MatMul(q, u)
      t = Div(z, ten) e = Tanh(t) f = Mul(e, k) y = Exp(f)
    }"""
    weights = {
        "w": 1e-3 * models.random(5, 8, seed=1), "b": models.random(8, seed=2),
        "v": 1e8 * np.abs(models.random(8, 6, seed=3)), "d": models.random(6, seed=4),
        "u": np.abs(models.random(6, 2, seed=5)), "ten": np.float32(10),
    }  # fmt: skip
    x = models.random(3, 5, seed=6)
    found, usual = (
        ox.explain(models.make(graph, k=np.float32(k), **weights), x, 1, method=ox.LRP(bias=bias))
        for k in (power * np.log(10), 1.0)
    )
    assert abs(np.log10(found.score.astype(np.float64)) - power).max() < 0.1
    parts = [f.values.astype(np.float64) / f.score.astype(np.float64)[:, None] for f in (found, usual)]
    largest = np.abs(parts[1]).max()
    np.testing.assert_allclose(parts[0], parts[1], rtol=1e-3, atol=1e-4 * largest)


def test_a_score_of_zero_gives_zeros(models) -> None:
    graph = "m (float[N, 3] x) => (float[N, 1] y) { r = Relu(x) y = MatMul(r, w) }"
    found = ox.explain(
        models.make(graph, w=models.random(3, 1)), -np.ones((2, 3), np.float32), 0, method="lrp"
    )
    np.testing.assert_array_equal(found.values, np.zeros((2, 3), np.float32))


def test_the_bias_of_a_composite_is_told(models) -> None:
    """By the method that the result names, and refused where no rule counts biases."""
    x = models.random(2, 5)
    assert "composite='conserving'" in repr(ox.explain(models.mlp(), x, 0, method="lrp"))
    assert ox.LRP().rules().bias == "scale"
    assert ox.LRP().rules().rules == ox.LRP("epsilon_plus", bias="scale").rules().rules
    assert ox.LRP("epsilon_plus").rules().rules == ox.LRP("epsilon_plus", bias="keep").rules().rules
    assert "bias='keep'" in ox.explain(models.mlp(), x, 0, method="lrp", bias="keep").written_method
    with pytest.raises(MethodError, match="composite 'gradient' has no rule that counts biases"):
        ox.LRP("gradient", bias="keep")
    with pytest.raises(MethodError, match=r"zero_params leaves biases out \(bias='drop'\)"):
        ox.LRP(bias="keep", zero_params=("bias",))
    with pytest.raises(OnnxplainError, match="'keep', 'drop', 'spread'"):
        ox.LRP(bias="all")
    composite = ox.LRP("epsilon", bias="keep").rules()
    assert ox.LRP(composite, bias="spread").rules() == ox.LRP("epsilon", bias="spread").rules()
    assert ox.LRP("deep_taylor").rules().bias is None
    assert ox.LRP("deep_taylor", bias="scale").rules().bias == "scale"
