"""BatchNormalization goes into the layers around it where that is exact, and stays where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from folding import BN, close, fold, norm, text
from one_pass import ops, run

from onnxplain.graph import facts, stubs
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes, normalize
from onnxplain.graph.passes.normal import FoldBatchNorm


@pytest.mark.parametrize("body", ["n = {} y = Conv(n, w)", "a = Conv(x, w) n = {} y = Relu(n)"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_computed_in_training_or_given_by_the_user_stays(body, shared, models) -> None:
    source, channels = ("a", 4) if "a =" in body else ("x", 3)
    graph = "m (float[N, 3, 5, 5] x{}) => (float[A, B, C, D] y) {{ {} }}"
    weight = models.random(4, 3, 3, 3)
    x = models.random(2, 3, 5, 5, seed=4)
    for name in "somv":
        params = norm(channels)
        given = {name: params.pop(name)}
        node = f"BatchNormalization({source}, s, o, m, v)"
        inputs = f", float[{channels}] {name}"
        model = models.make(graph.format(inputs, body.format(node)), w=weight, **params)
        assert "BatchNormalization" in ops(fold(model, changed=False, shared=shared, x=x, **given))
    node = f"BatchNormalization<training_mode = 1>({source}, s, o, m, v)"
    training = models.make(graph.format("", body.format(node)), w=weight, **norm(channels))
    model = load(training)
    infer_shapes(model)
    assert not FoldBatchNorm(shared=shared)(model).modified


@pytest.mark.parametrize("body", ["a = my.Gemm(x, w) y = {}(a, {})", "a = {}(x, {}) y = my.Gemm(a, w)"])
def test_next_to_an_operator_of_another_domain_it_stays(body, models) -> None:
    proto = models.make(
        text(body.format(BN, "s, o, m, v"), (2, 3)), domain="my", w=models.random(3, 3), **norm(3)
    )
    assert not FoldBatchNorm(shared=True)(load(proto)).modified


def test_several_in_a_row(models) -> None:
    """Each makes room for the next: into the layer after, into the layer before."""
    body = f"""k = {BN}(x, s, o, m, v) n = {BN}(k, s, o, m, v) a = Conv(n, w)
      d = {BN}(a, zs, zo, zm, zv) y = {BN}(d, zs, zo, zm, zv)"""
    model = models.make(text(body, (2, 3, 5, 5)), w=models.random(4, 3, 3, 3), **norm(3), **norm(4, "z"))
    assert ops(fold(model, x=models.random(2, 3, 5, 5))) == ["Conv"]


def test_between_two_layers_the_first_takes_it(models) -> None:
    body = f"a = Conv(x, w) n = {BN}(a, s, o, m, v) y = Conv<pads = [1, 1, 1, 1]>(n, u)"
    model = models.make(
        text(body, (2, 3, 5, 5)), w=models.random(4, 3, 3, 3), u=models.random(2, 4, 3, 3, seed=1), **norm(4)
    )
    assert ops(fold(model, x=models.random(2, 3, 5, 5))) == ["Conv", "Conv"]


def test_normal_form(models) -> None:
    """Two blocks, normalised before: what can be folded is, old weights are gone, shapes are known."""
    body = f"""n = {BN}(x, s, o, m, v) a = Conv<pads = [1, 1, 1, 1]>(n, w, b) r = Relu(a)
      k = {BN}(r, zs, zo, zm, zv) c = Conv(k, u) f = Flatten(c) p = Identity(f)
      j = {BN}(p, js, jo, jm, jv) d = MatMul(j, q) e = Add(d, b) y = Softmax(e)"""
    model = models.make(
        f"m (float[N, 3, 5, 5] x) => (float[N, 4] y) {{ {body} }}",
        w=models.random(4, 3, 3, 3), b=models.random(4, seed=1),
        u=models.random(2, 4, 3, 3, seed=2, scale=0.3),
        q=models.random(18, 4, seed=3, scale=0.2), **norm(3), **norm(4, "z"), **norm(18, "j"),
    )  # fmt: skip
    found = normalize(load(model)).model
    assert ops(found) == ["Add", "Conv", "Relu", "Conv", "Flatten", "Gemm", "Softmax"]
    used = {v.name for node in found.graph for v in node.inputs}
    assert set(found.graph.initializers) <= used
    assert all(facts.dims(v)[0] == "N" for node in found.graph for v in node.outputs)
    x = models.random(2, 3, 5, 5, seed=4)
    close(run(found, x=x), run(model, x=x))


def test_weights_of_every_size(models) -> None:
    """Large weights travel past ONNX's C++ tools as stubs, and must be constants again afterwards."""
    weight = models.random(32, 16, 3, 3)
    assert weight.nbytes > 4 * stubs.SMALL_BYTES
    ones = np.ones(32, np.float32)
    model = models.make(
        "m (float[N, 16, 8, 8] x) => (float[N, 32, 6, 6] y) "
        "{ a = Conv(x, w) y = BatchNormalization(a, s, b, mean, var) }",
        w=weight, s=2 * ones, b=ones, mean=ones, var=3 * ones,
    )  # fmt: skip
    found = normalize(load(model)).model
    assert [n.op_type for n in found.graph] == ["Conv"]
    assert [v.name for v in found.graph.inputs] == ["x"]
    assert not any(v.is_graph_input() for v in found.graph.initializers.values())
