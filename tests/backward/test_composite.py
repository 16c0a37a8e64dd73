"""Which rule goes to which node: matchers, places, pieces, bodies, tables, and what is refused when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.backward import program
from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.composite import Composite, Match, RuleTable
from onnxplain.backward.presets import PRESETS, preset
from onnxplain.backward.program import Question
from onnxplain.backward.registry import Category
from onnxplain.backward.relevance_composites import layered
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import GRADIENT, Pass
from onnxplain.errors import DataInputError, UnsupportedOperatorError, UnsupportedRuleError
from onnxplain.graph.load import load
from onnxplain.graph.normalize import Normalized, normalize

if TYPE_CHECKING:
    from onnxplain.backward.places import Place


@dataclass(frozen=True)
class Mark:
    """A rule that only shows where it is."""

    name: str

    def bind(self, binding: Any) -> None:
        return None


HERE, REST = Mark("here"), Mark("-")


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Name every node after its first output."""
    for node in model.graph.node:
        node.name = node.output[0]
        for attribute in node.attribute:
            for inner in attribute.g.node:
                inner.name = inner.output[0]
    return model


def normal(model: onnx.ModelProto) -> Normalized:
    return normalize(load(named(model)), expand=needs_body)


def resolved(model: onnx.ModelProto, composite: Composite, *wrt: str) -> RuleTable:
    """Resolve for the first output, and all inputs that are floats (or those named)."""
    graph = normal(model).model.graph
    sources = [v for v in graph.inputs if (v.name in wrt if wrt else v.dtype.is_floating_point())]
    return composite.resolve(graph, [graph.outputs[0]], sources)


def chosen(model: onnx.ModelProto, match: Match, *wrt: str) -> str:
    """Return the names of the nodes that match, in order."""
    table = resolved(model, Composite("one", ((match, HERE), (Match(), REST))), *wrt)
    return " ".join(name for name, _, rule in table if rule == "here")


def places(model: onnx.ModelProto, *wrt: str) -> dict[str, Place]:
    """Return the places of the nodes outside bodies by name."""
    found: dict[str, Place] = {}

    def note(place: Place) -> bool:
        found[place.node.name] = place
        return True

    resolved(model, Composite("one", ((Match(predicate=note), REST),)), *wrt)
    return found


CHAIN = """m (float[N, 3, 8, 8] x) => (float[N, 2] y) {
  c1 = Conv(x, w1) r1 = Relu(c1)
  c2 = Conv(r1, w2, b2) r2 = Relu(c2)
  c3 = Conv(r2, w3)
  p = MaxPool<kernel_shape = [2, 2]>(c3)
  f = Flatten(p)
  d = MatMul(f, v) e = Add(d, k)
  s = Tanh(e)
  y = Gemm(s, u)
}"""


@pytest.fixture(scope="module")
def chain(models) -> onnx.ModelProto:
    return models.make(
        CHAIN,
        w1=models.random(4, 3, 3, 3), w2=models.random(4, 4, 3, 3), b2=models.random(4),
        w3=models.random(2, 4, 3, 3), v=models.random(2, 5), k=models.random(5),
        u=models.random(5, 2),
    )  # fmt: skip


MATCHES: dict[str, tuple[Match, str]] = {
    "all": (Match(), "c1 r1 c2 r2 c3 p f d e s y"),
    "op": (Match(ops=("Relu",)), "r1 r2"),
    "ops": (Match(ops=("Conv", "Gemm")), "c1 c2 c3 y"),
    "no op": (Match(ops=("LSTM",)), ""),
    "category": (Match(categories=(Category.ELEMENTWISE,)), "r1 r2 s"),
    "categories": (Match(categories=(Category.SUM, Category.STRUCTURAL)), "f e"),
    "name": (Match(name="c2"), "c2"),
    "pattern": (Match(name="c*"), "c1 c2 c3"),
    "one of": (Match(name="[rc]2"), "c2 r2"),
    "layers": (Match(layer=True), "c1 c2 c3 d y"),
    "no layers": (Match(layer=False), "r1 r2 p f e s"),
    "first": (Match(first=True), "c1"),
    "not first": (Match(layer=True, first=False), "c2 c3 d y"),
    "last": (Match(last=True), "y"),
    "neither": (Match(layer=True, first=False, last=False), "c2 c3 d"),
    "depth": (Match(depth=(0.25, 0.75)), "c2 r2 c3 p f"),
    "depth from 0": (Match(depth=(0.0, 0.25), layer=True), "c1"),
    "depth below": (Match(depth=(0.0, 0.2501), layer=True), "c1 c2"),
    "depth to 1": (Match(depth=(0.75, 1.0)), "d e s y"),
    "depth almost to 1": (Match(depth=(0.75, 0.9999)), "d e s"),
    "depth of all": (Match(depth=(0.0, 1.0)), "c1 r1 c2 r2 c3 p f d e s y"),
    "predicate": (Match(predicate=lambda place: place.node.outputs[0].name == "c3"), "c3"),
    "all must hold": (Match(ops=("Conv", "Relu"), name="*2", layer=True, depth=(0.0, 0.5)), "c2"),
    "predicate too": (Match(ops=("Conv",), predicate=lambda place: place.depth == 0.5), "c3"),
}


@pytest.mark.parametrize("what", MATCHES)
def test_matchers(what, chain) -> None:
    match, expected = MATCHES[what]
    assert chosen(chain, match) == expected


def test_the_first_match_wins(chain) -> None:
    rules = (
        (Match(name="c2"), Mark("a")),
        (Match(ops=("Conv",)), Mark("b")),
        (Match(layer=True), Mark("c")),
        (Match(ops=("Conv",)), Mark("never")),
        (Match(), REST),
    )
    table = resolved(chain, Composite("one", rules))
    assert [rule for *_, rule in table] == ["b", "-", "a", "-", "b", "-", "-", "c", "-", "-", "c"]


# Places


def where(model: onnx.ModelProto, *wrt: str) -> dict[str, tuple[bool, bool, float]]:
    """Return (first, last, depth) of each layer."""
    return {k: (p.first, p.last, p.depth) for k, p in places(model, *wrt).items() if p.layer}


def test_depth_is_of_the_layer_before(chain) -> None:
    found = {name: place.depth for name, place in places(chain).items()}
    assert found == {
        "c1": 0, "r1": 0, "c2": 0.25, "r2": 0.25, "c3": 0.5, "p": 0.5, "f": 0.5,
        "d": 0.75, "e": 0.75, "s": 0.75, "y": 1,
    }  # fmt: skip


def test_a_node_before_all_layers(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N, 2] y) { t = Tanh(x) a = MatMul(t, w) y = MatMul(a, v) }",
        w=models.random(3, 4), v=models.random(4, 2),
    )  # fmt: skip
    found = places(model)
    assert (found["t"].depth, found["t"].first, found["t"].last) == (0, False, False)
    assert where(model) == {"a": (True, False, 0), "y": (False, True, 1)}


def test_one_layer_is_first_and_last(models) -> None:
    assert where(models.linear([[1.0, 2.0]])) == {"y": (True, True, 0)}


def test_two_inputs_have_first_layers_of_their_own(models) -> None:
    """However the file orders them."""
    body = {
        "a": "a = MatMul(x, w) ra = Relu(a) a2 = MatMul(ra, v)",
        "b": "b = MatMul(z, w) b2 = MatMul(b, v)",
    }
    for order in ("ab", "ba"):
        text = " ".join(body[k] for k in order)
        model = models.make(
            f"""m (float[N, 3] x, float[N, 3] z) => (float[N, 2] y) {{ {text}
              s = Add(a2, b2) y = MatMul(s, u) }}""",
            w=models.random(3, 4), v=models.random(4, 5), u=models.random(5, 2),
        )  # fmt: skip
        assert where(model) == {
            "a": (True, False, 0), "b": (True, False, 0), "a2": (False, False, 0.5),
            "b2": (False, False, 0.5), "y": (False, True, 1),
        }  # fmt: skip
        assert where(model, "z") == {"b": (True, False, 0), "b2": (False, False, 0.5), "y": (False, True, 1)}


def test_branches_of_different_lengths_end_at_the_same_depth(models) -> None:
    model = models.make(
        """m (float[N, 3] x) => (float[N, 3] y) {
          a = MatMul(x, w) long1 = MatMul(a, w) long2 = MatMul(long1, w)
          short = MatMul(a, w) y = Add(long2, short)
        }""",
        w=models.random(3, 3),
    )  # fmt: skip
    assert where(model) == {
        "a": (True, False, 0), "long1": (False, False, 0.5),
        "long2": (False, True, 1), "short": (False, True, 1),
    }  # fmt: skip


def test_a_residual_way_around_a_layer(models) -> None:
    """The way around a layer leads from the input to the second one, which still has a layer before it."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 3] y) {
          a = MatMul(x, w) s = Add(a, x) b = MatMul(s, w) y = Add(b, s)
        }""",
        w=models.random(3, 3),
    )  # fmt: skip
    assert where(model) == {"a": (True, False, 0), "b": (False, True, 1)}


def test_a_layer_used_twice(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { a = MatMul(x, w) b = MatMul(a, w) y = MatMul(b, w) }",
        w=models.random(3, 3),
    )  # fmt: skip
    assert where(model) == {"a": (True, False, 0), "b": (False, False, 0.5), "y": (False, True, 1)}


def test_a_product_of_two_computed_values_is_no_layer(models) -> None:
    model = models.make(
        "m (float[N, 3, 3] x) => (float[N, 3, 3] y) { a = MatMul(x, w) b = MatMul(a, x) y = MatMul(b, w) }",
        w=models.random(3, 3),
    )  # fmt: skip
    assert where(model) == {"a": (True, False, 0), "y": (False, True, 1)}
    assert not places(model)["b"].layer


def test_a_product_with_what_is_not_explained_is_a_layer(models) -> None:
    model = models.make("m (float[N, 3] x, float[3, 2] z) => (float[N, 2] y) { y = MatMul(x, z) }")
    assert list(where(model, "x")) == ["y"]
    assert list(where(model)) == []


# Pieces of several nodes that are one function of each element

SILU = "g = Sigmoid(a) act = Mul(a, g)"
GELU = "q = Div(a, root) e = Erf(q) o = Add(e, one) h = Mul(a, o) act = Mul(h, half)"
GELU_OTHER_ORDER = "h = Mul(a, half) q = Div(a, root) e = Erf(q) o = Add(e, one) act = Mul(h, o)"
TANH_GELU = """q = Mul(a, a) p = Mul(q, a) m = Mul(p, k) i = Add(a, m) j = Mul(i, root) t = Tanh(j)
  o = Add(t, one) n = Mul(a, o) act = Mul(n, half)"""
PIECES = {"silu": SILU, "gelu": GELU, "gelu in another order": GELU_OTHER_ORDER, "tanh gelu": TANH_GELU}


def piece_model(models, kind: str) -> onnx.ModelProto:
    return models.make(
        f"m (float[N, 3] x) => (float[N, 2] y) {{ a = MatMul(x, w) {PIECES[kind]} y = MatMul(act, v) }}",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2), root=2**0.5, one=1.0, half=0.5,
        k=0.0447,
    )  # fmt: skip


@pytest.mark.parametrize("kind", PIECES)
def test_a_piece_takes_one_row_and_one_rule(kind, models) -> None:
    model = piece_model(models, kind)
    table = resolved(model, preset("epsilon"))
    rows = [row for row in table if row[1] != "MatMul"]
    assert [row[2] for row in rows] in (["pass"], ["pass", "product"])
    assert places(model)[rows[0][0]].piece
    assert places(model)[rows[0][0]].category is Category.ELEMENTWISE


@pytest.mark.parametrize("kind", PIECES)
def test_layers_are_found_across_a_piece(kind, models) -> None:
    assert where(piece_model(models, kind)) == {"a": (True, False, 0), "y": (False, True, 1)}


@pytest.mark.parametrize("kind", PIECES)
def test_relevance_passes_a_piece_unchanged(kind, models) -> None:
    """So it is what the next layer gives, as if the activation were one operator with the rule pass."""
    x = models.random(4, 3, seed=3).astype(np.float64)
    model = piece_model(models, kind)
    result = ox.explain(model, x.astype(np.float32), 1, method=ox.LRP("epsilon"), wrt="a")
    forward = ox.Explainer(with_output(model, "act")).predict(x.astype(np.float32))
    v = models.random(4, 2, seed=2)
    np.testing.assert_allclose(result.arrays["a"], forward["act"] * v[:, 1], rtol=1e-3, atol=1e-5)


def with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, ["N", 4]))
    return made


def test_without_regions_each_node_takes_a_rule(models) -> None:
    composite = Composite("one", ((Match(), GRADIENT),), regions=False)
    assert len(resolved(piece_model(models, "gelu"), composite).rows) == 7


def test_a_rectifier_beside_a_piece_says_nothing_of_the_sign(models) -> None:
    """Here a gets relevance from the piece too, at places where the ReLU is off."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 2] y) {
          a = MatMul(x, w) r = Relu(a) g = Sigmoid(a) t = Tanh(a) act = Mul(g, t)
          b = MatMul(r, v) c = MatMul(act, v) y = Add(b, c)
        }""",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2),
    )  # fmt: skip
    x = models.random(5, 3, seed=3)
    composite = Composite("one", ((Match(name="a"), lrp.gamma(0.5)), *preset("epsilon").rules))
    named(model)
    found = ox.explain(model, x, 0, method=ox.LRP(composite)).values
    R = ox.explain(model, x, 0, method=ox.LRP("epsilon"), wrt="a").arrays["a"]
    A = models.random(3, 4, seed=1).T
    expected = np.stack([sign_aware_gamma(A, x[k], R[k], 0.5) for k in range(5)])
    assert (R[x @ A.T < 0] != 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def sign_aware_gamma(A: np.ndarray, x: np.ndarray, R: np.ndarray, g: float) -> np.ndarray:
    y = A @ x
    up, down = A + g * np.maximum(A, 0), A + g * np.minimum(A, 0)
    plus, minus = np.maximum(x, 0), np.minimum(x, 0)
    supporting, opposing = plus * up + minus * down, plus * down + minus * up
    return supporting.T @ (R * (y > 0) / supporting.sum(1)) + opposing.T @ (R * (y < 0) / opposing.sum(1))


def test_a_rectifier_beside_a_body_says_nothing_of_the_sign(models) -> None:
    """Here a gets relevance from the branch of an If as well."""
    model = models.make(
        """m (float[N, 3] x, bool flag) => (float[N, 2] y) {
          a = MatMul(x, w) r = Relu(a) b = MatMul(r, v)
          c = If(flag) <
            then_branch = one () => (float[N, 2] p) { p = MatMul(a, v) },
            else_branch = two () => (float[N, 2] q) { q = MatMul(a, u) }>
          y = Add(b, c)
        }""",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2), u=models.random(4, 2, seed=4),
    )  # fmt: skip
    composite = Composite("one", ((Match(name="a"), lrp.gamma(0.5)), *preset("epsilon").rules))
    named(model)
    feeds = {"x": models.random(1, 3, seed=3), "flag": np.array(True)}
    found = ox.explain(model, feeds, 0, method=ox.LRP(composite)).arrays["x"]
    A, v = models.random(3, 4, seed=1).T, models.random(4, 2, seed=2)
    y = A @ feeds["x"][0]
    R = (np.maximum(y, 0) + y) * v[:, 0]
    np.testing.assert_allclose(found[0], sign_aware_gamma(A, feeds["x"][0], R, 0.5), rtol=1e-3, atol=1e-4)


# Bodies

LOOP = """Y = Loop(n, none, a) <
  body = one (int64 i, bool go, float[N, 4] h) => (bool more, float[N, 4] out) {
    u = MatMul(h, v) s = Sigmoid(u) t = Mul(u, s) out = MatMul(t, v) more = Identity(go)
  }>"""
IF = """Y = If(flag) <
  then_branch = one () => (float[N, 4] p) { u = MatMul(a, v) r = Relu(u) p = MatMul(r, v) },
  else_branch = two () => (float[N, 4] q) { q = Tanh(a) }>"""
SCAN = """last, Y = Scan(start, a) <
  num_scan_inputs = 1,
  body = one (float[4] h, float[4] i) => (float[4] out, float[4] o) {
    j = MatMul(i, v) k = MatMul(h, v) l = Add(j, k) out = Tanh(l) o = Identity(out)
  }>"""


def body_model(models, body: str, before: str = "a = MatMul(x, w)", after: str = "") -> onnx.ModelProto:
    text = f"{before} {body.replace('Y', 'z' if after else 'y')} {after}"
    held = {
        "w": models.random(3, 4), "v": models.random(4, 4), "n": np.array(3), "none": np.array(True),
        "start": np.zeros(4, np.float32),
    }  # fmt: skip
    used = {k: v for k, v in held.items() if re.search(rf"[(, ]{k}[,)]", text)}
    width = 3 if "w" in used else 4
    return models.make(f"m (float[N, {width}] x, bool flag) => (float[N, 4] y) {{ {text} }}", **used)


def test_the_rows_of_bodies_follow_their_node(models) -> None:
    table = resolved(body_model(models, LOOP), preset("epsilon"))
    assert [(op, rule) for _, op, rule in table] == [
        ("MatMul", "epsilon"), ("Loop", "inside"),
        ("MatMul", "epsilon"), ("Mul", "pass"), ("MatMul", "epsilon"),
    ]  # fmt: skip
    table = resolved(body_model(models, IF), preset("epsilon"))
    assert [(op, rule) for _, op, rule in table] == [
        ("MatMul", "epsilon"), ("If", "inside"),
        ("MatMul", "epsilon"), ("Relu", "pass"), ("MatMul", "epsilon"), ("Tanh", "pass"),
    ]  # fmt: skip
    table = resolved(body_model(models, SCAN), preset("epsilon"))
    assert [op for _, op, _ in table][:2] == ["MatMul", "Scan"]
    assert [(op, rule) for _, op, rule in table][2:] == [
        ("MatMul", "epsilon"), ("MatMul", "epsilon"), ("Add", "norm"), ("Tanh", "pass"),
        ("Identity", "gradient"),
    ]  # fmt: skip


def spots(model: onnx.ModelProto) -> str:
    """Return op and place of all layers, in order, those of bodies too."""
    kinds = {"FL.": (True, True), "F.": (True, False), "L.": (False, True), ".": (False, False)}
    pairs = [(Match(layer=True, first=first, last=last), Mark(k)) for k, (first, last) in kinds.items()]
    marks = Composite("one", (*pairs, (Match(), REST)))
    return " ".join(rule for _, op, rule in resolved(model, marks) if op == "MatMul" or rule == "inside")


@pytest.mark.parametrize("body", [LOOP, IF], ids=["loop", "if"])
def test_first_and_last_inside_bodies(body, models) -> None:
    """What lies before the node lies before its body, and what follows it after."""
    assert spots(body_model(models, body)) == "F. inside . L."
    assert spots(body_model(models, body, before="a = Tanh(x)")) == "inside F. L."
    after = "y = MatMul(z, v)"
    assert spots(body_model(models, body, before="a = Tanh(x)", after=after)) == "inside F. . L."
    assert spots(body_model(models, body, after=after)) == "F. inside . . L."


def test_depth_inside_bodies_is_that_of_their_node(models) -> None:
    model = body_model(models, LOOP, after="y = MatMul(z, v)")
    assert chosen(model, Match(ops=("MatMul",), depth=(0.4, 0.6))) == "u out"
    assert chosen(model, Match(ops=("MatMul",), depth=(0.0, 0.4))) == "a"
    assert chosen(model, Match(ops=("MatMul",), depth=(0.6, 1.0))) == "y"


def test_what_is_chosen_inside_a_body_is_what_runs(models) -> None:
    """A loop of two rounds under z+ is the two layers written out under z+."""
    looped = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          y = Loop(n, c, x) <
            body = one (int64 i, bool go, float[N, 4] h) => (bool more, float[N, 4] out) {
              u = MatMul(h, v) out = Relu(u) more = Identity(go)
            }>
        }""",
        v=models.random(4, 4, seed=1), n=np.array(2), c=np.array(True),
    )  # fmt: skip
    flat = models.make(
        "m (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, v) b = Relu(a) c = MatMul(b, v) y = Relu(c) }",
        v=models.random(4, 4, seed=1),
    )  # fmt: skip
    x = models.random(6, 4, seed=2)
    method = ox.LRP(layered("plus", (), lrp.zplus()))
    found, expected = (ox.explain(m, x, 0, method=method).values for m in (looped, flat))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_nodes_are_layers_on_the_way(kind, models) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    model = models.make(
        f"""m (float[T, N, 3] x) => (float[N, 2] y) {{
          a = MatMul(x, u) all, h = {kind}<hidden_size = 4>(a, w, r) s = Squeeze(h, zero) y = MatMul(s, v)
        }}""",
        w=models.random(1, gates * 4, 3), r=models.random(1, gates * 4, 4), v=models.random(4, 2),
        u=models.random(3, 3), zero=np.array([0]),
    )  # fmt: skip
    assert where(model) == {"a": (True, False, 0), "y": (False, True, 1)}
    assert places(model)["s"].depth == 0.5
    model = models.make(
        f"""m (float[T, N, 3] x) => (float[N, 2] y) {{
          all, h = {kind}<hidden_size = 4>(x, w, r) s = Squeeze(h, zero) y = MatMul(s, v)
        }}""",
        w=models.random(1, gates * 4, 3), r=models.random(1, gates * 4, 4), v=models.random(4, 2),
        zero=np.array([0]),
    )  # fmt: skip
    assert where(model) == {"y": (False, True, 1)}
    assert resolved(model, preset("epsilon")).rows[0][1:] == (kind, "inside")


# What is refused, and when


def test_an_operator_without_a_rule_is_named(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = LogSoftmax(a) }")
    with pytest.raises(
        UnsupportedRuleError, match=r"'epsilon' has no rule for LogSoftmax node 'y'; use a grad"
    ):
        resolved(model, preset("epsilon"))


def test_an_unknown_operator_is_named(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = odd.Mystery(a) }", domain="odd"
    )
    with pytest.raises(
        UnsupportedOperatorError, match=r"odd.Mystery node 'y' lies between .*'onnxplain inspect'"
    ):
        resolved(model, preset("epsilon"))


def test_a_rule_that_cannot_be_bound_is_named(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = Sigmoid(a) }")
    composite = Composite("one", ((Match(name="y"), lrp.zplus()), (Match(), Pass())))
    with pytest.raises(UnsupportedRuleError, match=r"'zplus' .* Sigmoid node 'y' .*; give it another rule"):
        resolved(model, composite)


def test_what_is_inside_bodies_is_refused_before_anything_is_written(models) -> None:
    composite = Composite("one", ((Match(ops=("Tanh",)), lrp.zplus()), *preset("epsilon").rules))
    with pytest.raises(UnsupportedRuleError, match=r"'zplus' .* Tanh node 'q'"):
        resolved(body_model(models, IF), composite)


def test_rules_are_resolved_before_anything_runs(models, monkeypatch) -> None:
    """A composite that does not fit is told by check, with nothing written and nothing run."""
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = LogSoftmax(x) y = Relu(a) }")
    question = Question("y", ("x",), preset("epsilon"))
    monkeypatch.setattr(program, "backward", None)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        program.check(normal(model), question)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        program.build(normal(model), question)
    monkeypatch.setattr(ox.Explainer, "_values", None)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        ox.explain(model, models.random(2, 3), "predicted", method="lrp")


def test_what_a_composite_needs(models, chain) -> None:
    composite = Composite("seer", ((Match(), REST),), needs=("Conv", "ConvTranspose"))
    with pytest.raises(
        UnsupportedRuleError, match=r"'seer' is for networks with Conv or ConvTranspose, and .*sal"
    ):
        resolved(models.mlp(), composite)
    assert len(resolved(chain, composite).rows) == 11


# Tables and composites as data


def test_a_table_prints(models) -> None:
    table = resolved(models.mlp(), preset("zplus"))
    assert str(table).splitlines() == ["a  Gemm  zplus", "h  Relu  pass ", "y  Gemm  zplus"]
    assert list(table) == [("a", "Gemm", "zplus"), ("h", "Relu", "pass"), ("y", "Gemm", "zplus")]
    assert str(RuleTable((), {})) == ""


def test_the_table_is_on_the_result_and_in_an_inspection(models) -> None:
    model = named(models.mlp())
    rows = (("a", "Gemm", "zplus"), ("h", "Relu", "pass"), ("y", "Gemm", "zplus"))
    assert ox.explain(model, models.random(2, 5), 0, method=ox.LRP("zplus")).rule_table == rows
    found = ox.inspect(model, composite="zplus")
    assert found.rule_table is not None
    assert found.rule_table.rows == rows
    assert {row.op_type: row.rule for row in found.operators} == {"Gemm": "zplus", "Relu": "pass"}
    plain = ox.inspect(model)
    assert plain.rule_table is None
    assert {row.op_type: row.rule for row in plain.operators} == {"Gemm": "epsilon", "Relu": "pass"}


def test_an_inspection_shows_the_graph_that_is_walked(models) -> None:
    """A normalisation becomes part of the layer before it, or a product and a sum; a bias joins its layer."""
    weights = {k: models.random(2) for k in ("s", "b", "m")} | {"v": models.random(2) ** 2 + 1}
    model = models.make(
        """m (float[N, 2, 4] x) => (float[N, 2, 4] y) {
          a = BatchNormalization(x, s, b, m, v) r = Relu(a) c = MatMul(r, w) y = Add(c, u)
        }""",
        w=models.random(4, 4), u=models.random(4), **weights,
    )  # fmt: skip
    found = ox.inspect(named(model), composite=preset("epsilon"))
    assert found.rule_table is not None
    ran = ox.explain(model, models.random(3, 2, 4), (0, 0), method=ox.LRP("epsilon"))
    assert found.rule_table.rows == ran.rule_table
    rules = {row.op_type: row.rule for row in found.operators}
    assert rules == {"BatchNormalization": "rewritten", "MatMul": "rewritten", "Relu": "pass", "Add": "norm"}


def test_an_inspection_refuses_what_a_composite_does_not_take(models) -> None:
    with pytest.raises(ox.errors.MethodError, match="'gamma' is an option of a composite; name one"):
        ox.inspect(models.mlp(), gamma=1)
    with pytest.raises(ox.errors.MethodError, match="'epsilon' does not take 'gamma'"):
        ox.inspect(models.mlp(), composite="epsilon", gamma=1)
    found = ox.inspect(models.mlp(), composite="visual_backprop")
    assert found.rule_table is None
    assert "networks with Conv" in found.problems[0]


OPTIONS: dict[str, dict[str, Any]] = {"epsilon_gamma_box": {"low": -1.0, "high": 1.0}}


@pytest.mark.parametrize("name", PRESETS)
def test_composites_hash_and_compare(name) -> None:
    """Programs are cached by what is asked, so that making a composite anew must not make a new program."""
    one, same = (preset(name, **OPTIONS.get(name, {})) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    others = [preset(n, **OPTIONS.get(n, {})) for n in PRESETS if n != name]
    assert one not in others


def test_composites_with_other_options_differ() -> None:
    assert preset("epsilon") != preset("epsilon", epsilon=1e-3)
    assert preset("epsilon", zero_params=["bias"]) == preset("epsilon", zero_params=("bias",))
    assert preset("epsilon", zero_params="bias") == preset("epsilon", zero_params=("bias",))
    assert preset("zplus", winner_take_all=False) != preset("zplus")


def test_a_program_is_built_once_per_composite(models) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(2, 5)
    for _ in range(2):
        explainer(x, target=0, method=ox.LRP("epsilon", epsilon=0.1))
        explainer(x, target=0, method=ox.LRP("epsilon", epsilon=0.2))
    assert len(explainer._programs._programs) == 2


PIECEWISE_LINEAR = {
    "computed bias": """k = MatMul(x, u) r = Relu(k) a = Gemm<beta = -0.5>(x, w, r) y = Relu(a)""",
    "scatter": """h = MatMul(x, w) r = Relu(h) f = Flatten<axis = 0>(h) g = Flatten<axis = 0>(r)
        t = Transpose(f) q = Transpose(g) c = Slice(q, two, six)
        z = ScatterND<reduction = "add">(t, rows, c) p = Reshape(z, shape) y = Relu(p)""",
    "scatter elements": """h = MatMul(x, w) r = Relu(h) i = Shape(x) o = Expand(index, i)
        z = ScatterElements<axis = 1, reduction = "add">(h, o, r) y = Relu(z)""",
}


@pytest.mark.parametrize("case", PIECEWISE_LINEAR)
def test_lrp_zero_is_gradient_times_input_where_all_is_piecewise_linear(case, models) -> None:
    """Whatever is added takes part, where it comes in by another way than Add too."""
    model = models.make(
        f"m (float[2, 4] x) => (float[2, 4] y) {{ {PIECEWISE_LINEAR[case]} }}",
        w=models.random(4, 4, seed=1), u=models.random(4, 4, seed=2), two=np.array([2]), six=np.array([6]),
        rows=np.array([[1], [3], [1], [7]]), shape=np.array([2, 4]), index=np.array([[1, 1, 0, 3]]),
    )  # fmt: skip
    explainer = ox.Explainer(model)
    x = models.random(2, 4, seed=3)
    wanted = explainer(x, 1, "input_x_gradient").values
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(explainer(x, 1, ox.LRP("zero")).values, wanted, rtol=1e-4, atol=1e-5)


def test_updates_that_multiply_are_refused(models) -> None:
    """They are products, of which the gradient would give the whole to both factors."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) {
          i = Shape(x) o = Expand(index, i) r = Sigmoid(x)
          y = ScatterElements<axis = 1, reduction = "mul">(x, o, r)
        }""",
        index=np.array([[1, 1, 0, 3]]),
    )
    with pytest.raises(UnsupportedRuleError, match="no rule for ScatterElements node"):
        ox.explain(model, models.random(2, 4), 1, method="lrp")


def test_spectra_and_regions_of_interest_conserve(models) -> None:
    spectrum = models.make(
        """m (float[N, 32, 1] x) => (float[N] y) {
          s = STFT(x, step, window) r = Relu(s) y = ReduceSum<keepdims = 0>(r, axes)
        }""",
        step=np.array(8), window=np.hanning(16).astype(np.float32), axes=np.array([1, 2, 3]),
    )  # fmt: skip
    regions = models.make(
        "m (float[1, 2, 6, 6] x) => (float[1, 8] y) "
        "{ p = MaxRoiPool<pooled_shape = [2, 2]>(x, rois) y = Flatten(p) }",
        rois=[[0, 0, 0, 4, 4]],
    )
    for model, shape, target in ((spectrum, (2, 32, 1), None), (regions, (1, 2, 6, 6), 3)):
        found = ox.explain(model, models.random(*shape, seed=1), target, method=ox.LRP("epsilon"))
        assert np.abs(found.values).max() > 0
        assert found.relative_delta.max() < 1e-4


def test_attention_weights_are_constant_however_values_are_mixed(models) -> None:
    """attention_cp conserves: what goes to the weights would be lost in the softmax."""
    mixes = {
        "MatMul": "t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) p = Softmax(s) o = MatMul(p, u)",
        "Einsum": """s = Einsum<equation = "nid,njd->nij">(q, k) p = Softmax(s)
            o = Einsum<equation = "nij,njd->nid">(p, u)""",
    }
    x = models.random(2, 4, 6, seed=4)
    found = []
    for mix in mixes.values():
        model = models.make(
            f"""m (float[N, 4, 6] x) => (float[N, 6] y) {{
              q = MatMul(x, a) k = MatMul(x, b) u = MatMul(x, c) {mix} y = ReduceMean<keepdims = 0>(o, axis)
            }}""",
            a=models.random(6, 6, seed=1), b=models.random(6, 6, seed=2), c=models.random(6, 6, seed=3),
            axis=np.array([1]),
        )  # fmt: skip
        found.append(ox.explain(model, x, 1, method=ox.LRP("attention_cp")))
    assert all(f.relative_delta.max() < 1e-4 for f in found)
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-3, atol=1e-5)


def test_bounds_of_weights_on_the_left_go_along_their_columns(models) -> None:
    w = models.random(3, 4, seed=1)
    low, high = (-1.0, -2.0, -3.0, -4.0), (1.0, 0.5, 2.0, 1.5)
    x = np.clip(models.random(4, 1, seed=2), -1, 0.5)
    left = models.make("m (float[4, N] x) => (float[3, N] y) { y = MatMul(w, x) }", w=w)
    right = models.make("m (float[N, 4] x) => (float[N, 3] y) { y = MatMul(x, v) }", v=w.T.copy())
    method = ox.LRP(Composite("box", ((Match(), lrp.zbox(low, high)),)))
    a = ox.explain(left, x, (1, 0), method=method).values
    b = ox.explain(right, x.T.copy(), 1, method=method).values
    np.testing.assert_allclose(a.T, b, rtol=1e-5, atol=1e-6)


def test_what_is_asked_for_inside_a_piece_is_not_passed_by(tmp_path, models) -> None:
    """A file may explain values that are computed from each other: then the piece is walked node by node."""
    model = models.make("m (float[N, 5] x) => (float[N, 5] y) { t = Tanh(x) h = Add(x, t) y = Relu(h) }")
    path, x = tmp_path / "both.onnx", np.abs(models.random(2, 5, seed=3))
    names = ox.export(model, path, method=ox.LRP("epsilon"), wrt=["x", "t"]).outputs
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(None, {"x": x, "target": np.array([1, 1])}), strict=True))
    np.testing.assert_allclose(found["attribution/t"][:, 1], np.tanh(x[:, 1]), rtol=1e-4)
    np.testing.assert_allclose(found["attribution/x"][:, 1], x[:, 1] + np.tanh(x[:, 1]), rtol=1e-4)
    with pytest.raises(DataInputError, match="'t' is computed from 'x'"):
        ox.export(model, path, method="deep_lift", wrt=["x", "t"])


def test_proportional_pooling_of_what_exporters_write(models) -> None:
    """They say dilations even where they are 1, which averages know since opset 19 only."""
    text = """m (float[N, 1, 6, 6] x) => (float[N, 3] y) {
      p = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 0, 0], dilations = [1, 1],
        ceil_mode = 0, storage_order = 0>(x)
      f = Flatten(p) y = MatMul(f, v)
    }"""
    x, method = np.abs(models.random(2, 1, 6, 6)), ox.LRP("epsilon", winner_take_all=False)
    plain, without = text, text.replace("dilations = [1, 1],", "")
    found = [
        ox.explain(models.make(t, opset=opset, v=models.random(9, 3)), x, 1, method=method).values
        for t, opset in ((plain, 18), (without, 18), (plain, 20))
    ]
    assert np.abs(found[0]).max() > 0
    np.testing.assert_allclose(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-6)
    dilated = models.make(
        """m (float[N, 1, 6, 6] x) => (float[N, 1] y) {
          p = MaxPool<kernel_shape = [3, 3], dilations = [2, 2]>(x) y0 = GlobalAveragePool(p) y = Flatten(y0)
        }"""
    )
    with pytest.raises(UnsupportedRuleError, match="needs opset 19 for MaxPool node"):
        ox.explain(dilated, x, method=method)
