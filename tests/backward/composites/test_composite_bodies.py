"""Composites inside bodies: If, Loop, Scan and recurrent nodes."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from composite_tables import REST, Mark, chosen, places, resolved, where

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.composites.relevance import layered
from onnxplain.backward.rules import lrp
from onnxplain.errors import UnsupportedRuleError

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


def test_what_is_inside_bodies_is_refused_before_anything_is_written(models) -> None:
    composite = Composite("one", ((Match(ops=("Tanh",)), lrp.zplus()), *preset("epsilon").rules))
    with pytest.raises(UnsupportedRuleError, match=r"'zplus' .* Tanh node 'q'"):
        resolved(body_model(models, IF), composite)
