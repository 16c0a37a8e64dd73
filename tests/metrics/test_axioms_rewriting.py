"""Models that are written in another way, or with other entrances, compute what they should."""

from __future__ import annotations

from typing import Any

import attention_models
import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError
from onnxplain.metrics.axioms.changed import changed
from onnxplain.metrics.axioms.entrances import TWIN, shifted, shifted_biases, twinned, widened
from onnxplain.metrics.axioms.implementation_invariance import rewritings
from onnxplain.metrics.axioms.rewriting import REWRITINGS, rewritten
from onnxplain.metrics.axioms.sums import summed


def apart(models) -> Any:
    """Grouped, transposed and strided convolutions, leaky rectifiers, a bias added apart, a scaled Gemm."""
    return models.make(
        """m (float[N, 4, 6, 6] x) => (float[N, 3] y) {
          c1 = Conv<group = 2, pads = [1, 1, 1, 1]>(x, w1)
          s1 = Add(c1, b1)
          r1 = LeakyRelu(s1)
          c2 = ConvTranspose<strides = [2, 2], group = 3>(r1, w2, b2)
          r2 = Relu(c2)
          p = AveragePool<kernel_shape = [3, 3], strides = [3, 3]>(r2)
          f = Flatten(p)
          g = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(f, w3, b3)
          r3 = Relu(g)
          y = MatMul(r3, w4)
        }""",
        w1=models.random(6, 2, 3, 3, seed=1), b1=models.random(6, 1, 1, seed=2),
        w2=models.random(6, 2, 2, 2, seed=3), b2=models.random(6, seed=4),
        w3=models.random(7, 96, seed=5, scale=0.1), b3=models.random(1, 7, seed=6),
        w4=models.random(7, 3, seed=7),
    )  # fmt: skip


ZOO: dict[str, tuple[Any, Any]] = {
    "mlp": (lambda m: m.mlp(softmax=True), lambda m: m.random(4, 5)),
    "conv": (lambda m: m.conv(softmax=True), lambda m: m.random(4, 2, 8, 8)),
    "vgg": (lambda m: m.vgg(), lambda m: m.random(4, 3, 8, 8)),
    "channels_last": (lambda m: m.channels_last(), lambda m: m.random(4, 8, 8, 2)),
    "two": (lambda m: m.two_inputs(), lambda m: {"image": m.random(3, 2, 4), "table": m.random(3, 3)}),
    "encoder": (lambda m: attention_models.encoder(m), lambda m: m.random(3, 5, 8)),
    "apart": (apart, lambda m: m.random(3, 4, 6, 6)),
}


@pytest.fixture(scope="module", params=list(ZOO))
def case(request, models) -> tuple[ox.Explainer, dict[str, np.ndarray]]:
    model, x = (make(models) for make in ZOO[request.param])
    return ox.Explainer(model), x if isinstance(x, dict) else {"x": x}


def close(explainer: ox.Explainer, x: Any, expected: np.ndarray) -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(explainer.predict(x)["y"], expected, rtol=0, atol=2e-5 * scale)


def test_rewritten_models_compute_the_same(case) -> None:
    explainer, x = case
    y, nodes = explainer.predict(x)["y"], [n.op_type for n in explainer._normal.model.graph]
    others = rewritings(explainer)
    assert set(others) >= {"halves", "negations", "permutations", "signs"}
    for way, other in others.items():
        close(other, x, y)
        ops = [n.op_type for n in other._normal.model.graph]
        if way == "scales":
            weights = [v.const_value.numpy() for v in other._normal.model.graph.initializers.values()]
            held = [v.const_value.numpy() for v in explainer._normal.model.graph.initializers.values()]
            assert any(not any(np.array_equal(w, h) for h in held) for w in weights)
        else:
            assert len(ops) > len(nodes)
            assert ("Relu" not in ops) or way != "rectifiers"


def test_the_model_itself_stays_as_it_is(case) -> None:
    explainer, x = case
    before = {k: v.const_value.numpy().copy() for k, v in explainer._normal.model.graph.initializers.items()}
    nodes = [n.op_type for n in explainer._normal.model.graph]
    for way in REWRITINGS:
        rewritten(explainer._normal, way)
    shifted(explainer._normal, dict.fromkeys(x, 1.0))
    widened(explainer._normal, dict.fromkeys(x, -1), 1)
    assert [n.op_type for n in explainer._normal.model.graph] == nodes
    for name, content in explainer._normal.model.graph.initializers.items():
        np.testing.assert_array_equal(content.const_value.numpy(), before[name])


def test_other_entrances(case) -> None:
    explainer, x = case
    y, names = explainer.predict(x)["y"], list(x)
    moved = {k: v + np.float32(0.5) for k, v in x.items()}
    close(explainer.with_model(lambda n: shifted(n, dict.fromkeys(names, 0.5))), moved, y)
    twins = explainer.with_model(lambda n: twinned(n, names))
    close(twins, {**x, **{k + TWIN: v for k, v in x.items()}}, y)
    close(twins, {**{k: 2 * v for k, v in x.items()}, **{k + TWIN: 0 * v for k, v in x.items()}}, y)
    longer = {k: np.concatenate([v, 9 + v[..., :2]], -1) for k, v in x.items()}
    close(explainer.with_model(lambda n: widened(n, dict.fromkeys(names, -1), 2)), longer, y)


def test_sums_of_models(case) -> None:
    explainer, x = case
    logits = "z" if "z" in explainer._normal.model.graph or _gives(explainer, "z") else "y"
    y = explainer.with_model(lambda n: _ending_in(n, logits)).predict(x)[logits]
    for copied in (True, False):
        for turn in (0, 1):
            total = explainer.with_model(
                lambda n, turn=turn, copied=copied: summed(
                    (n, logits), (n, logits), 2.0, -0.5, turn=turn, copied=copied
                )
            )
            expected = 2 * y - 0.5 * np.roll(y, -turn, 1)
            np.testing.assert_allclose(total.predict(x)[logits], expected, atol=1e-4 * np.abs(y).max())


def _gives(explainer: ox.Explainer, name: str) -> bool:
    return any(v.name == name for n in explainer._normal.model.graph for v in n.outputs)


def _ending_in(normal: Any, name: str) -> Any:
    return summed((normal, name), (normal, name), 1.0, 0.0, copied=False)


def test_shifts_go_into_biases_where_these_can_hold_them(models) -> None:
    x = models.random(4, 5)
    for model in (models.mlp(), models.linear(models.random(3, 5)), models.tanh()):
        explainer = ox.Explainer(model)
        made = shifted_biases(explainer._normal, {"x": -1.5})
        assert made is not None
        other = explainer.with_model(lambda _, made=made: made)
        close(other, x - np.float32(1.5), explainer.predict(x)["y"])
        assert "Sub" not in [n.op_type for n in made.model.graph]
    assert shifted_biases(ox.Explainer(models.conv())._normal, {"x": 1.0}) is None  # padded
    assert shifted_biases(ox.Explainer(models.single())._normal, {"x": 1.0}) is None  # a Sigmoid comes first
    valid = models.make(
        "m (float[N, 4, 6, 6] x) => (float[N, 6, 4, 4] y) { c = Conv<group = 2>(x, w, b) y = Relu(c) }",
        w=models.random(6, 2, 3, 3), b=models.random(6, seed=1),
    )  # fmt: skip
    explainer, x = ox.Explainer(valid), models.random(2, 4, 6, 6)
    other = explainer.with_model(lambda n: shifted_biases(n, {"x": 0.5}))
    close(other, x + np.float32(0.5), explainer.predict(x)["y"])


def test_nothing_to_rewrite(models) -> None:
    linear = ox.Explainer(models.linear(models.random(3, 6)))
    assert rewritten(linear._normal, "rectifiers") is None
    assert rewritten(linear._normal, "scales") is None
    assert set(rewritings(linear)) == {"halves", "negations", "permutations", "signs"}
    plain = ox.Explainer(models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Sigmoid(x) }"))
    assert rewritings(plain) == {}


def test_residuals_and_outputs_are_not_scaled(models) -> None:
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y, float[N, 4] h) {
          a = MatMul(x, w) h = Relu(a) b = MatMul(h, v) y = Add(b, x)
        }""",
        w=models.random(4, 4), v=models.random(4, 4, seed=1),
    )  # fmt: skip
    assert rewritten(ox.Explainer(model)._normal, "scales") is None


def test_changed_models_are_kept_as_long_as_the_model(models) -> None:
    explainer = ox.Explainer(models.mlp())
    first = changed(explainer, "halves", lambda n: rewritten(n, "halves"))
    assert changed(explainer, "halves", lambda n: rewritten(n, "halves")) is first
    assert changed(ox.Explainer(models.mlp()), "halves", lambda n: rewritten(n, "halves")) is not first


def test_sums_that_cannot_be_built(models) -> None:
    mlp, two = ox.Explainer(models.mlp())._normal, ox.Explainer(models.two_inputs())._normal
    with pytest.raises(MethodError, match="takes 'image', which this one does not"):
        summed((mlp, "y"), (two, "y"), 1.0, 1.0)
    later = models.make("m (float[N, 5] x) => (float[N, 5] y) { y = Relu(x) }", opset=20)
    with pytest.raises(MethodError, match="opset 18 and 20"):
        summed((mlp, "y"), (ox.Explainer(later)._normal, "y"), 1.0, 1.0)
    loop = models.make(
        """m (float[N, 5] x, bool c) => (float[N, 5] y) {
          y = If(c) <then_branch = t () => (float[N, 5] p) { p = Relu(x) },
                     else_branch = e () => (float[N, 5] q) { q = Neg(x) }>
        }"""
    )
    held = ox.Explainer(loop)._normal
    with pytest.raises(MethodError, match="body cannot be joined"):
        summed((held, "y"), (held, "y"), 1.0, 1.0)
