"""A model in an older opset says the same, or is refused with the node that stops it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import OptionError
from onnxplain.exported_file.opset import OLDEST, lower_opset
from onnxplain.exported_file.opset.older import REWRITINGS
from onnxplain.graph.normalize import check, infer_shapes

X, Y = "float[2, 3, 4] x", "float[a, b, c] y"
WHOLE = np.arange(24, dtype=np.int64).reshape(2, 3, 4) % 7

#: A graph in an opset, what it needs beside x, and an older opset that has it: by what is tried.
CASES: dict[str, tuple[int, str, dict[str, Any], int]] = {
    **{
        f"Reduce{name}": (18, f"y = Reduce{name}(p, k)", {"k": np.array([-1, 0])}, 11)
        for name in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
    },
    "ReduceMax all": (20, "y = ReduceMax(x)", {}, 11),
    "ReduceMean none": (18, "y = ReduceMean<noop_with_empty_axes = 1>(x)", {}, 11),
    "ReduceSum none": (13, "y = ReduceSum<noop_with_empty_axes = 1>(x)", {}, 11),
    "Squeeze": (21, "t = Slice(x, z, o, z) y = Squeeze(t, z)", {"z": np.array([0]), "o": np.array([1])}, 11),
    "Squeeze all": (18, "t = Slice(x, z, o, z) y = Squeeze(t)", {"z": np.array([0]), "o": np.array([1])}, 11),
    "Unsqueeze": (21, "y = Unsqueeze(x, k)", {"k": np.array([0, -1])}, 11),
    "Split": (18, "y, t = Split<axis = 2, num_outputs = 2>(x)", {}, 11),
    "Split unevenly": (18, "y, t = Split<axis = 1, num_outputs = 2>(x)", {}, 11),
    "Split lengths": (18, "t, y = Split<axis = 2>(x, k)", {"k": np.array([1, 3])}, 11),
    "Pad": (
        19, "y = Pad(x, k, c, a)",
        {"k": np.array([1, 0, 2, 3]), "a": np.array([-1, 0]), "c": np.float32(7)}, 11,
    ),
    "Pad all": (18, "y = Pad<mode = \"edge\">(x, k)", {"k": np.array([1, 0, 2, 0, 0, 1])}, 11),
    **{f"{name} last": (13, f"y = {name}(x)", {}, 11) for name in ("Softmax", "LogSoftmax", "Hardmax")},
    **{
        name: (13, f"y = {name}<axis = 1>(x)", {}, 11) for name in ("Softmax", "LogSoftmax", "Hardmax")
    },
    "QuantizeLinear": (
        21, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
        {"s": np.float32(0.02), "z": np.uint8(120)}, 11,
    ),
    "Shape": (19, "s = Shape<start = 1, end = -1>(x) y = Cast<to = 1>(s)", {}, 11),
    "Shape from": (19, "s = Shape<start = -2>(x) y = Cast<to = 1>(s)", {}, 11),
    "Shape all": (15, "s = Shape(x) y = Cast<to = 1>(s)", {}, 11),
    "Reshape": (19, "y = Reshape<allowzero = 1>(x, k)", {"k": np.array([4, -1])}, 11),
    "Reshape kept": (14, "y = Reshape(x, k)", {"k": np.array([0, -1])}, 11),
    "GridSample": (
        20, "i = Reshape(x, k) y = GridSample<mode = \"linear\">(i, g)",
        {"k": np.array([1, 2, 3, 4]), "g": np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 3, 2)}, 16,
    ),
    "DFT": (20, "i = Unsqueeze(x, l) y = DFT(i, , k)", {"l": np.array([-1]), "k": np.int64(1)}, 17),
    "DFT last": (20, "i = Unsqueeze(x, l) y = DFT(i)", {"l": np.array([-1])}, 17),
    "Resize": (
        19, "y = Resize<mode = \"linear\">(x, , , k)", {"k": np.array([2, 3, 9])}, 11,
    ),
    "Resize scales": (18, "y = Resize(x, , k)", {"k": np.array([1, 1, 2], np.float32)}, 11),
    "RoiAlign": (
        16, "i = Reshape(x, k) y = RoiAlign<coordinate_transformation_mode = \"output_half_pixel\">(i, r, n)",
        {"k": np.array([1, 2, 3, 4]), "r": np.array([[0, 0, 2, 2]], np.float32), "n": np.array([0])}, 11,
    ),
    "Max": (
        13, "i = Cast<to = 7>(x) m = Max(i, k, o) y = Cast<to = 1>(m)", {"k": WHOLE, "o": np.int64(1)}, 11,
    ),
    "Min": (13, "i = Cast<to = 7>(x) m = Min(i, k) y = Cast<to = 1>(m)", {"k": WHOLE}, 11),
    "Max of one": (13, "i = Cast<to = 7>(x) m = Max(i) y = Cast<to = 1>(m)", {}, 11),
    "Max of floats": (13, "y = Max(x, k)", {"k": WHOLE.astype(np.float32)}, 11),
    "AveragePool": (
        22, "y = AveragePool<kernel_shape = [2], count_include_pad = 1, pads = [1, 0]>(x)", {}, 11,
    ),
    "BatchNormalization": (
        15, "y = BatchNormalization(x, s, b, m, v)",
        {k: np.array([1, 2, 3], np.float32) for k in "sbmv"}, 11,
    ),
    "in a body": (
        18, """c = ReduceMax<keepdims = 0>(x) z = Greater(c, h)
        y = If(z) <then_branch = t () => (float[a, b, c] u) { u = ReduceSum(x, k) },
                   else_branch = e () => (float[a, b, c] w) { w = ReduceMax(x, k) }>""",
        {"k": np.array([1]), "h": np.float32(0)}, 11,
    ),
    "defaults": (24, "c = Cast<to = 11, saturate = 1, round_mode = \"up\">(x) y = Cast<to = 1>(c)", {}, 11),
}  # fmt: skip


def model_of(models, opset: int, graph: str, weights: dict[str, Any]) -> onnx.ModelProto:
    body = graph if " p" not in graph and "(p" not in graph else f"p = Abs(x) {graph}"
    made = models.make(
        f"m ({X}) => ({Y}) {{ {body} }}", opset=opset, **{k: np.asarray(v) for k, v in weights.items()}
    )
    made.graph.output[0].type.tensor_type.ClearField("shape")
    for node in made.graph.node:
        for a in node.attribute:
            if a.HasField("g"):
                a.g.output[0].type.tensor_type.ClearField("shape")
    return made


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("case", CASES)
def test_the_older_form_says_the_same(case, models) -> None:
    opset, graph, weights, older = CASES[case]
    proto = model_of(models, opset, graph, weights)
    x = models.random(2, 3, 4)
    expected = run(proto, x)
    assert np.abs(expected).max() > 0
    model = ir.from_proto(proto)
    infer_shapes(model)
    lowered = lower_opset(model, older, strict=True)
    assert (lowered.opset, lowered.because) == (older, None)
    made = ir.to_proto(model)
    assert [o.version for o in made.opset_import] == [older]
    check(model)
    np.testing.assert_array_equal(run(made, x), expected)


def test_every_rewriting_is_tried() -> None:
    crossed = set()
    for opset, graph, _, older in CASES.values():
        for name, version in REWRITINGS:
            if f"{name}(" in graph or f"{name}<" in graph:
                crossed |= {(name, version)} if older < version <= opset else set()
    assert set(REWRITINGS) - crossed == {("GroupNormalization", 21)}  # which is always refused


def test_what_changed_without_a_trace_is_rewritten() -> None:
    """An attribute's default that changed, or one that became an input, is not seen in the node itself."""
    history: dict[str, list[Any]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, []).append(schema)
    seen = 0
    for name, schemas in history.items():
        ordered = sorted(schemas, key=lambda s: s.since_version)
        for old, new in itertools.pairwise(ordered):
            if new.since_version <= OLDEST or old.deprecated or (name, new.since_version) == ("Dropout", 12):
                continue  # Dropout's ratio matters in training alone
            gone = set(old.attributes) - set(new.attributes)
            other = [
                a for a in set(old.attributes) & set(new.attributes)
                if old.attributes[a].default_value != new.attributes[a].default_value
            ]  # fmt: skip
            if gone or other:
                seen += 1
                assert (name, new.since_version) in REWRITINGS, (name, new.since_version, gone, other)
    assert seen > 10


REFUSED = {
    "computed axes": ("s = Shape(x) k = Slice(s, z, o) y = ReduceMax(x, k)", 17, "18 .its axes are computed"),
    "scattered sums": (
        "y = ScatterElements<reduction = \"add\">(x, i, x)", 13, "16 .its attribute 'reduction' is newer",
    ),
    "scattered maxima": (
        "y = ScatterElements<reduction = \"max\">(x, i, x)", 17, "18 .its reduction='max' is newer",
    ),
    "lengths of 0": ("s = Shape(x) y = Reshape<allowzero = 1>(x, s)", 13, "14 .its lengths may be 0"),
    "later operators": ("y = Trilu(x)", 13, "14 .there is no such operator before"),
    "types": (
        "d = Cast<to = 16>(x) e = Relu(d) y = Cast<to = 1>(e)", 12, r"13 .it computes with tensor\(bfloat16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_older_form(case, models) -> None:
    graph, older, message = REFUSED[case]
    weights = {"i": np.zeros((2, 3, 4), np.int64), "z": np.array([0]), "o": np.array([1])}
    model = ir.from_proto(model_of(models, 18, graph, weights))
    infer_shapes(model)
    with pytest.raises(OptionError, match=f"node '.*' needs opset {message}.*target_opset is {older}; give"):
        lower_opset(model.clone(), older, strict=True)
    lowered = lower_opset(model, older)
    assert lowered.opset == int(message[:2])
    assert f"needs opset {lowered.opset}" in lowered.because
    check(model)


def test_nothing_is_raised_here(models) -> None:
    with pytest.raises(OptionError, match="the file is of opset 18, and could not be raised"):
        lower_opset(ir.from_proto(models.mlp()), 21, strict=True)
    assert lower_opset(ir.from_proto(models.mlp()), 21).opset == 18


def test_group_normalisation_means_something_else(models) -> None:
    proto = models.make(
        "m (float[1, 4, 3] x) => (float[1, 4, 3] y) { y = GroupNormalization<num_groups = 2>(x, s, s) }",
        opset=21, s=np.ones(4, np.float32),
    )  # fmt: skip
    assert lower_opset(ir.from_proto(proto), 18).opset == 21


@pytest.mark.parametrize(
    ("graph", "opset", "older"),
    [
        ("y = Gelu(x)", 20, 13),
        ("y = HardSwish(x)", 18, 13),
        ("y = LayerNormalization<axis = 2>(x, s, s)", 18, 13),
    ],
)
def test_operators_that_are_not_there_yet_are_written_out(graph, opset, older, models) -> None:
    proto = model_of(models, opset, graph, {"s": np.ones(4, np.float32)} if " s" in graph else {})
    model, x = ir.from_proto(proto), models.random(2, 3, 4)
    lower_opset(model, older, strict=True)
    made = ir.to_proto(model)
    check(model)
    np.testing.assert_allclose(run(made, x), run(proto, x), rtol=1e-5, atol=1e-6)


METHODS = {"lrp": ox.LRP(), "loop": ox.IntegratedGradients(n_steps=4)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("opset", "ir_version"), [(11, 6), (13, 7), (17, 8), (18, 8), (21, 10), (23, 11)])
def test_a_file_has_the_opset_of_its_model(method, opset, ir_version, models, tmp_path) -> None:
    model = models.make(
        """m (float[N, 2, 6, 6] x) => (float[N, 3] y) {
          c = Conv(x, w) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) z = MatMul(f, v) y = Softmax(z)
        }""",
        opset=opset, w=models.random(4, 2, 3, 3), v=models.random(4, 3, seed=1),
    )  # fmt: skip
    made = ox.export(model, tmp_path / "made.onnx", method=METHODS[method])
    assert (made.opset, made.ir_version, made.raised) == (opset, ir_version, None)
    assert onnx.load(made.path).opset_import[0].version == opset
    assert ox.verify(made.path, model, {"x": models.random(3, 2, 6, 6)}, tolerance=1e-5)


@pytest.mark.parametrize("target", [11, 13, 17, 21, 23])
def test_a_file_has_the_opset_that_is_asked_for(target, models, tmp_path) -> None:
    model = models.tanh()
    made = ox.export(model, tmp_path / "made.onnx", method=["lrp", METHODS["loop"]], target_opset=target)
    assert (made.opset, made.raised) == (target, None)
    assert ox.verify(made.path, model, {"x": models.random(3, 5)}, tolerance=1e-5)


@pytest.mark.parametrize("target", [None, 13, 21])
def test_models_without_a_standard_operator(target, models, tmp_path) -> None:
    node = onnx.helper.make_node(
        "LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", coefficients=[1.0, 2.0], intercepts=[0.5]
    )
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", k])
        for name, k in (("x", 2), ("y", 1))
    )
    imports = [onnx.helper.make_opsetid("ai.onnx.ml", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "m", [x], [y]), opset_imports=imports)
    model.ir_version = 6
    made = ox.export(model, tmp_path / "made.onnx", method="input_x_gradient", target_opset=target)
    assert made.opset == (target or 18)
    assert ox.verify(made.path, model, {"x": models.random(3, 2)})


def picking(models) -> onnx.ModelProto:
    """Return a network that picks a column twice: its way back adds up what meets at a place."""
    return models.make(
        "m (float[N, 4] x) => (float[N, 3] y) { h = Gather<axis = 1>(x, i) t = Tanh(h) y = MatMul(t, v) }",
        opset=13, i=np.array([0, 2, 2]), v=models.random(3, 3),
    )  # fmt: skip


def test_a_newer_opset_is_told(models, tmp_path) -> None:
    model = picking(models)
    made = ox.export(model, tmp_path / "made.onnx", method="saliency")
    assert made.opset == 16
    assert "ScatterND node" in made.raised
    model = models.mlp()
    model.opset_import[0].version = 8
    assert ox.export(model, tmp_path / "made.onnx").raised == "11 is the oldest opset that is written"


@pytest.mark.parametrize("target", [10, 99, "17", True, 17.0])
def test_no_such_opset(target, models, tmp_path) -> None:
    path = tmp_path / "made.onnx"
    path.write_bytes(b"before")
    with pytest.raises(OptionError, match=r"target_opset is .*; give a whole number from 11 to"):
        ox.export(models.mlp(), path, target_opset=target)
    with pytest.raises(OptionError, match=r"ScatterND node .* needs opset 16 .*give target_opset=16"):
        ox.export(picking(models), path, method="saliency", target_opset=13)
    assert path.read_bytes() == b"before"
