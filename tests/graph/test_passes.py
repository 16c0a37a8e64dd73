"""Every pass: the graph changes as it says, the numbers do not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.graph import facts, passes
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes, normalize


def run(model: onnx.ModelProto | ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, feeds)


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def apply(
    one: ir.passes.InPlacePass,
    proto: onnx.ModelProto,
    changed: bool = True,
    written: bool = False,
    **feeds: np.ndarray,
) -> ir.Model:
    """Run one pass on a loaded model (its nodes marked as written by a walk); compare before and after."""
    model = load(proto)
    if written:
        for node in model.graph:
            node.metadata_props[facts.WRITTEN_KEY] = ""
    infer_shapes(model)
    before = run(model, **feeds)
    names = [v.name for v in model.graph.outputs]
    assert one(model).modified is changed
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert [v.name for v in model.graph.outputs] == names
    for a, b in zip(before, run(model, **feeds), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
        assert a.dtype == b.dtype
    assert not one(model).modified, "a second time there is nothing to do"
    return model


TEXT = "m (float[{x}] x) => (float[{y}] y) {{ {body} }}"


def test_fold_constants(models) -> None:
    body = "t = Transpose(w) u = Mul(t, k) c = Cast<to = 1>(u) y = MatMul(x, c)"
    model = models.make(TEXT.format(x="N, 3", y="N, 4", body=body), w=models.random(4, 3), k=2.0)
    assert ops(apply(passes.FoldConstants(), model, x=models.random(2, 3))) == ["MatMul"]


def test_fold_shapes(models) -> None:
    """A static shape is a constant; of a symbolic one, its static axes."""
    body = "s = Shape(x) a = Gather(s, last) c = Concat<axis = 0>(minus, a) z = Size(w) y = Reshape(x, c)"
    weights = {"last": np.array([1]), "minus": np.array([-1]), "w": models.random(2)}
    model = models.make(TEXT.format(x="N, 3", y="M, 3", body=body), **weights)
    made = apply(passes.FoldConstants(), model, x=models.random(2, 3))
    assert ops(made) == ["Shape", "Reshape"], "the shape itself has a symbolic axis, and is simply not used"
    static = apply(passes.FoldConstants(), models.make(TEXT.format(x="2, 3", y="M, 3", body=body), **weights),
                   x=models.random(2, 3))  # fmt: skip
    assert ops(static) == ["Reshape"]


def test_fold_constants_keeps_what_is_random_or_an_output(models) -> None:
    body = "r = RandomNormal<shape = [3], seed = 1.0>() z = Mul(r, zero) y = Add(x, z) k = Neg(zero)"
    model = models.make(f"m (float[N, 3] x) => (float[N, 3] y, float k) {{ {body} }}", zero=0.0)
    apply(passes.FoldConstants(), model, changed=False, x=models.random(2, 3))


CONVS = {
    "plain": ("ConvTranspose(x, w)", (2, 3, 12, 12), (3, 5, 3, 3)),
    "pads": ("ConvTranspose<pads = [1, 0, 1, 2], output_padding = [0, 0]>(x, w)", (1, 3, 4, 4), (3, 5, 3, 3)),
    "dilations": ("ConvTranspose<dilations = [2, 1], pads = [2, 1, 0, 1]>(x, w)", (1, 3, 4, 4), (3, 5, 3, 2)),
    "groups": ("ConvTranspose<group = 2, pads = [1, 1, 1, 1]>(x, w)", (2, 4, 4, 4), (4, 3, 3, 3)),
    "depthwise": ("ConvTranspose<group = 3>(x, w)", (1, 3, 5), (3, 1, 4)),
    "3d": ("ConvTranspose<pads = [0, 0, 1, 1, 0, 1]>(x, w)", (1, 2, 3, 3, 3), (2, 2, 2, 1, 3)),
    "1x1": ("ConvTranspose(x, w)", (1, 2, 3, 3), (2, 4, 1, 1)),
}


@pytest.mark.parametrize("name", CONVS)
def test_flip_transposed_convs(name, models) -> None:
    node, x, w = CONVS[name]
    text = TEXT.format(x=", ".join(map(str, x)), y=", ".join("ABCDE"[: len(x)]), body=f"y = {node}")
    model = apply(
        passes.FlipTransposedConvs(),
        models.make(text, w=models.random(*w)),
        written=True,
        x=models.random(*x, seed=1),
    )
    assert ops(model) == ["Conv"]


def test_flip_leaves_the_models_own_nodes_alone(models) -> None:
    text = TEXT.format(x="2, 3, 12, 12", y="A, B, C, D", body="y = ConvTranspose(x, w)")
    model = models.make(text, w=models.random(3, 5, 3, 3))
    apply(passes.FlipTransposedConvs(), model, changed=False, x=models.random(2, 3, 12, 12))


def test_flip_tells_groups_of_one_weight_apart(models) -> None:
    """And does not take a weight of the model's own for one that it made."""
    body = "a = ConvTranspose<group = 2>(x, w) b = ConvTranspose(u, w) y = Concat<axis = 1>(a, b)"
    text = "m (float[1, 4, 5, 5] x, float[1, 4, 5, 5] u) => (float[A, B, C, D] y) { " + body + " }"
    model = models.make(text, **{"w": models.random(4, 3, 3, 3), "w/flipped_2": models.random(6, 2, 3, 3)})
    inputs = {"x": models.random(1, 4, 5, 5, seed=1), "u": models.random(1, 4, 5, 5, seed=2)}
    apply(passes.FlipTransposedConvs(), model, written=True, **inputs)


@pytest.mark.parametrize(
    "node",
    [
        "ConvTranspose<strides = [2, 2]>(x, w)",
        "ConvTranspose<pads = [3, 3, 3, 3]>(x, w)",
        "ConvTranspose<strides = [2, 2], output_padding = [1, 1]>(x, w)",
        'ConvTranspose<auto_pad = "SAME_UPPER">(x, w)',
    ],
)
def test_flip_leaves_alone(node, models) -> None:
    model = models.make(
        TEXT.format(x="1, 3, 6, 6", y="A, B, C, D", body=f"y = {node}"), w=models.random(3, 2, 3, 3)
    )
    apply(passes.FlipTransposedConvs(), model, changed=False, written=True, x=models.random(1, 3, 6, 6))


def test_flip_leaves_outputs_alone_that_are_much_larger_than_the_input(models) -> None:
    text = TEXT.format(x="1, 3, 2, 2", y="A, B, C, D", body="y = ConvTranspose(x, w)")
    model = models.make(text, w=models.random(3, 2, 7, 7))
    apply(passes.FlipTransposedConvs(), model, changed=False, written=True, x=models.random(1, 3, 2, 2))


def test_flip_holds_a_shared_weight_once(models) -> None:
    body = "a = ConvTranspose(x, w) y = ConvTranspose<pads = [1, 1, 1, 1]>(a, w)"
    proto = models.make(TEXT.format(x="1, 3, 12, 12", y="A, B, C, D", body=body), w=models.random(3, 3, 3, 3))
    model = apply(passes.FlipTransposedConvs(), proto, written=True, x=models.random(1, 3, 12, 12))
    assert len({node.inputs[1] for node in model.graph}) == 1


def test_drop_inference_noops(models) -> None:
    body = """i = Identity(x) d = Dropout(i) r = Relu(d) c = Cast<to = 1>(r)
      e, k = Dropout(c, half, off) y = Identity(e)"""
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body), half=0.5, off=np.array(False))
    made = apply(passes.DropInferenceNoOps(), model, x=models.random(2, 3))
    assert ops(made) == ["Relu", "Identity"], "the last one gives the output its name"


def test_a_dropout_that_makes_an_output_is_an_identity(models) -> None:
    body = "t = Tanh(x) y = Dropout(t, half, off)"
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body), half=0.5, off=np.array(False))
    assert ops(apply(passes.DropInferenceNoOps(), model, x=models.random(2, 3))) == ["Tanh", "Identity"]


@pytest.mark.parametrize(
    "body",
    [
        "d, k = Dropout(x) f = Cast<to = 1>(k) y = Add(d, f)",
        "c = Cast<to = 11>(x) d = Cast<to = 1>(c) y = Relu(d)",
    ],
    ids=["mask used", "real casts"],
)
def test_drop_leaves_alone(body, models) -> None:
    model = models.make(TEXT.format(x="N, 3", y="N, 3", body=body))
    apply(passes.DropInferenceNoOps(), model, changed=False, x=models.random(2, 3))


def test_retype(models) -> None:
    """Inputs, outputs, weights, casts and constants in attributes change together."""
    body = "a = Cast<to = 10>(z) h = ConstantOfShape(one) b = Mul(x, h) c = Add(b, a) y = Mul(c, w)"
    proto = models.make(
        f"m (float16[N, 3] x, int64[3] z) => (float16[N, 3] y) {{ {body} }}",
        w=np.array([1, 2, 3], np.float16), one=np.array([1]),
    )  # fmt: skip
    two = onnx.numpy_helper.from_array(np.array([2], np.float16))
    proto.graph.node[1].attribute.append(onnx.helper.make_attribute("value", two))
    model = load(proto)
    retype = passes.Retype(frozenset({ir.DataType.FLOAT16}), ir.DataType.FLOAT)
    assert retype(model).modified
    infer_shapes(model)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    x, z = models.random(2, 3), np.array([1, 2, 3])
    np.testing.assert_allclose(run(model, x=x, z=z)[0], (2 * x + z) * [1, 2, 3], rtol=1e-6)
    assert not retype(model).modified


def test_raise_opset(models) -> None:
    proto = models.make(
        TEXT.format(x="N, 2, 3", y="N, 2", body="y = ReduceSum<axes = [2], keepdims = 0>(x)"), opset=11
    )
    model, raised = passes.raise_opset(load(proto))
    assert raised
    assert model.graph.opset_imports[""] == passes.MIN_OPSET
    x = models.random(2, 2, 3)
    np.testing.assert_allclose(run(model, x=x)[0], x.sum(2), rtol=1e-5)
    again, raised = passes.raise_opset(model)
    assert not raised
    assert again is model


def test_raise_opset_does_not_copy_weights(models) -> None:
    weights = models.random(64, 64)
    proto = models.make(TEXT.format(x="N, 64", y="N, 64", body="y = MatMul(x, w)"), opset=11, w=weights)
    model = load(proto)
    tensor = model.graph.initializers["w"].const_value
    made, _ = passes.raise_opset(model)
    assert made.graph.initializers["w"].const_value is tensor
    assert [v.name for v in made.graph.inputs] == ["x"]


def test_normal_form_keeps_the_symbolic_batch(models) -> None:
    model = normalize(load(models.conv())).model
    dims = [str(v.shape[0]) for node in model.graph for v in node.outputs]
    assert set(dims) == {"N"}
