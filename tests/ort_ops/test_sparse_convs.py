"""``ai.onnxplain::SparseConvTranspose`` against ConvTranspose, and where the pass writes it."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from planes import blocked, unblocked

import onnxplain as ox
from onnxplain.graph import facts
from onnxplain.graph.passes.lower import DOMAIN, MaxPoolGrads, SparseConvs
from onnxplain.graph.passes.lower.sparse_convs import SPARSE, packed

F = np.float32
POOL = {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [1, 1], "begins": [0, 0]}


def transposed(g: np.ndarray, weight: np.ndarray, **attributes) -> np.ndarray:
    """Return what onnxruntime's operator makes."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "gwy"]
    node = helper.make_node("ConvTranspose", ["g", "w"], ["y"], **attributes)
    graph = helper.make_graph([node], "g", infos[:2], infos[2:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"g": g, "w": weight})[0]


def sparse(graphs, g: np.ndarray, weight: np.ndarray, **attributes) -> np.ndarray:
    node = helper.make_node(SPARSE, ["g", "w"], ["made"], domain=DOMAIN, **attributes)
    return graphs.run([node], {"g": g, "w": packed(weight)})


@pytest.mark.parametrize("seed", range(30))
def test_random_ones(seed, graphs) -> None:
    """The same numbers as ConvTranspose's, whatever the blocks, with the same bits for all of them."""
    rng = np.random.default_rng(seed)
    kernel, strides = rng.integers(1, 7, 2), rng.integers(1, 4, 2)
    pads = [int(rng.integers(0, k)) for k in (*kernel, *kernel)]
    more = [int(rng.integers(0, s)) for s in strides]
    channels = int(rng.choice([1, 8, 16, 20, 48]))
    size = [int(rng.choice([1, 2, 5, 40])) for _ in range(2)]
    lengths = [strides[k] * (size[k] - 1) + kernel[k] + more[k] - pads[k] - pads[k + 2] for k in range(2)]
    if min(lengths) < 1:
        return
    g = rng.normal(size=(2, 16, *size)).astype(F) * (rng.random((2, 16, *size)) < rng.random())
    weight = rng.normal(size=(16, channels, *kernel)).astype(F)
    expected = transposed(g, weight, strides=list(strides), pads=pads, output_padding=more)
    described = {
        "channels": channels,
        "kernel_shape": list(kernel),
        "strides": list(strides),
        "begins": pads[:2],
        "ends": [pads[k + 2] - more[k] for k in range(2)],
    }
    first = None
    for block, out in itertools.product((1, 8, 16), (b for b in (1, 4, 16) if channels % b == 0)):
        laid_out = sparse(graphs, blocked(g, block), weight, **described, block=block, block_out=out)
        made = unblocked(laid_out, out)
        first = made if first is None else first
        np.testing.assert_array_equal(made, first)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-5 * np.abs(weight).max() * 16)


def test_what_is_not_finite_stays_where_it_belongs(graphs) -> None:
    g, weight = np.zeros((1, 2, 6, 6), F), np.ones((2, 3, 3, 3), F)
    g[0, 0, 2, 2], g[0, 1, 3, 3] = np.nan, -0.0
    made = sparse(
        graphs, g, weight, channels=3, kernel_shape=[3, 3], strides=[1, 1], begins=[1, 1], ends=[1, 1]
    )
    expected = np.zeros((6, 6), bool)
    expected[1:4, 1:4] = True
    assert (np.isnan(made) == expected).all()


PLAIN = {"channels": 16, "kernel_shape": [3, 3], "strides": [1, 1], "begins": [1, 1], "ends": [1, 1]}
WRONG = {
    "weights": ({"channels": 32}, (1, 4, 4, 4), "do not have the shape"),
    "given": ({}, (1, 8, 4, 4), "do not have the shape"),
    "axes": ({}, (4, 4, 4), "four axes"),
    "blocks": ({"block": 8}, (1, 4, 4, 4), "do not fill"),
    "blocks of the result": ({"block_out": 5}, (1, 4, 4, 4), "do not fill"),
    "stride": ({"strides": [0, 1]}, (1, 4, 4, 4), "at least 1"),
    "pads": ({"ends": [9, 1]}, (1, 4, 4, 4), "larger than"),
    "places": ({}, (1, 4, 0, 4), "no places"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(name, graphs) -> None:
    changes, shape, message = WRONG[name]
    with pytest.raises(Exception, match=message):
        sparse(graphs, np.ones(shape, F), np.ones((4, 16, 3, 3), F), **(PLAIN | changes))


def walk(channels: int = 16, side: int = 8, weight: float = 1.0, **attributes) -> ir.Model:
    """Return a max pooling's walk back, and a transposed convolution behind it."""
    size = [1, 4, side, side]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("x", size),
            ("p", [1, 4, side // 2, side // 2]),
            ("g", [1, 4, side // 2, side // 2]),
        )
    ]
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, side, side])
    inner = helper.make_tensor_value_info("d", TensorProto.FLOAT, size)
    held = np.full((4, channels, 3, 3), weight, F)
    nodes = [
        helper.make_node("MaxPoolGrad", ["x", "p", "g"], ["d"], domain=DOMAIN, **POOL),
        helper.make_node("ConvTranspose", ["d", "w"], ["y"], **({"pads": [1, 1, 1, 1]} | attributes)),
    ]
    graph = helper.make_graph(
        nodes, "g", infos, [made], [onnx.numpy_helper.from_array(held, "w")], value_info=[inner]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=imports, ir_version=8))
    for node in model.graph:
        node.metadata_props[facts.WRITTEN_KEY] = ""
    return model


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, True),
        ({"channels": 32}, True),
        ({"channels": 13}, True),
        ({"channels": 8}, False),  # lanes would be empty
        ({"channels": 48}, False),  # onnxruntime's are as fast
        ({"side": 128}, False),
        ({"weight": np.inf}, False),  # zeros times it are no zeros
        ({"group": 2}, False),
        ({"dilations": [2, 2], "pads": [2, 2, 2, 2]}, False),
        ({"auto_pad": "SAME_UPPER", "pads": [0, 0, 0, 0]}, False),
    ],
    ids=str,
)
def test_what_is_taken(options, taken) -> None:
    model = walk(**options)
    SparseConvs()(model)
    assert any(n.op_type == SPARSE for n in model.graph) == taken
    assert ("w" in model.graph.initializers) != taken


def test_nodes_of_the_model_itself_stay() -> None:
    model = walk()
    for node in model.graph:
        node.metadata_props.pop(facts.WRITTEN_KEY)
    assert not SparseConvs()(model).modified
    assert not MaxPoolGrads()(model).modified


def convolutional(*, masked_behind: bool) -> onnx.ModelProto:
    """Return a small network of two convolutions, pooled, with ReLU before or behind the pooling."""
    rng = np.random.default_rng(3)
    weights = {
        "w1": rng.normal(size=(16, 1, 5, 5)) / 5,
        "w2": rng.normal(size=(32, 16, 5, 5)) / 20,
        "w3": rng.normal(size=(32 * 49, 10)) / 40,
    }
    order = ["MaxPool", "Relu"] if masked_behind else ["Relu", "MaxPool"]
    options = {"MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2]}, "Relu": {}}
    nodes, last = [], "x"
    for k in (1, 2):
        nodes.append(helper.make_node("Conv", [last, f"w{k}"], [f"c{k}"], pads=[2, 2, 2, 2]))
        nodes.append(helper.make_node(order[0], [f"c{k}"], [f"a{k}"], **options[order[0]]))
        nodes.append(helper.make_node(order[1], [f"a{k}"], [f"b{k}"], **options[order[1]]))
        last = f"b{k}"
    nodes += [helper.make_node("Flatten", [last], ["f"]), helper.make_node("MatMul", ["f", "w3"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [onnx.numpy_helper.from_array(w.astype(F), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("masked_behind", [True, False])
@pytest.mark.parametrize("method", ["saliency", "guided_backprop", "lrp", "deep_lift"])
def test_explanations_are_the_same(masked_behind, method) -> None:
    """In the program as it is compiled first, and as it is compiled anew, in blocks."""
    model = convolutional(masked_behind=masked_behind)
    x = np.random.default_rng(4).normal(size=(3, 1, 28, 28)).astype(F)
    plain = ox.Explainer(model, accelerate=False)(x, [0, 3, 7], method).values
    ours = ox.Explainer(model, accelerate=True, threads=2)
    for _ in range(3):
        np.testing.assert_allclose(
            ours(x, [0, 3, 7], method).values, plain, rtol=0, atol=2e-5 * np.abs(plain).max()
        )


@pytest.mark.parametrize("masked_behind", [True, False])
def test_files_have_it(masked_behind, tmp_path) -> None:
    """What is compared above is not twice the same."""
    made = ox.export(
        convolutional(masked_behind=masked_behind), tmp_path / "m.onnx", method="saliency", form="accelerated"
    )
    kinds = [n.op_type for n in onnx.load(made.path).graph.node]
    assert kinds.count(SPARSE) == 1
    assert kinds.count("ConvTranspose") == 1  # to one channel
