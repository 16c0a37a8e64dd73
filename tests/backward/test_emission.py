"""LRP costs what it must: how many layers a program runs, and what it reads, counted in the graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.asks import Walk
from onnxplain.backward.composites.composite import Match
from onnxplain.backward.composites.relevance import layered
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.backward.rules import lrp
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from onnxplain.backward.rules.base import Rule

RULES: dict[str, Rule] = {
    "zero": lrp.zero(),
    "epsilon": lrp.epsilon(),
    "epsilon without bias": lrp.epsilon(zero_params=["bias"]),
    "gamma": lrp.gamma(),
    "zplus": lrp.zplus(),
    "alpha1 beta0": lrp.alpha_beta(1, 0),
    "alpha2 beta1": lrp.alpha_beta(2, 1),
    "contrast": lrp.contrast(),
    "flat": lrp.flat(),
    "wsquare": lrp.wsquare(),
    "zbox": lrp.zbox(-1, 1),
}

#: Forward and backward runs of one layer with a bias, the prediction's own forward included, by what is
#: known: nothing; the input is not negative; a ReLU follows; both.
COUNTS: dict[str, tuple[tuple[int, int], ...]] = {
    "zero": ((1, 1), (1, 1), (1, 1), (1, 1)),
    "epsilon": ((1, 1), (1, 1), (1, 1), (1, 1)),
    "epsilon without bias": ((2, 1), (2, 1), (2, 1), (2, 1)),
    "gamma": ((5, 4), (3, 2), (3, 2), (2, 1)),
    "zplus": ((3, 2), (2, 1), (3, 2), (2, 1)),
    "alpha1 beta0": ((3, 2), (2, 1), (3, 2), (2, 1)),
    "alpha2 beta1": ((5, 4), (3, 2), (5, 4), (3, 2)),
    "contrast": ((5, 4), (3, 2), (5, 4), (3, 2)),
    "flat": ((2, 1), (2, 1), (2, 1), (2, 1)),
    "wsquare": ((2, 1), (2, 1), (2, 1), (2, 1)),
    "zbox": ((4, 3), (4, 3), (4, 3), (4, 3)),
}

#: The same without a bias, where no weight is negative.
POSITIVE_WEIGHTS: dict[str, tuple[tuple[int, int], ...]] = {
    **COUNTS,
    "zplus": ((2, 1), (2, 1), (2, 1), (2, 1)),
    "alpha1 beta0": ((2, 1), (2, 1), (2, 1), (2, 1)),
    "alpha2 beta1": ((3, 2), (2, 1), (3, 2), (2, 1)),
    "contrast": ((3, 2), (2, 1), (3, 2), (2, 1)),
    "zbox": ((3, 2), (3, 2), (3, 2), (3, 2)),
}

KNOWN = ("nothing", "input not negative", "ReLU follows", "both")

#: The layer, the shapes of x and of the layer's output, the shape of its weight, and of its bias; its forward
#: and its backward operator.
LAYERS: dict[str, tuple[str, str, str, tuple[int, ...], tuple[int, ...], tuple[str, str]]] = {
    "Conv": ("Conv(r, w{b})", "N, 2, 6, 6", "N, 3, 4, 4", (3, 2, 3, 3), (3,), ("Conv", "ConvTranspose")),
    "ConvTranspose": (
        "ConvTranspose(r, w{b})", "N, 2, 4, 4", "N, 3, 6, 6", (2, 3, 3, 3), (3,), ("ConvTranspose", "Conv"),
    ),
    "Gemm": ("Gemm(r, w{b})", "N, 4", "N, 3", (4, 3), (3,), ("Gemm", "Gemm")),
}  # fmt: skip


def model(models, layer: str, known: str, *, positive: bool = False, bias: bool = True) -> onnx.ModelProto:
    text, shape, _, weight, offset, _ = LAYERS[layer]
    before = "Relu" if known in ("input not negative", "both") else "Identity"
    after = "Relu" if known in ("ReLU follows", "both") else "Identity"
    w = models.random(*weight, seed=1)
    weights: dict[str, Any] = {"w": np.abs(w) if positive else w, "axis": np.array([1])}
    if bias:
        weights["b"] = models.random(*offset, seed=2)
    return models.make(
        f"""m (float[{shape}] x) => (float[{", ".join("K" for _ in shape.split(","))}] y) {{
          r = {before}(x)
          c = {text.format(b=", b" if bias else "")}
          a = {after}(c)
          y = ReduceMean(a, axis)
        }}""",
        **weights,
    )


def program(proto: onnx.ModelProto, rule: Rule, *ops: str) -> ir.Graph:
    """Return the finished program, in which the rule is that of the layer."""
    normal = normalize(load(proto), expand=needs_body)
    composite = layered("one", ((Match(ops=ops), rule),))
    score = normal.model.graph.outputs[0]
    assert score.shape is not None
    return build(normal, Question("y", ("x",), Walk(composite), score.shape.rank() - 1)).model.graph


def count(graph: ir.Graph, forward: str, backward: str) -> tuple[int, int] | int:
    """Return forward and backward runs; their sum, where both are one operator."""
    found = Counter(node.op_type for node in graph)
    return found[forward] if forward == backward else (found[forward], found[backward])


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_runs_of_the_layer(rule, layer, known, models) -> None:
    operators = LAYERS[layer][-1]
    expected = COUNTS[rule][KNOWN.index(known)]
    graph = program(model(models, layer, known), RULES[rule], layer)
    assert count(graph, *operators) == (sum(expected) if len(set(operators)) == 1 else expected)


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", [k for k in RULES if k != "epsilon without bias"])
def test_runs_of_a_layer_whose_weights_are_not_negative(rule, layer, known, models) -> None:
    operators = LAYERS[layer][-1]
    expected = POSITIVE_WEIGHTS[rule][KNOWN.index(known)]
    graph = program(model(models, layer, known, positive=True, bias=False), RULES[rule], layer)
    assert count(graph, *operators) == (sum(expected) if len(set(operators)) == 1 else expected)


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_modified_weights_are_initializers(rule, layer, known, models) -> None:
    """No node computes from constants alone, and all layers take a constant weight."""
    graph = program(model(models, layer, known), RULES[rule], layer)
    made = {value for node in graph for value in node.outputs} | set(graph.inputs)
    for node in graph:
        values = [v for v in node.inputs if v is not None]
        assert any(v in made for v in values), f"{node.op_type} of constants"
        if node.op_type in ("Conv", "ConvTranspose", "Gemm"):
            assert sum(v not in made for v in values) == len(values) - 1


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_a_layer_and_its_relu_can_be_fused(rule, layer, models) -> None:
    """What the layer gives is read by its ReLU alone, so that a runtime may make one operator of the two."""
    graph = program(model(models, layer, "ReLU follows"), RULES[rule], layer)
    (forward,) = [
        n for n in graph if n.op_type == layer and [u.node.op_type for u in n.outputs[0].uses()] == ["Relu"]
    ]
    assert forward.outputs[0].name == "c"


@pytest.mark.parametrize("known", KNOWN)
def test_alpha1_beta0_is_zplus(known, models) -> None:
    """The two write the same nodes, in the same order."""
    proto = model(models, "Conv", known)
    one, other, more = (
        [n.op_type for n in program(proto, rule, "Conv")]
        for rule in (lrp.alpha_beta(1, 0), lrp.zplus(), lrp.alpha_beta(2, 1))
    )
    assert one == other
    assert len(more) > len(one)


def test_inputs_that_are_not_negative_are_not_clipped(models) -> None:
    """After a ReLU neither part of the input is computed; else both are, once each."""
    clips = ("Max", "Min", "Clip")
    for rule in (lrp.gamma(), lrp.zplus(), lrp.alpha_beta(2, 1)):
        found = Counter(n.op_type for n in program(model(models, "Conv", "nothing"), rule, "Conv"))
        assert (found["Max"], found["Min"], found["Relu"]) == (1, 1, 0)
        found = Counter(n.op_type for n in program(model(models, "Conv", "input not negative"), rule, "Conv"))
        assert [found[op] for op in clips] == [0, 0, 0]
        assert found["Relu"] == 1


def walked(graph: ir.Graph) -> list[str]:
    """Return the operators of the walk, without those that say how it starts."""
    return [n.op_type for n in graph if str(n.name).count("/") != 1]


def test_gamma_between_two_rectifiers_does_not_ask_for_signs(models) -> None:
    """Nothing arrives at outputs that are not positive, so that none are chosen by sign."""
    graph = program(model(models, "Conv", "both"), lrp.gamma(), "Conv")
    found = Counter(walked(graph))
    assert (found["Greater"], found["Less"]) == (0, 1)  # the one stabiliser
    graph = program(model(models, "Conv", "input not negative"), lrp.gamma(), "Conv")
    found = Counter(walked(graph))
    assert (found["Greater"], found["Less"]) == (
        1,
        4,
    )  # one of each to choose; two stabilisers, and the mean's


def test_zplus_after_a_rectifier_needs_no_sign(models) -> None:
    """All contributions are positive, and so is the stabiliser."""
    graph = program(model(models, "Conv", "both"), lrp.zplus(), "Conv")
    assert not {"Less", "Greater", "Sign", "Where"} & set(walked(graph))


@pytest.mark.parametrize("rule", RULES)
def test_a_product_of_two_computed_values(rule, models) -> None:
    """Each operand is the input once; eps shares one denominator, the others run their branches twice."""
    proto = models.make(
        """m (float[N, 3, 4] x) => (float[N, 3, 3] y) {
          t = Transpose<perm = [0, 2, 1]>(x)
          y = MatMul(x, t)
        }"""
    )
    runs = Counter(n.op_type for n in program(proto, RULES[rule], "MatMul"))["MatMul"]
    forward, backward = COUNTS[rule][0]
    plain = rule in ("zero", "epsilon", "epsilon without bias")
    assert runs == (3 if plain else 1 + 2 * (forward - 1 + backward))


def test_parts_are_written_once(models) -> None:
    """Two layers that take the same input share its parts."""
    proto = models.make(
        """m (float[N, 4] x) => (float[N, 3] y) { a = MatMul(x, v) b = MatMul(x, w) y = Add(a, b) }""",
        v=models.random(4, 3, seed=1), w=models.random(4, 3, seed=2),
    )  # fmt: skip
    found = Counter(n.op_type for n in program(proto, lrp.zplus(), "MatMul"))
    assert (found["Max"], found["Min"], found["MatMul"]) == (1, 1, 2 * (3 + 2))


def test_what_nobody_asks_for_is_not_written(models) -> None:
    """Relevance of the second input alone: the layers of the first run forward only."""
    proto = models.make(
        """m (float[N, 4] x, float[N, 4] z) => (float[N, 3] y) {
          a = MatMul(x, v) b = MatMul(z, w) y = Add(a, b)
        }""",
        v=models.random(4, 3, seed=1), w=models.random(4, 3, seed=2),
    )  # fmt: skip
    normal = normalize(load(proto), expand=needs_body)
    made = build(normal, Question("y", ("z",), Walk(layered("plus", (), lrp.zplus())), 1))
    assert Counter(n.op_type for n in made.model.graph)["MatMul"] == 1 + 3 + 2
