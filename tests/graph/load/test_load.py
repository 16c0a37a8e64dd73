"""Models as exporters write them: all of these are read, and say the same as the plain one."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def agrees(model: onnx.ModelProto, plain: onnx.ModelProto, x: np.ndarray) -> ox.Attribution:
    found, expected = (ox.explain(m, x, 1, method="saliency") for m in (model, plain))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-4, atol=1e-6)
    assert expected.values.any()
    return found


def test_all_sources(models, tmp_path) -> None:
    model = models.mlp()
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    x = models.random(2, 5)
    for source in (path, str(path), path.read_bytes(), ir.from_proto(model)):
        agrees(source, model, x)


def test_the_source_is_left_alone(models) -> None:
    proto = models.conv(softmax=True)
    model = ir.from_proto(proto)
    before = [m.SerializeToString(deterministic=True) for m in (proto, ir.to_proto(model))]
    explainer = [ox.Explainer(m) for m in (proto, model)]
    for one in explainer:
        one(models.random(1, 2, 8, 8), 0, "lrp")
    assert [m.SerializeToString(deterministic=True) for m in (proto, ir.to_proto(model))] == before


def test_initializers_that_are_also_inputs(models) -> None:
    model = models.mlp()
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims)))
    model.ir_version = 3
    found = agrees(model, models.mlp(), models.random(2, 5))
    assert list(found.arrays) == ["x"]


def test_nodes_out_of_order(models) -> None:
    model = models.conv()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    agrees(model, models.conv(), models.random(2, 2, 8, 8))


def test_weights_in_constant_nodes(models) -> None:
    model = models.conv()
    for tensor in list(model.graph.initializer):
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[:]
    agrees(model, models.conv(), models.random(2, 2, 8, 8))
    lrp = [ox.explain(m, models.random(2, 2, 8, 8), 1, method="lrp").values for m in (model, models.conv())]
    np.testing.assert_allclose(*lrp, rtol=1e-5)


def test_nodes_of_one_name(models) -> None:
    for name in ("", "layer"):
        model = models.conv()
        for node in model.graph.node:
            node.name = name
        found = agrees(model, models.conv(), models.random(2, 2, 8, 8))
        table = ox.explain(model, models.random(1, 2, 8, 8), 1, method="lrp").rule_table
        assert len({row[0] for row in table}) == len(table), "names tell the nodes apart"
        assert found.values.any()


def test_functions_are_inlined(models) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
    m (float[N, 5] x) => (float[N, 3] y) { a = MatMul(x, w) h = mine.twice <s = 0.5>(a) y = MatMul(h, v) }
    <domain: "mine", opset_import: ["" : 18]>
    twice <s> (a) => (b) { k = Constant<value_float: float = @s>() r = Relu(a) b = Mul(r, k) }"""
    model = onnx.parser.parse_model(text)
    plain = models.make(
        "m (float[N, 5] x) => (float[N, 3] y) { a = MatMul(x, w) r = Relu(a) b = Mul(r, k) y = MatMul(b, "
        "v) }",
        k=0.5,
    )
    for proto in (model, plain):
        for name, shape in (("w", (5, 4)), ("v", (4, 3))):
            proto.graph.initializer.append(onnx.numpy_helper.from_array(models.random(*shape), name))
    agrees(model, plain, models.random(2, 5))
    assert not load(model).functions or not normalize(load(model)).model.functions


@pytest.mark.parametrize(
    ("body", "reads"), [("b = Relu(a)", True), ("b = ReduceMean<axes = [1], keepdims = 1>(a)", False)]
)
def test_functions_of_another_version(body, reads, models) -> None:
    """As skl2onnx writes KNNImputer: functions of opset 16 in a model of opset 18."""
    text = f"""<ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
    m (float[N, 5] x) => (float[N, M] y) {{ y = mine.other(x) }}
    <domain: "mine", opset_import: ["" : 16]>
    other (a) => (b) {{ {body} }}"""
    model = onnx.parser.parse_model(text)
    if reads:
        plain = models.make("m (float[N, 5] x) => (float[N, 5] y) { y = Relu(x) }")
        agrees(model, plain, models.random(2, 5))
        return
    with pytest.raises(
        ox.errors.InvalidModelError, match=r"ReduceMean.*imports version 16.*imports version 18"
    ):
        ox.Explainer(model)


def test_constants_that_are_computed_keep_their_type(models) -> None:
    """As skl2onnx writes AdaBoostClassifier: labels of int32, taken by number."""
    model = models.make(
        """m (float[N, 3] x) => (int32[M, 1] label) {
          k = ArgMax<axis = 1, keepdims = 1>(x) l = ai.onnx.ml.ArrayFeatureExtractor(classes, k)
          label = Reshape(l, shape)
        }""",
        domain="ai.onnx.ml", classes=np.array([4, 5, 6], np.int32), shape=np.array([-1, 1]),
    )  # fmt: skip
    made = ox.Explainer(model).predict(np.eye(3, dtype=np.float32)[[2, 0]])
    assert made["label"].dtype == np.int32
    assert made["label"].ravel().tolist() == [6, 4]


def test_default_domain_by_its_long_name(models) -> None:
    model = models.mlp()
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"
    agrees(model, models.mlp(), models.random(2, 5))


# opset: graph; squeeze, softmax, dropout, reductions, clip and resize all changed their form on the way
OLD = {
    7: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) n = BatchNormalization(c, s, o, m, v) d, mask = Dropout<ratio = 0.5>(n) r = Relu(d)
        p = GlobalAveragePool(r) q = Squeeze<axes = [2, 3]>(p) y = Softmax(q) }""",
    8: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) l = LeakyRelu(c) p = MaxPool<kernel_shape = [2, 2]>(l)
        q = Reshape(p, shape) y = LogSoftmax(q) }""",
    9: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) u = Upsample<mode = "nearest">(c, scales) r = Clip<min = 0.0, max = 6.0>(u)
        y = ReduceMean<axes = [2, 3], keepdims = 0>(r) }""",
    11: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) p = Pad(c, pads) t = Transpose<perm = [0, 2, 3, 1]>(p)
        u = Unsqueeze<axes = [1]>(t) y = ReduceSum<axes = [1, 2, 3], keepdims = 0>(u) }""",
    12: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) a, b = Split<axis = 2, split = [1, 1]>(c) h = Mul(a, b)
        q = ReduceMax<axes = [2, 3], keepdims = 0>(h) g = Hardmax(q) y = Add(q, g) }""",
    15: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) r = Relu(c) y = ReduceL2<axes = [2, 3], keepdims = 0>(r) }""",
    17: """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
        c = Conv(x, w) l = LayerNormalization(c, one) y = ReduceMean<axes = [2, 3], keepdims = 0>(l) }""",
}
WEIGHTS = {
    "s": np.array([1, 2, 3], np.float32), "o": np.array([0.1, 0.2, 0.3], np.float32),
    "m": np.array([0, 1, 2], np.float32), "v": np.array([1, 2, 3], np.float32),
    "shape": np.array([0, -1]), "scales": np.array([1, 1, 2, 2], np.float32),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "one": np.ones(2, np.float32),
}  # fmt: skip


@pytest.mark.parametrize("opset", OLD)
def test_old_opsets(opset, models) -> None:
    used = {k: v for k, v in WEIGHTS.items() if f", {k}" in OLD[opset]}
    model = models.make(OLD[opset], opset=opset, ir_version=8, w=models.random(3, 2, 3, 3), **used)
    x = models.random(2, 2, 4, 4, seed=3)
    explainer = ox.Explainer(model)
    np.testing.assert_allclose(explainer.predict(x)["y"], run(model, x), rtol=1e-4, atol=1e-5)
    assert any(f"opset raised from {opset}" in note for note in explainer.notes)
    through = explainer(x, 1, ox.Saliency(abs=False), through_softmax=True)
    step = models.random(2, 2, 4, 4, seed=4)
    ahead, behind = (run(model, x + sign * 1e-2 * step)[:, 1].astype(np.float64) for sign in (1, -1))
    slope = (through.values * step).reshape(2, -1).sum(1)
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-2, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("dtype", ["double", "float16", "bfloat16"])
def test_other_floats(dtype, models) -> None:
    kind = {"double": np.float64, "float16": np.float16, "bfloat16": ir.DataType.BFLOAT16.numpy()}[dtype]
    weights = models.random(5, 3)
    model = models.make(
        f"m ({dtype}[N, 5] x) => ({dtype}[N, 3] y) {{ y = MatMul(x, w) }}", w=weights.astype(kind)
    )
    explainer = ox.Explainer(model)
    found = explainer(models.random(2, 5), 1, "saliency")
    expected = np.abs(weights.astype(kind).astype(np.float64)[:, 1])
    np.testing.assert_allclose(found.values, np.tile(expected, (2, 1)), rtol=1e-6)
    assert found.values.dtype == (np.float64 if dtype == "double" else np.float32)
    assert (dtype == "double") != any("float32" in n for n in explainer.notes)
