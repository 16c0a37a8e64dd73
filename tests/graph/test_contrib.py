"""Operators of com.microsoft written out: the same numbers as onnxruntime's kernels, and right gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from onnxplain.backward.adjoint import needs_body
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph.decomposition import DECOMPOSITIONS
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing import GradientProblem

if TYPE_CHECKING:
    from onnxplain._types import Array, Arrays

F = np.float32
DOMAIN = "com.microsoft"
rng = np.random.default_rng(0)


def r(*shape: int) -> Array:
    return rng.standard_normal(shape).astype(F)


def angles(rows: int, half: int) -> dict[str, Array]:
    table = np.outer(np.arange(rows), 10.0 ** -np.arange(half)).astype(F)
    return {"cos": np.cos(table), "sin": np.sin(table)}


def model_of(
    op: str, feeds: dict[str, Array | None], constants: dict[str, Array] | None = None, outputs: int = 1,
    domain: str = DOMAIN, **attrs: Any,
) -> tuple[onnx.ModelProto, Arrays]:  # fmt: skip
    """A model of one node; all operands in the order of ``feeds``, those in ``constants`` as initializers."""
    constants = constants or {}
    names = [k if v is not None or k in constants else "" for k, v in feeds.items()]
    made = [f"y{k}" if k == 0 or outputs > 1 else "" for k in range(outputs)]
    node = helper.make_node(op, names, made, name="node", domain=domain, **attrs)
    given = {k: v for k, v in feeds.items() if v is not None and k not in constants}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in given.items()
        ],
        [onnx.ValueInfoProto(name=k) for k in made],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9), given


def run(model: ir.Model | onnx.ModelProto, feeds: Arrays) -> list[Array]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    return made.run(None, {i.name: feeds[i.name] for i in made.get_inputs()})


def typed(model: onnx.ModelProto, values: list[Array]) -> onnx.ModelProto:
    """State the outputs' types, as exporters do."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    for output, value in zip(kept.graph.output, values, strict=True):
        dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, dtype, value.shape))
    return kept


X = {"x": r(2, 5, 8)}
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
QKV = {"q": r(2, 5, 8), "k": r(2, 7, 8), "v": r(2, 7, 8)}
ATTENTION = {"x": r(2, 5, 8), "w": r(8, 24), "b": r(24)}
IMAGE = {"x": r(1, 4, 6, 6), "w": r(6, 4, 3, 3), "b": r(6)}
EMBEDDING = {
    "ids": rng.integers(0, 9, (2, 5)).astype(np.int32), "kinds": rng.integers(0, 2, (2, 5)).astype(np.int32),
    "words": r(9, 8), "places": r(6, 8), "types": r(2, 8), "gamma": r(8), "beta": r(8),
}  # fmt: skip
PACKED4 = {"b": rng.integers(0, 255, (6, 3, 8)).astype(np.uint8), "s": rng.uniform(0.01, 0.1, 18).astype(F)}
PACKED8 = {"b": rng.integers(0, 255, (6, 3, 16)).astype(np.uint8), "s": rng.uniform(0.01, 0.1, 18).astype(F)}
ZEROS4 = {"z": rng.integers(0, 255, 12).astype(np.uint8)}
BITS = {"K": 40, "N": 6, "block_size": 16}
GROUPED = {"q": r(1, 5, 32), "k": r(1, 5, 16), "v": r(1, 5, 16), "pk": None, "pv": None}
LENGTHS = {"len": np.array([4], np.int32), "total": np.array(5, np.int32)}
POSITIONS = {"p": np.array([[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]], np.int64)}

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gelu": ("Gelu", X, {}),
    "bias gelu": ("BiasGelu", X | {"b": r(8)}, {}),
    "fast gelu": ("FastGelu", X, {}),
    "fast gelu with bias": ("FastGelu", X | {"b": r(8)}, {}),
    "quick gelu": ("QuickGelu", X, {"alpha": 1.5}),
    "conv relu": ("FusedConv", IMAGE, {"activation": "Relu", "pads": [1, 1, 1, 1]}),
    "conv sum": ("FusedConv", IMAGE | {"z": r(1, 6, 4, 4)}, {"activation": "Relu"}),
    "conv leaky": ("FusedConv", IMAGE, {"activation": "LeakyRelu", "activation_params": [0.2]}),
    "conv clip": ("FusedConv", IMAGE, {"activation": "Clip", "activation_params": [-1.0, 2.0]}),
    "conv hard sigmoid": ("FusedConv", IMAGE, {"activation": "HardSigmoid", "activation_params": [0.2, 0.4]}),
    "gemm relu": ("FusedGemm", {"a": r(3, 4), "b": r(5, 4), "c": r(5)}, {"activation": "Relu", "transB": 1}),
    "gemm leaky": (
        "FusedGemm",
        {"a": r(3, 4), "b": r(4, 5), "c": r(5)},
        {"activation": "LeakyRelu", "activation_alpha": 0.3, "alpha": 0.5, "beta": 2.0},
    ),
    "matmul": ("FusedMatMul", {"a": r(2, 4, 5), "b": r(2, 4, 6)}, {"alpha": 0.5, "transA": 1}),
    "matmul transposed": ("FusedMatMul", {"a": r(2, 4, 5), "b": r(2, 6, 5)}, {"transB": 1}),
    "matmul by batch": (
        "FusedMatMul",
        {"a": r(4, 2, 3, 5), "b": r(6, 2, 3, 5)},
        {"transB": 1, "transBatchA": 1, "transBatchB": 1},
    ),
    "skip norm": (
        "SkipLayerNormalization",
        X | {"s": r(2, 5, 8), "g": r(8), "b": r(8), "c": r(8)},
        {"epsilon": 1e-5},
    ),
    "skip norm, bare": ("SkipLayerNormalization", X | {"s": r(2, 5, 8), "g": r(8)}, {"epsilon": 1e-5}),
    "skip norm, sum used": (
        "SkipLayerNormalization",
        X | {"s": r(2, 5, 8), "g": r(8), "b": r(8)},
        {"sums": 4},
    ),
    "skip rms norm": (
        "SkipSimplifiedLayerNormalization",
        X | {"s": r(2, 5, 8), "g": r(8), "c": r(8)},
        {"epsilon": 1e-5},
    ),
    "embedding": ("EmbedLayerNormalization", EMBEDDING, {"epsilon": 1e-5, "outputs": 2}),
    "embedding, masked": (
        "EmbedLayerNormalization",
        EMBEDDING | {"mask": MASK},
        {"epsilon": 1e-5, "outputs": 2},
    ),
    "embedding, positions": (
        "EmbedLayerNormalization",
        {k: (None if k in ("kinds", "types") else v) for k, v in EMBEDDING.items()}
        | {"mask": None, "p": np.array([[4, 3, 2, 1, 0]] * 2, np.int32)},
        {"epsilon": 1e-5, "outputs": 2},
    ),
    "attention": ("Attention", ATTENTION, {"num_heads": 2}),
    "attention, masked": ("Attention", ATTENTION | {"m": MASK}, {"num_heads": 2}),
    "attention, mask by query": (
        "Attention",
        ATTENTION | {"m": np.tril(np.ones((2, 5, 5), np.int32))},
        {"num_heads": 2},
    ),
    "attention, lengths": ("Attention", ATTENTION | {"m": np.array([3, 5], np.int32)}, {"num_heads": 2}),
    "attention, causal": ("Attention", ATTENTION | {"m": MASK}, {"num_heads": 2, "unidirectional": 1}),
    "attention, bias": (
        "Attention",
        ATTENTION | {"m": None, "past": None, "e": r(2, 2, 5, 5)},
        {"num_heads": 2},
    ),
    "attention, sizes": (
        "Attention",
        {"x": r(2, 5, 8), "w": r(8, 28), "b": r(28)},
        {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 12]},
    ),
    "heads": ("MultiHeadAttention", QKV, {"num_heads": 2}),
    "heads, bias": ("MultiHeadAttention", QKV | {"b": r(24)}, {"num_heads": 2, "scale": 0.3}),
    "heads, extra": (
        "MultiHeadAttention",
        QKV | {"b": None, "m": None, "e": r(1, 2, 5, 7)},
        {"num_heads": 2},
    ),
    "heads, masked": (
        "MultiHeadAttention",
        QKV | {"b": None, "m": np.array([[1] * 7, [1] * 4 + [0] * 3], np.int32)},
        {"num_heads": 2},
    ),
    "heads, causal": (
        "MultiHeadAttention",
        {k: r(2, 5, 8) for k in "qkv"},
        {"num_heads": 2, "unidirectional": 1},
    ),
    "rotary": ("RotaryEmbedding", {"x": r(2, 5, 16)} | POSITIONS | angles(9, 4), {}),
    "rotary, interleaved": (
        "RotaryEmbedding",
        {"x": r(2, 5, 16)} | POSITIONS | angles(9, 4),
        {"interleaved": 1},
    ),
    "rotary, offset": (
        "RotaryEmbedding",
        {"x": r(2, 2, 5, 8), "p": np.array([3], np.int64)} | angles(9, 4),
        {},
    ),
    "rotary, partial": (
        "RotaryEmbedding",
        {"x": r(2, 5, 16)} | POSITIONS | angles(9, 2),
        {"rotary_embedding_dim": 4, "num_heads": 2},
    ),
    "grouped": ("GroupQueryAttention", GROUPED | LENGTHS, {"num_heads": 4, "kv_num_heads": 2, "outputs": 3}),
    "grouped, rotary": (
        "GroupQueryAttention",
        {"q": r(1, 5, 64), "k": r(1, 5, 32), "v": r(1, 5, 32), "pk": None, "pv": None}
        | LENGTHS
        | angles(9, 8),
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "outputs": 3},
    ),
    "grouped, window": (
        "GroupQueryAttention",
        GROUPED | LENGTHS,
        {"num_heads": 4, "kv_num_heads": 2, "local_window_size": 2, "outputs": 3},
    ),
    "grouped, packed": (
        "GroupQueryAttention",
        {"q": r(1, 5, 64), "k": None, "v": None, "pk": None, "pv": None} | LENGTHS,
        {"num_heads": 4, "kv_num_heads": 2, "outputs": 3},
    ),
    "four bits": ("MatMulNBits", {"x": r(2, 3, 40)} | PACKED4, BITS | {"bits": 4}),
    "four bits, zero points": ("MatMulNBits", {"x": r(2, 3, 40)} | PACKED4 | ZEROS4, BITS | {"bits": 4}),
    "eight bits": ("MatMulNBits", {"x": r(2, 3, 40)} | PACKED8, BITS | {"bits": 8}),
}
HELD = {"MatMulNBits": {"b", "s", "z"}}
NAMES = sorted(CASES)


def case(name: str) -> tuple[onnx.ModelProto, Arrays]:
    op, feeds, attrs = CASES[name]
    attrs = dict(attrs)
    outputs = attrs.pop("outputs", 1)
    held = {k: v for k, v in feeds.items() if k in HELD.get(op, ())}
    sums = attrs.pop("sums", 0)
    model, given = model_of(op, feeds, held, outputs, **attrs)
    if sums:
        node = model.graph.node[0]
        node.output.extend(["", "", "total"])
        model.graph.output.append(onnx.ValueInfoProto(name="total"))
    values = run(model, given)
    return typed(model, values), given


@pytest.mark.parametrize("name", NAMES)
def test_the_same_numbers_as_the_kernel(name: str) -> None:
    model, feeds = case(name)
    expected = run(model, feeds)
    made = normalize(load(model), expand=needs_body).model
    assert all(n.domain in ("", "ai.onnx") for n in made.graph)
    for a, b in zip(run(made, feeds), expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradient(name: str, symbolic: bool) -> None:
    model, feeds = case(name)
    for value in model.graph.input if symbolic else ():
        dims = value.type.tensor_type.shape.dim
        if value.name in ("m", "ids", "kinds", "p") or (
            value.name in ("x", "q", "k", "v", "s") and len(dims) == 3
        ):
            for k, dim in enumerate(dims[:2]):
                dim.dim_param = f"{'b' if k == 0 else value.name}_{k}"
    problem = GradientProblem.of(model)
    assert problem.check(feeds).relative_error < 1e-6


def test_every_operator_of_the_table_is_tried() -> None:
    tried = {op for op, _, _ in CASES.values()} | {"TransposeMatMul", "SimplifiedLayerNormalization"}
    assert {op for domain, op in DECOMPOSITIONS if domain == DOMAIN} == tried


def test_rms_norm_in_the_domain_that_onnxruntime_gives_it() -> None:
    feeds = {"x": r(2, 5, 8), "s": r(8)}
    model, _ = model_of("SimplifiedLayerNormalization", feeds, domain="", axis=-1, epsilon=1e-5)
    model = typed(model, [r(2, 5, 8)])
    made = normalize(load(model)).model
    np.testing.assert_allclose(run(made, feeds)[0], run(model, feeds)[0], rtol=1e-5, atol=1e-5)
    assert GradientProblem.of(model).check(feeds).relative_error < 1e-6


def test_an_old_opset_beside_contributed_operators() -> None:
    model, feeds = case("fast gelu")
    model.opset_import[0].version = 12
    made = normalize(load(model))
    assert made.opset == 18
    np.testing.assert_allclose(run(made.model, feeds)[0], run(model, feeds)[0], rtol=1e-5, atol=1e-5)


def test_a_past_state_is_refused_with_the_way_out() -> None:
    feeds = dict(ATTENTION) | {"m": None, "past": r(2, 2, 2, 3, 4)}
    model, _ = model_of("Attention", feeds, num_heads=2, outputs=2)
    model = typed(model, [r(2, 5, 8), r(2, 2, 2, 8, 4)])
    with pytest.raises(
        UnsupportedOperatorError, match=r"com\.microsoft\.Attention node 'node'.*without a cache"
    ):
        GradientProblem.of(model)
