"""The walk backward: meeting gradients, pruning, inner values, and what stops it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import onnxplain as ox
import onnxplain.backward.ops
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward, between
from onnxplain.errors import NotExplainableError, UnsupportedOperatorError
from onnxplain.graph.normalize import infer_shapes
from onnxplain.testing import check_gradient

X = np.array([1.0, -2.0, 3.0], np.float32)


def parse(text: str, domain: str = "") -> ir.Model:
    imports = '"" : 18' + (f', "{domain}" : 1' if domain else "")
    model = ir.from_proto(onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]> {text}"))
    for k, node in enumerate(model.graph):
        node.name = node.name or f"n{k}"
    infer_shapes(model)
    return model


def value(model: ir.Model, name: str) -> ir.Value:
    graph = model.graph
    values = [*graph.inputs, *(o for n in graph for o in n.outputs), *graph.initializers.values()]
    return next(v for v in values if v.name == name)


def differentiate(model: ir.Model, *wrt: str, outputs: tuple[str, ...] = ("y",)) -> list[np.ndarray]:
    """Gradients of the sum of the outputs, at X."""
    op = Emitter(model.graph, 18, scope="t")
    with op.arithmetic():
        seeds = {value(model, k): op.full_like(value(model, k), 1.0) for k in outputs}
    made = backward(op, seeds, [value(model, k) for k in wrt])
    model.graph.outputs.clear()
    model.graph.outputs.extend(op.Identity(made[value(model, k)]) for k in wrt)
    feeds = {v.name: X for v in model.graph.inputs}
    return ReferenceEvaluator(ir.to_proto(model)).run(None, feeds)


def test_a_value_used_twice_by_one_node():
    model = parse("m (float[3] x) => (float[3] y) { y = Mul(x, x) }")
    np.testing.assert_allclose(differentiate(model, "x")[0], 2 * X)


def test_a_diamond_adds_up():
    model = parse("m (float[3] x) => (float[3] y) { a = Exp(x) b = Neg(a) c = Mul(a, x) y = Add(b, c) }")
    np.testing.assert_allclose(differentiate(model, "x")[0], X * np.exp(X), rtol=1e-5)


def test_three_gradients_that_meet_make_one_sum():
    model = parse(
        "m (float[3] x) => (float[3] y) { a = Exp(x) b = Sin(a) c = Cos(a) d = Add(b, c) y = Add(d, a) }"
    )
    e = np.exp(X)
    np.testing.assert_allclose(differentiate(model, "x")[0], e * (np.cos(e) - np.sin(e) + 1), rtol=1e-4)
    assert [len(n.inputs) for n in model.graph if n.op_type == "Sum"] == [3]


def test_unused_outputs_of_split_count_as_zero():
    model = parse("m (float[3] x) => (float[1] y) { a, b, c = Split<num_outputs = 3>(x) y = Mul(b, b) }")
    np.testing.assert_allclose(differentiate(model, "x")[0], [0, -4, 0])


def test_a_constant_branch_gets_nothing():
    model = parse(
        "m (float[3] x) => (float[3] y) <float[3] w = {1, 2, 3}> { a = Exp(w) b = Mul(x, a) y = Add(b, w) }"
    )
    np.testing.assert_allclose(differentiate(model, "x")[0], np.exp([1, 2, 3]), rtol=1e-5)


def test_only_what_is_needed_is_written():
    model = parse("m (float[3] x, float[3] z) => (float[3] y) { a = Exp(z) y = Mul(x, a) }")
    before = len(model.graph)
    differentiate(model, "x")
    assert len(model.graph) == before + 1 + 1  # one product, and this test's Identity


def test_an_unused_input_gets_zeros():
    model = parse("m (float[3] x, float[3] z) => (float[3] y) { y = Exp(x) }")
    x, z = differentiate(model, "x", "z")
    np.testing.assert_allclose(x, np.exp(X), rtol=1e-5)
    np.testing.assert_array_equal(z, np.zeros(3))


def test_an_inner_value():
    model = parse("m (float[3] x) => (float[3] y) { a = Exp(x) y = Mul(a, a) }")
    np.testing.assert_allclose(differentiate(model, "a")[0], 2 * np.exp(X), rtol=1e-5)


def test_two_values_one_upstream_of_the_other():
    model = parse("m (float[3] x) => (float[3] y) { a = Exp(x) b = Mul(a, x) y = Sin(b) }")
    x, a, b = differentiate(model, "x", "a", "b")
    e = np.exp(X)
    np.testing.assert_allclose(b, np.cos(e * X), rtol=1e-4)
    np.testing.assert_allclose(a, np.cos(e * X) * X, rtol=1e-4)
    np.testing.assert_allclose(x, np.cos(e * X) * (e * X + e), rtol=1e-4)


def test_the_output_itself():
    model = parse("m (float[3] x) => (float[3] y) { y = Exp(x) }")
    np.testing.assert_array_equal(differentiate(model, "y")[0], np.ones(3))


def test_several_outputs_one_upstream_of_the_other():
    model = parse("m (float[3] x) => (float[3] a, float[3] y) { a = Exp(x) y = Mul(a, a) }")
    made = differentiate(model, "x", outputs=("a", "y"))[0]
    np.testing.assert_allclose(made, np.exp(X) + 2 * np.exp(2 * X), rtol=1e-5)


def test_where_sends_the_gradient_to_the_branch_that_was_picked():
    model = parse(
        "m (float[3] x) => (float[3] y) <float zero = {0}>"
        "{ c = Greater(x, zero) a = Exp(x) y = Where(c, a, x) }"
    )
    np.testing.assert_allclose(differentiate(model, "x")[0], np.where(X > 0, np.exp(X), 1), rtol=1e-5)


def test_integers_on_the_way_carry_nothing():
    model = parse(
        "m (float[3] x) => (float[3] y)"
        "{ i = Cast<to = 7>(x) j = Add(i, i) f = Cast<to = 1>(j) y = Mul(f, x) }"
    )
    np.testing.assert_allclose(differentiate(model, "x")[0], 2 * np.trunc(X))


def test_rounding_carries_nothing():
    model = parse("m (float[3] x) => (float[3] y) { f = Floor(x) y = Mul(f, x) }")
    np.testing.assert_allclose(differentiate(model, "x")[0], np.floor(X))


def test_an_unknown_operator_on_the_way_is_named_with_a_way_out():
    model = parse("m (float[3] x) => (float[3] y) { a = my.own.Strange(x) y = Exp(a) }", "my.own")
    with pytest.raises(UnsupportedOperatorError, match=r"my\.own\.Strange node 'n0'.*register") as error:
        differentiate(model, "x")
    assert "inspect" in str(error.value)


def test_an_unknown_operator_beside_the_way_does_no_harm():
    model = parse(
        "m (float[3] x) => (float[3] y, float[3] z) { z = my.own.Strange(x) y = Tanh(x) }", "my.own"
    )
    op = Emitter(model.graph, 18, scope="t")
    y, x = value(model, "y"), value(model, "x")
    assert backward(op, {y: op.full_like(y, 1.0)}, [x])[x].producer().op_type == "Mul"


def test_no_way_back_says_what_stops_it():
    model = parse("m (float[3] x) => (float[3] y) { y = Round(x) }")
    with pytest.raises(NotExplainableError, match=r"'y'.*'x'.*Round"):
        differentiate(model, "x")


def test_path_keeps_forward_order_and_leaves_out_side_branches():
    model = parse(
        "m (float[3] x) => (float[3] y, float[3] z)"
        "{ a = Exp(x) z = Sin(a) b = Neg(a) y = Floor(b) w = Cos(b) }"
    )
    nodes, reached = between(model.graph, [value(model, "w")], [value(model, "x")])
    assert [n.op_type for n in nodes] == ["Exp", "Neg", "Cos"]
    assert value(model, "z") in reached
    assert value(model, "y") not in reached


def test_new_nodes_are_named_after_the_node_they_explain():
    model = parse("m (float[3] x) => (float[3] y) { y = Tanh(x) }")
    differentiate(model, "x")
    assert any((n.name or "").startswith("t/n0/") for n in model.graph)


def test_operators_differentiated_through_simpler_ones_do_not_leak():
    """The grid depends on the image: neither part may come twice."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 20]>
        m (float[3] x) => (float[1, 1, 3, 1] y) <int64[4] s = {1, 1, 3, 1}, int64[4] t = {1, 3, 1, 1}> {
          i = Reshape(x, s) h = Reshape(x, t) k = Tanh(h) g = Concat<axis = 3>(k, k)
          y = GridSample<align_corners = 1>(i, g)
        }"""
    )
    assert check_gradient(model, {"x": X / 4}).relative_error < 1e-6


@pytest.mark.parametrize("method", ["saliency", "lrp"])
def test_an_output_without_a_rule_is_refused(method, models) -> None:
    """The mean that LayerNormalization can return too: its gradient would be missing."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 4] y) { n, mean, deviation = LayerNormalization(x, s, b)
          y = Add(n, mean) }""",
        s=models.random(4), b=models.random(4, seed=1),
    )  # fmt: skip
    with pytest.raises(UnsupportedOperatorError, match=r"LayerNormalization node .* output 1, 'mean'"):
        ox.explain(model, models.random(2, 4), 1, method=method)


class _Short:
    """Rules of which that of Add speaks of its first input alone."""

    differences = False

    def function(self, node):
        return (lambda op, view, g: (g,)) if node.op_type == "Add" else None

    def inside(self, node):
        return None


def test_a_rule_that_leaves_out_an_input_is_an_error_and_no_zero():
    model = parse("m (float[3] x, float[3] z) => (float[3] y) { y = Add(x, z) }")
    op = Emitter(model.graph, 18, scope="t")
    with op.arithmetic():
        seeds = {value(model, "y"): op.full_like(value(model, "y"), 1.0)}
    with pytest.raises(AssertionError, match=r"rule of Add node 'n0' gives 1 entries for 2 inputs.*'z'"):
        backward(op, seeds, [value(model, "x")], _Short())


def test_whole_numbers_need_no_entry():
    model = parse(
        "m (float[3] x) => (float[3, 1] y) <int64[2] s = {3, 1}> { a = Reshape(x, s) y = Identity(a) }"
    )
    np.testing.assert_allclose(differentiate(model, "x")[0], np.ones(3))
