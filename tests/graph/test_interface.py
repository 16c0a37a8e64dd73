"""What is explained by default, and where integers are."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

import onnxplain as ox
from onnxplain.graph.interface import inputs_of
from onnxplain.reading import read

SIGNED = ox.Saliency(abs=False)


def reader(models: Any, tail: str) -> onnx.ModelProto:
    """Tokens (N, L) through an embedding (30, 8) to two scores."""
    return models.make(
        f"""m (int64[N, L] ids, int64[N, L] attention_mask) => (float[N, 2] y) {{
          e = Gather(table, ids) {tail}
          m = Cast<to = 1>(attention_mask) w = Unsqueeze(m, last) k = Mul(h, w)
          s = ReduceSum<keepdims = 0>(k, one) y = MatMul(s, out)
        }}""",
        table=models.random(30, 8), dense=models.random(8, 8, seed=1), out=models.random(8, 2, seed=2),
        one=np.array([1]), last=np.array([2]),
    )  # fmt: skip


#: What becomes of the embedding: one reader, or several behind movers.
TAILS = {
    "dense": "a = MatMul(e, dense) h = Tanh(a)",
    "moved": "t = Transpose<perm = [1, 0, 2]>(e) a = MatMul(t, dense) b = Tanh(a) "
    "h = Transpose<perm = [1, 0, 2]>(b)",
    "twice": "t = Transpose<perm = [1, 0, 2]>(e) a = MatMul(t, dense) b = Tanh(a) "
    "c = Transpose<perm = [1, 0, 2]>(b) h = Add(c, e)",
}


@pytest.fixture
def quantised(tmp_path, monkeypatch):
    """Return a function that quantises a model's weights."""
    monkeypatch.setattr(logging.getLogger(), "disabled", True)

    def quantise(model: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
        onnx.save(model, tmp_path / "plain.onnx")
        quantize_dynamic(tmp_path / "plain.onnx", tmp_path / "int8.onnx", **options)
        return onnx.load(tmp_path / "int8.onnx")

    return quantise


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("tail", TAILS)
def test_tokens_of_an_integer_table(tail, signed, models, quantised) -> None:
    """The embedding is int8; it is explained at its real numbers, whose zero is no token."""
    kind = QuantType.QInt8 if signed else QuantType.QUInt8
    model = quantised(
        reader(models, TAILS[tail]), weight_type=kind, op_types_to_quantize=["Gather", "Transpose"]
    )
    explainer = ox.Explainer(model)
    ids, mask = explainer.inputs
    assert (ids.role, ids.explained, mask.explained) == ("token", True, False)
    given = {
        "ids": np.array([[3, 1, 4, 1], [5, 9, 2, 6]]),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }
    session = ort.InferenceSession(model.SerializeToString())
    (plain,) = session.run(["y"], given)
    np.testing.assert_allclose(explainer.predict(given)["y"], plain, rtol=1e-4, atol=1e-5)
    found = explainer(given, [0, 1], "integrated_gradients", n_steps=100)
    assert found.values.shape == (2, 4)
    np.testing.assert_allclose(found.delta, 0, atol=2e-3)
    table = read(model).model.graph
    values = {v.name: v for n in table for v in n.outputs}
    assert len(ids.entries) == (2 if tail == "twice" else 1)
    assert all(values[entry].producer().op_type == "Mul" for entry in ids.entries)
    assert not found.values[1, 2:].any()
    np.testing.assert_allclose(found.score - found.reference, 0, atol=1e-5)  # zeros give no score


def names_explained(model: onnx.ModelProto) -> list[str]:
    return [i.name for i in inputs_of(read(model).model.graph) if i.explained]


@pytest.mark.parametrize(
    "side",
    """mask attention_mask length x_lengths speed sr sample_rate state stateN h0 hn c model/past_key
    cache.3""".split(),
)
def test_side_inputs_are_taken_as_given(side, models) -> None:
    body = "y = Mul(x, side)"
    model = models.make(f"m (float[N, 3] x, float[N, 3] side) => (float[N, 3] y) {{ {body} }}")
    model.graph.input[1].name = model.graph.node[0].input[1] = side
    assert names_explained(model) == ["x"]
    given = {"x": models.random(2, 3), side: models.random(2, 3, seed=1)}
    assert set(ox.explain(model, given, 1, method=SIGNED).arrays) == {"x"}
    assert set(ox.explain(model, given, 1, method=SIGNED, wrt=["x", side]).arrays) == {"x", side}


@pytest.mark.parametrize("name", ["chart", "masked_language", "rates", "cat", "hours", "statement"])
def test_other_names_are_data(name, models) -> None:
    model = models.make("m (float[N, 3] x, float[N, 3] side) => (float[N, 3] y) { y = Mul(x, side) }")
    model.graph.input[1].name = model.graph.node[0].input[1] = name
    assert names_explained(model) == ["x", name]


def test_a_lone_input_is_data_whatever_its_name(models) -> None:
    model = models.make("m (float[N, 3] mask) => (float[N, 3] y) { y = Tanh(mask) }")
    assert names_explained(model) == ["mask"]


@pytest.mark.parametrize("way", ["a = Identity(begin)", "a = Flatten(begin)", "a = Tile(begin, ones)"])
def test_what_a_recurrent_layer_begins_with_is_a_state(way, models) -> None:
    model = models.make(
        f"""m (float[T, N, 3] x, float[N, 2] begin) => (float[N, 2] y) {{ {way}
          b = Unsqueeze(a, zero) z, last = RNN<hidden_size = 2>(x, w, r, , , b) y = Squeeze(last, zero)
        }}""",
        w=models.random(1, 2, 3), r=models.random(1, 2, 2, seed=1), zero=np.array([0]), ones=np.array([1, 1]),
    )  # fmt: skip
    assert names_explained(model) == ["x"]


def test_a_single_number_beside_an_array_is_no_data(models) -> None:
    model = models.make("m (float[N, 3] x, float[1] gain) => (float[N, 3] y) { y = Mul(x, gain) }")
    assert names_explained(model) == ["x"]


def test_the_input_that_the_score_depends_on(models) -> None:
    """The default kind has no gradient here; the tokens have."""
    model = models.make(
        """m (float[N, 4] x, int64[N, 3] ids) => (float[N, 2] y) {
          r = Round(x) n = ReduceSum<keepdims = 0>(r, one) f = Floor(n) g = Sign(f)
          e = Gather(table, ids) t = Tanh(e) s = ReduceSum<keepdims = 0>(t, one) y = MatMul(s, w)
        }""",
        table=models.random(9, 5), w=models.random(5, 2), one=np.array([1]),
    )  # fmt: skip
    found = ox.explain(model, {"x": models.random(2, 4), "ids": [[1, 2, 3], [0, 8, 4]]}, 1, method=SIGNED)
    assert set(found.arrays) == {"ids"}
    assert found.values.all()


@pytest.mark.parametrize(
    "tail",
    [
        "k = ArgMax<axis = 1, keepdims = 0>(z)",
        "b = ArgMax<axis = 1>(z) k = Squeeze(b, one)",
        "v, b = TopK<axis = 1>(z, one) k = Squeeze(b, one)",
        "b = ArgMax<axis = 1>(z) c = CastLike(b, one) k = Squeeze(c, one)",
        "b = ArgMax<axis = 1>(z) c = Expand(b, one) k = Squeeze(c, one)",
        "b = ArgMax<axis = 1, keepdims = 0>(z) k = Gather(labels, b)",
    ],
)
def test_a_model_that_gives_labels_alone(tail, models, tmp_path) -> None:
    """What it chooses by is explained."""
    body = f"a = MatMul(x, w) z = Tanh(a) {tail}"
    model = models.make(
        f"m (float[N, 4] x) => (int64[N] k) {{ {body} }}",
        w=models.random(4, 3), one=np.array([1]), labels=np.array([7, 8, 9]),
    )  # fmt: skip
    x = models.random(2, 4)
    z = np.tanh(x @ models.random(4, 3))
    found = ox.explain(model, x, "predicted", method=SIGNED)
    np.testing.assert_array_equal(found.target[:, 0], z.argmax(1))
    np.testing.assert_allclose(found.predictions, z, rtol=1e-5)
    slope = 1 - z[np.arange(2), z.argmax(1)] ** 2
    np.testing.assert_allclose(
        found.values, slope[:, None] * models.random(4, 3)[:, z.argmax(1)].T, rtol=1e-4
    )
    assert any("'z', by which it is chosen" in note for note in found.notes)
    made = ox.export(model, tmp_path / "made.onnx", method=SIGNED)
    assert made.outputs == ("k", "z", "attribution/x")
    assert not ox.inspect(model).problems


#: How token ids come to their embedding e, and what reads it: h, (N, L, 8).
WAYS = {
    "ids transposed": "t = Transpose<perm = [1, 0]>(ids) e = Gather(table, t) a = Tanh(e) "
    "h = Transpose<perm = [1, 0, 2]>(a)",
    "rows first": "e = Gather<axis = 1>(tableT, ids) a = Tanh(e) h = Transpose<perm = [1, 2, 0]>(a)",
    "cut": "c = Slice(ids, one, far, one) e = Gather(table, c) a = Tanh(e) b = Slice(a, zero, one, one) "
    "h = Concat<axis = 1>(b, a)",
    "padded": "c = Pad(ids, pads, seven) e = Gather(table, c) a = Tanh(e) h = Slice(a, one, far, one)",
    "joined": "c = Concat<axis = 1>(first, ids) e = Gather(table, c) a = Tanh(e) h = Slice(a, one, far, one)",
    "moved by one": "c = Add(ids, seven) e = Gather(table, c) h = Tanh(e)",
    "one-hot in front": "o = OneHot<axis = 0>(ids, thirty, bits) m = Reshape(o, wide) t = Transpose(m) "
    "d = MatMul(t, table) f = Reshape(d, rows) h = Tanh(f)",
    "whole one-hot": "o = OneHot(ids, thirty, whole_bits) c = Cast<to = 1>(o) d = MatMul(c, table) "
    "h = Tanh(d)",
    "clipped": "c = Clip(ids, least, most) e = Gather(table, c) h = Tanh(e)",
    "remainder": "c = Add(ids, thirty) d = Mod(c, thirty) e = Gather(table, d) h = Tanh(e)",
    "a power": "c = Pow(ids, single) e = Gather(table, c) h = Tanh(e)",
    "negative": "c = Neg(ids) d = Abs(c) e = Gather(table, d) h = Tanh(e)",
    "characters": "c = Reshape(ids, pairs) e = Gather(table, c) a = Tanh(e) h = Reshape(a, rows)",
    "by shape": "c = Unsqueeze(ids, two) q = Shape(c) g = Concat<axis = 0>(q, one) r = Reshape(c, g) "
    "e = Gather(table, r) a = Tanh(e) h = Squeeze(a, twothree)",
    "flat": "c = Reshape(ids, flat) e = Gather(table, c) a = Tanh(e) h = Reshape(a, rows)",
}


@pytest.mark.parametrize("way", WAYS)
def test_tokens_that_are_moved_before_their_embedding(way, models, tmp_path) -> None:
    """Each token gets what changes with it, wherever its row lies."""
    model = models.make(
        f"""m (int64[N, 4] ids) => (float[N, 2] y) {{
          {WAYS[way]}
          k = Mul(h, place) s = ReduceSum<keepdims = 0>(k, one) y = MatMul(s, out)
        }}""",
        table=models.random(40, 8), tableT=models.random(40, 8).T.copy(), out=models.random(8, 2, seed=2),
        place=models.random(4, 8, seed=3), zero=np.array([0]), one=np.array([1]), far=np.array([99]),
        pads=np.array([0, 1, 0, 0]), seven=np.array(7), first=np.array([[7], [7]]), thirty=np.array(40),
        bits=np.array([0, 1], np.float32), wide=np.array([40, -1]), rows=np.array([-1, 4, 8]),
        flat=np.array([-1]), pairs=np.array([-1, 2]), whole_bits=np.array([0, 1]), least=np.array(0),
        most=np.array(39), single=np.array(1), two=np.array([2]), twothree=np.array([2, 3]),
    )  # fmt: skip
    if way == "joined":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    explainer = ox.Explainer(model)
    ids = np.array([[3, 1, 4, 1], [5, 9, 2, 6]])
    found = explainer(ids, list(range(len(ids))), "deep_lift")
    assert found.values.shape == ids.shape
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    told = [n for n in found.notes if "one by one, since none of the axes" in n]
    assert bool(told) == (way in ("flat", "characters"))
    rows = np.tanh(models.random(40, 8)[ids + 7 * (way == "moved by one")])
    place = models.random(4, 8, seed=3)
    if way == "cut":
        rows, place = rows[:, 1:], np.stack([place[0] + place[1], place[2], place[3]])
    expected = np.einsum("nlk,lk,kn->nl", rows, place, models.random(8, 2, seed=2)[:, : len(ids)])
    if way == "cut":
        expected = np.concatenate([np.zeros((len(ids), 1)), expected], axis=1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)
    made = ox.export(model, tmp_path / "made.onnx", method="deep_lift")
    session = ort.InferenceSession(str(made.path))
    (values,) = session.run(["attribution/ids"], {"ids": ids, "target": np.arange(len(ids))})
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_rows_of_a_table_behind_whatever_keeps_all_numbers(models) -> None:
    model = models.make(
        """m (int64[3, N] ids) => (float[3, N, 4] y) {
          r = ReverseSequence(ids, lengths) y = Gather(table, r)
        }""",
        table=models.random(9, 4), lengths=np.array([1]),
    )  # fmt: skip
    (info,) = ox.Explainer(model).inputs
    assert info.rows == 9
