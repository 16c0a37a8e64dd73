"""What a model has learned is found, and drawn anew, wherever exporters put it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain.data import diabetes_model_path
from onnxplain.errors import MethodError
from onnxplain.graph.learned import learned_layers
from onnxplain.graph.redraw import Redrawing, with_weights
from onnxplain.reading import read


def found(model, order="bottom_up", **how):
    """Return the layers' operators and what is drawn of them."""
    layers = Redrawing(**how).layers(read(model), order)
    return [(layer.op_type, [(w.value.name, w.of) for w in layer.learned]) for layer in layers]


def redrawn(model, **how):
    """Return the weights before and after, by name."""
    normal, drawing = read(model), Redrawing(**how)
    tensors = {}
    for layer in drawing.layers(normal):
        tensors |= drawing.drawn(layer)
    made = with_weights(normal, tensors)
    return [
        {k: v.const_value.numpy() for k, v in of.model.graph.initializers.items()} for of in (normal, made)
    ]


def test_layers_of_a_network(models):
    weights = [("Conv", [(f"w{k}", "weight")]) for k in (1, 2, 3)]
    assert found(models.conv()) == [*weights, ("Gemm", [("v", "weight")])]
    assert found(models.conv(), "top_down") == found(models.conv())[::-1]
    assert found(models.conv(), redraw="biases")[0] == ("Conv", [("w1", "weight"), ("b1", "bias")])
    assert found(models.tokens())[0] == ("Gather", [("table", "weight")])


def test_vectors_behind_layers_are_biases_and_what_stands_before_is_none(models):
    proto = models.make(
        """m (float[N, 5] x) => (float[N, 5] y) {
          scaled = Div(x, spread)
          a = MatMul(scaled, w)
          moved = Add(a, b)
          h = LayerNormalization(moved, gain, shift)
          both = Mul(h, gamma)
          there = Add(both, beta)
          placed = Add(there, positions)
          y = MatMul(placed, v)
        }""",
        spread=[1, 2, 3, 4, 5], w=models.random(5, 5), b=models.random(5), gain=[1] * 5, shift=[0] * 5,
        gamma=models.random(5), beta=models.random(5), positions=models.random(3, 5),
        v=models.random(5, 5, seed=1),
    )  # fmt: skip
    assert found(proto) == [("MatMul", [("w", "weight")]), ("MatMul", [("v", "weight")])]
    assert found(proto, redraw="biases")[0] == ("MatMul", [("w", "weight"), ("b", "bias")])
    assert found(proto, redraw="all") == [
        ("MatMul", [("w", "weight"), ("b", "bias")]),
        ("LayerNormalization", [("gain", "norm"), ("shift", "norm")]),
        ("Mul", [("gamma", "norm"), ("beta", "norm")]),
        ("MatMul", [("v", "weight")]),
    ]


def test_weights_that_come_by_way_of_other_nodes(models):
    proto = models.make(
        """m (float[N, 4] x, float one) => (float[N, 4] y) {
          half = Cast<to = 10>(w)
          back = Cast<to = 1>(half)
          turned = Transpose<perm = [1, 0]>(back)
          a = MatMul(x, turned)
          big = Mul(a, one)
          same = Identity(u)
          z = MatMul(same, v)
          c = Gemm(big, z)
          y = Relu(c)
        }""",
        w=models.random(4, 4), u=models.random(4, 3, seed=1), v=models.random(3, 4, seed=2),
    )  # fmt: skip
    old, new = redrawn(proto)
    changed = [k for k in old if not np.array_equal(old[k], new[k])]
    assert len(changed) == 2
    assert [op for op, _ in found(proto)] == ["MatMul", "Gemm"]


def test_large_chains_that_are_not_folded(models, monkeypatch):
    from onnxplain.graph.passes import normal as passes

    monkeypatch.setattr(passes.FoldConstants, "_compute", lambda *_: None)
    proto = models.make(
        """m (float[N, 4] x) => (float[N, 6] y) {
          whole = DequantizeLinear(q, s)
          turned = Transpose<perm = [1, 0]>(whole)
          scaled = Mul(turned, g)
          y = MatMul(x, scaled)
        }""",
        q=np.arange(-12, 12, dtype=np.int8).reshape(6, 4), s=np.array(0.1, np.float32),
        g=models.random(6),
    )  # fmt: skip
    ((op, learned),) = found(proto)
    assert op == "MatMul"
    assert len(learned) == 2
    for draw in ("permutation", "normal", "he"):
        old, new = redrawn(proto, draw=draw)
        for name, of in learned:
            assert of == "weight"
            assert new[name].dtype == old[name].dtype
            assert not np.array_equal(new[name], old[name])


def test_a_weight_that_two_layers_share_is_drawn_once(models):
    proto = models.make(
        """m (int64[N, L] ids) => (float[N, L, 20] y) {
          e = Gather(table, ids)
          h = Tanh(e)
          turned = Transpose<perm = [1, 0]>(table)
          y = MatMul(h, turned)
        }""",
        table=models.random(20, 6),
    )
    assert [op for op, _ in found(proto, "top_down")] == ["MatMul"]
    assert [op for op, _ in found(proto, "bottom_up")] == ["Gather"]
    old, new = redrawn(proto)
    first, second = (v for v in new.values() if v.ndim == 2)
    np.testing.assert_array_equal(first, second.T)
    assert not any(np.array_equal(new[k], old[k]) for k in old if old[k].ndim == 2)
    twice = models.make(
        "m (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, w) h = Relu(a) y = MatMul(h, w) }",
        w=models.random(4, 4),
    )
    assert len(found(twice)) == 1


def test_weights_inside_bodies(models):
    body = onnx.parser.parse_graph(
        """body (int64 i, bool on, float[1, 3] h) => (bool still, float[1, 3] out)
        <float[3, 3] inner = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
          a = MatMul(h, inner) b = MatMul(a, outer) out = Tanh(b) still = Identity(on)
        }"""
    )
    proto = models.make(
        "m (float[1, 3] x) => (float[1, 3] y) { y = Loop(n, yes, x) }",
        n=np.array(2, np.int64), yes=np.array(True), outer=models.random(3, 3),
    )  # fmt: skip
    proto.graph.node[0].attribute.append(onnx.helper.make_attribute("body", body))
    assert found(proto) == [("MatMul", [("inner", "weight")]), ("MatMul", [("outer", "weight")])]
    explainer = ox.Explainer(proto)
    x = models.random(1, 3)
    seen = {explainer.predict(x)["y"].tobytes()}
    for _, other in ox.metrics.random_models(explainer, "independent"):
        seen.add(other.predict(x)["y"].tobytes())
    assert len(seen) == 3


@pytest.mark.parametrize("draw", ["permutation", "normal", "glorot", "he", "torch"])
def test_draws(models, draw):
    proto = models.make(
        """m (float[N, 40, 6, 6] x) => (float[N, 50, 6, 6] y) {
          c = Conv<pads = [1, 1, 1, 1]>(x, w, b)
          y = InstanceNormalization(c, gain, shift)
        }""",
        w=3 + 2 * models.random(50, 40, 3, 3), b=models.random(50),
        gain=0.5 + np.abs(models.random(50, seed=1)), shift=models.random(50, seed=2),
    )  # fmt: skip
    old, new = redrawn(proto, redraw="all", draw=draw)
    assert not any(np.array_equal(new[k], old[k]) for k in old)
    assert all(new[k].dtype == np.float32 for k in old)
    w = new["w"]
    if draw == "permutation":
        for k in old:
            np.testing.assert_array_equal(np.sort(new[k], None), np.sort(old[k], None))
        return
    expected = {
        "normal": (old["w"].mean(), old["w"].std()), "glorot": (0, np.sqrt(2 / (360 + 450))),
        "he": (0, np.sqrt(2 / 360)), "torch": (0, np.sqrt(1 / 360 / 3)),
    }[draw]  # fmt: skip
    assert w.mean() == pytest.approx(expected[0], abs=0.05)
    assert w.std() == pytest.approx(expected[1], rel=0.02)
    if draw == "normal":
        assert (new["gain"] > 0).all()
        return
    assert np.abs(w).max() < {"glorot": np.sqrt(6 / 810), "he": 1, "torch": np.sqrt(1 / 360)}[draw] + 1e-6
    np.testing.assert_array_equal(new["gain"], 1)
    np.testing.assert_array_equal(new["shift"], 0)
    assert np.abs(new["b"]).max() <= (np.sqrt(1 / 360) if draw == "torch" else 0)
    assert (new["b"] != 0).all() == (draw == "torch")


def test_what_else_is_drawn_changes_no_draw(models):
    alone, everything = redrawn(models.conv())[1], redrawn(models.conv(), redraw="all")[1]
    np.testing.assert_array_equal(alone["w2"], everything["w2"])
    assert not np.array_equal(alone["w2"], redrawn(models.conv(), seed=1)[1]["w2"])


def test_fans_of_every_kind_of_layer(models):
    proto = models.make(
        """m (float[7, N, 4] s, float[N, 6, 4, 4] x, int64[N] ids) => (float y) {
          l, last = LSTM<hidden_size = 5>(s, lw, lr)
          t = ConvTranspose(x, ct)
          e = Gather(table, ids)
          d = Gemm<transB = 1>(e, g)
          m = MatMul(left, d2)
          d2 = Transpose<perm = [1, 0]>(d)
          q = Einsum<equation = "nd,kd->nk">(d, ein)
          a = ReduceSum<keepdims = 0>(last) b = ReduceSum<keepdims = 0>(t)
          c = ReduceSum<keepdims = 0>(m) f = ReduceSum<keepdims = 0>(q)
          y = Sum(a, b, c, f)
        }""",
        lw=models.random(1, 20, 4), lr=models.random(1, 20, 5), ct=models.random(6, 8, 3, 3),
        table=models.random(30, 3), g=models.random(9, 3, seed=1), left=models.random(2, 9),
        ein=models.random(11, 9),
    )  # fmt: skip
    fans = {
        w.value.name: (w.fan_in, w.fan_out, w.width)
        for layer in learned_layers(read(proto).model.graph)
        for w in layer.learned
    }
    assert fans == {
        "lw": (4, 20, 5), "lr": (5, 20, 5), "ct": (72, 54, 72), "table": (1, 3, 1), "g": (3, 9, 3),
        "left": (9, 2, 9), "ein": (9, 11, 9),
    }  # fmt: skip


def test_what_is_not_drawn_is_the_same_memory(models):
    explainer = ox.Explainer(models.conv())
    held = explainer.normal.model.graph.initializers
    contents = {explainer.normal.content}
    for k, (name, other) in enumerate(ox.metrics.random_models(explainer)):
        its = other.normal.model.graph.initializers
        kept = [key for key in held if its[key].const_value is held[key].const_value]
        assert len(kept) == len(held) - k - 1, name
        contents.add(other.normal.content)
        assert (other.device, other.memory_budget) == (explainer.device, explainer.memory_budget)
        x = models.random(2, 2, 8, 8)
        assert not np.array_equal(other.predict(x)["y"], explainer.predict(x)["y"])
        assert other(x, 1, "saliency").model_hash == other.normal.content
    assert len(contents) == 5


def test_what_cannot_be_drawn_is_refused_by_name(models):
    with pytest.raises(MethodError, match=r"TreeEnsemble[A-Za-z]* node '[^']*' keeps what it learned"):
        found(diabetes_model_path())
    strange = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { y = other.Layer(x, w) }",
        domain="other", w=models.random(3, 3),
    )  # fmt: skip
    with pytest.raises(MethodError, match=r"Layer node .* is no operator of the standard"):
        learned_layers(read(strange).model.graph)
    plain = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }")
    with pytest.raises(MethodError, match="no weights that could be drawn anew; it is made of Relu"):
        list(ox.metrics.random_models(ox.Explainer(plain)))


def test_quantised_weights_are_drawn_as_the_floats_that_they_stand_for(models):
    proto = models.make(
        """m (float[N, 5] x) => (float[N, 3] y) {
          q = QuantizeLinear(x, s, z)
          a = QLinearMatMul(q, s, z, w, s, z, t, z)
          y = DequantizeLinear(a, t, z)
        }""",
        w=np.random.default_rng(0).integers(-100, 100, (5, 3)).astype(np.int8),
        s=np.array(0.05, np.float32), t=np.array(0.5, np.float32), z=np.array(0, np.int8),
    )  # fmt: skip
    assert len(found(proto)) == 1
    explainer = ox.Explainer(proto)
    x = models.random(2, 5)
    ((_, other),) = ox.metrics.random_models(explainer)
    assert not np.array_equal(other.predict(x)["y"], explainer.predict(x)["y"])
