"""Which rule goes to which node: matchers and places, and what a network must have."""

from __future__ import annotations

import onnx
import pytest
from composite_tables import REST, Mark, chosen, places, resolved, where

from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.registry import Category
from onnxplain.errors import UnsupportedRuleError

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


def test_what_a_composite_needs(models, chain) -> None:
    composite = Composite("seer", ((Match(), REST),), needs=("Conv", "ConvTranspose"))
    with pytest.raises(
        UnsupportedRuleError, match=r"'seer' is for networks with Conv or ConvTranspose, and .*sal"
    ):
        resolved(models.mlp(), composite)
    assert len(resolved(chain, composite).rows) == 11


# Places


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
