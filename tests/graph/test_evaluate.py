"""Folding gives what onnxruntime gives: all of the standard's own node cases, and odd numbers."""

from __future__ import annotations

import functools
import time
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.graph.evaluate import FOLDABLE_BYTES, evaluate, is_pure

SHARDS = 16
#: No result that merely stands for numbers (text, 8-bit floats, complex) is compared.
PLAIN = "bfiu"


@functools.cache
def cases():
    """Return (name, model, inputs) for every case of one pure node on tensors."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    out = []
    for case in found:
        model = case.model
        if model is None or not case.data_sets or len(model.graph.node) != 1:
            continue
        node = ir.from_proto(model).graph[0]
        held = [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v
                for v in case.data_sets[0][0]]  # fmt: skip
        if held and is_pure(node) and all(isinstance(v, np.ndarray) for v in held):
            names = [i.name for i in model.graph.input]
            out.append((case.name, model, dict(zip(names, held, strict=False))))
    return out


def by_onnxruntime(model, feeds):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return session.run(None, feeds)
    except Exception:  # no kernel for it, or a dtype that NumPy's arrays do not carry over
        return None


def opset(model):
    return next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_node_cases(shard) -> None:
    compared = 0
    for name, model, feeds in cases()[shard::SHARDS]:
        expected = by_onnxruntime(model, feeds)
        node = model.graph.node[0]
        arrays = [feeds[i] if i else None for i in node.input]
        found = evaluate(ir.from_proto(model).graph[0], arrays, opset(model))
        if found is None or expected is None:
            continue
        for a, b in zip([f for f, o in zip(found, node.output, strict=True) if o], expected, strict=True):
            if a.dtype.kind in PLAIN and a.dtype == b.dtype:
                assert a.shape == b.shape, name
                np.testing.assert_array_equal(a, b, err_msg=name)
                compared += 1
            else:
                assert a.dtype.kind not in PLAIN, name
    assert compared > 40


X = np.array([[0.0, -0.0, 1.5, -2.5, np.nan, np.inf, -np.inf, 3e38, 1e-45, 2**24 + 1]], np.float32)
Y = np.array([[2.0], [-0.0], [np.nan], [-np.inf], [0.1]], np.float32)
N = np.array([[7, -7, 0, 2**62, -(2**63) + 1, 1, -1, 3, 5, 2]], np.int64)
D = np.array([[2], [-2], [3], [-1], [7]], np.int64)


@pytest.mark.parametrize("op", "Add Sub Mul Div Pow Max Min Mod Equal Less Greater LessOrEqual PRelu".split())
@pytest.mark.parametrize("kind", ["float", "int"])
def test_odd_numbers(op, kind) -> None:
    a, b = (X, Y) if kind == "float" else (N, D)
    attributes = {"fmod": 1} if op == "Mod" and kind == "float" else {}
    compare(op, [a, b], **attributes)


@pytest.mark.parametrize("op", ["Div", "Mod"])
@pytest.mark.parametrize(("a", "b"), [(1, 0), (-(2**63), -1)])
def test_quotients_that_would_end_the_process_stay(op, a, b) -> None:
    node = ir.from_proto(onnx.helper.make_node(op, ["x0", "x1"], ["y"]))
    assert evaluate(node, [np.array([a, 2]), np.array([b, 1])], 18) is None


@pytest.mark.parametrize("to", ["INT32", "INT64", "INT8", "UINT8", "FLOAT16", "DOUBLE", "BOOL"])
def test_casts_of_odd_numbers(to) -> None:
    compare("Cast", [X], to=onnx.TensorProto.DataType.Value(to))


@pytest.mark.parametrize(
    "op", "Neg Abs Exp Log Sqrt Sign Floor Round Reciprocal Sigmoid Relu Erf Softmax".split()
)
def test_functions_of_odd_numbers(op) -> None:
    compare(op, [X])


def test_ranges_add_up_as_onnxruntime_does() -> None:
    compare("Range", [np.float32(0), np.float32(100), np.float32(0.1)])


def compare(op: str, inputs, **attributes) -> None:
    names = [f"x{k}" for k in range(len(inputs))]
    node = onnx.helper.make_node(op, names, ["y"], **attributes)
    graph = onnx.helper.make_graph(
        [node], "g",
        [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
         for n, a in zip(names, map(np.asarray, inputs), strict=True)],
        [onnx.ValueInfoProto(name="y")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    expected = by_onnxruntime(model, dict(zip(names, inputs, strict=True)))
    found = evaluate(ir.from_proto(model).graph[0], inputs, 18)
    if expected is not None:
        assert found is not None
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[0].dtype == expected[0].dtype


HUGE = {
    "ConstantOfShape": ([np.array([10**6, 10**6])], {}),
    "Expand": ([np.ones(1, np.float32), np.array([10**6, 10**6])], {}),
    "Tile": ([np.ones((1, 1), np.float32), np.array([10**6, 10**6])], {}),
    "Range": ([np.int64(0), np.int64(10**12), np.int64(1)], {}),
    "Add": ([np.ones((10**5, 1), np.float32), np.ones((1, 10**6), np.float32)], {}),
    "MatMul": ([np.ones((10**5, 1), np.float32), np.ones((1, 10**6), np.float32)], {}),
    "Pad": ([np.ones((1, 1), np.float32), np.array([10**6, 10**6, 0, 0])], {}),
    "Resize": ([np.ones((1, 1), np.float32), None, np.array([1e6, 1e6], np.float32)], {}),
    "OneHot": ([np.zeros(10**3, np.int64), np.int64(10**9), np.array([0, 1], np.float32)], {}),
}


@pytest.mark.parametrize("op", HUGE)
def test_what_would_be_huge_is_not_even_tried(op) -> None:
    inputs, attributes = HUGE[op]
    node = ir.from_proto(
        onnx.helper.make_node(
            op, [f"x{k}" if a is not None else "" for k, a in enumerate(inputs)], ["y"], **attributes
        )
    )
    begin = time.perf_counter()
    assert evaluate(node, inputs, 18) is None
    assert time.perf_counter() - begin < 5


def test_limits_are_as_they_were() -> None:
    node = ir.from_proto(onnx.helper.make_node("ConstantOfShape", ["x0"], ["y"]))
    for side, kept in ((FOLDABLE_BYTES // 4, True), (FOLDABLE_BYTES // 4 + 1, False)):
        assert (evaluate(node, [np.array([side])], 18) is not None) is kept


def test_folded_text_stays() -> None:
    node = ir.from_proto(onnx.helper.make_node("StringConcat", ["x0", "x1"], ["y"]))
    assert evaluate(node, [np.array(["a"]), np.array(["b"])], 20) is None
