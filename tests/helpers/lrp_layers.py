"""Linear layers of every kind, and what replicas of LRP rules compare on: each as one dense matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.preparation import prepare
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.normal import Retype
from onnxplain.runtime.programs import lower
from onnxplain.testing.reference import CORRECTED

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from onnxplain.backward.rules.base import Rule

rng = np.random.default_rng(0)


def w(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


# name: (node, shape of x, shape of y, weights); weights of a layer are constants
LAYERS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "gemm": ("Gemm(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(3)}),
    "gemm without bias": ("Gemm(x, w)", (2, 4), (2, 3), {"w": w(4, 3)}),
    "gemm transA": ("Gemm<transA = 1>(x, w, b)", (4, 2), (2, 3), {"w": w(4, 3), "b": w(2, 3)}),
    "gemm transB": ("Gemm<transB = 1>(x, w, b)", (2, 4), (2, 3), {"w": w(3, 4), "b": w(3)}),
    "gemm alpha": ("Gemm<alpha = 0.5, beta = 2.0>(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(1, 3)}),
    "gemm minus": ("Gemm<alpha = -0.5, beta = -2.0>(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(3)}),
    "gemm on the right": ("Gemm<transB = 1>(w, x, b)", (2, 4), (3, 2), {"w": w(3, 4), "b": w(2)}),
    "matmul": ("MatMul(x, w)", (2, 4), (2, 3), {"w": w(4, 3)}),
    "matmul batch": ("MatMul(x, w)", (2, 3, 4), (2, 3, 2), {"w": w(2, 4, 2)}),
    "matmul on the right": ("MatMul(w, x)", (4, 2), (3, 2), {"w": w(3, 4)}),
    "conv 1d": ("Conv<pads = [1, 0]>(x, w, b)", (1, 2, 5), (1, 3, 4), {"w": w(3, 2, 3), "b": w(3)}),
    "conv 2d": ("Conv(x, w)", (2, 2, 4, 4), (2, 3, 2, 2), {"w": w(3, 2, 3, 3)}),
    "conv stride": ("Conv<strides = [2, 1], pads = [1, 0, 1, 1]>(x, w, b)", (1, 2, 5, 4), (1, 3, 3, 4),
                    {"w": w(3, 2, 3, 2), "b": w(3)}),
    "conv groups": ("Conv<group = 2, pads = [1, 1, 0, 0]>(x, w, b)", (1, 4, 3, 3), (1, 6, 3, 3),
                    {"w": w(6, 2, 2, 2), "b": w(6)}),
    "conv dilation": ("Conv<dilations = [2, 1], strides = [1, 2]>(x, w)", (1, 1, 6, 5), (1, 2, 4, 2),
                      {"w": w(2, 1, 2, 3)}),
    "conv same": ('Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w)', (1, 2, 5, 4), (1, 2, 3, 2),
                  {"w": w(2, 2, 3, 3)}),
    "conv 3d": ("Conv<strides = [1, 2, 1]>(x, w, b)", (1, 1, 3, 4, 3), (1, 2, 2, 2, 2),
                {"w": w(2, 1, 2, 2, 2), "b": w(2)}),
    "convtranspose 1d": ("ConvTranspose<strides = [2]>(x, w, b)", (1, 2, 3), (1, 3, 7),
                         {"w": w(2, 3, 3), "b": w(3)}),
    "convtranspose 2d": ("ConvTranspose<strides = [2, 1], pads = [0, 1, 1, 0]>(x, w)", (1, 2, 3, 3),
                         (1, 2, 5, 3), {"w": w(2, 2, 2, 2)}),
    "average pool": ("AveragePool<kernel_shape = [2, 2], strides = [1, 2], pads = [0, 1, 1, 0]>(x)",
                     (1, 2, 3, 4), (1, 2, 3, 2), {}),
    "average pool with pads": ("AveragePool<kernel_shape = [3], pads = [1, 1], count_include_pad = 1>(x)",
                               (1, 2, 4), (1, 2, 4), {}),
    "global average pool": ("GlobalAveragePool(x)", (2, 2, 3, 2), (2, 2, 1, 1), {}),
    "add": ("Add(x, w)", (2, 3), (2, 3), {"w": w(3)}),
    "sub": ("Sub(x, w)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "sub from": ("Sub(w, x)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "mul": ("Mul(x, w)", (2, 3), (2, 3), {"w": w(3)}),
    "mul on the right": ("Mul(w, x)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "reduce mean": ("ReduceMean<keepdims = 0>(x, axes)", (2, 3, 4), (2, 4), {"axes": np.array([1])}),
    "reduce sum": ("ReduceSum(x, axes)", (2, 3, 4), (2, 3, 1), {"axes": np.array([2])}),
    "einsum": ('Einsum<equation = "bij,jk->bki">(x, w)', (2, 3, 4), (2, 2, 3), {"w": w(4, 2)}),
    "einsum on the right": ('Einsum<equation = "jk,bij->bik">(w, x)', (2, 3, 4), (2, 3, 2), {"w": w(4, 2)}),
}  # fmt: skip

#: Layers whose weights count as one, whatever they are: the stabiliser has another size there.
UNIFORM = tuple(k for k in LAYERS if "pool" in k or k.startswith("reduce"))


def layer_model(models, name: str) -> onnx.ModelProto:
    node, shape, made, weights = LAYERS[name]
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    return models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {node} }}", **weights)


def evaluator(model: ir.Model) -> Callable[..., np.ndarray]:
    session = ReferenceEvaluator(ir.to_proto(model), new_ops=CORRECTED)
    return lambda **feeds: session.run(None, feeds)[0]


def relevance(model: onnx.ModelProto, rule: Rule | Composite, x: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Walk back from relevance R through every node by one rule (or a composite), in float64."""
    return relevance_of_all(model, rule, {"x": x}, R)[0]


def relevance_of_all(
    model: onnx.ModelProto, rule: Rule | Composite, feeds: dict[str, np.ndarray], R: np.ndarray
) -> list[np.ndarray]:
    normal = normalize(load(model))
    prepare(normal.model, ["relevance"], in_place=True)
    Retype(frozenset({ir.DataType.FLOAT}), ir.DataType.DOUBLE)(normal.model)
    graph = normal.model.graph
    sources, output = list(graph.inputs), graph.outputs[0]
    seed = ir.Value(name="seed", type=output.type, shape=output.shape)
    graph.inputs.append(seed)
    rules = rule if isinstance(rule, Composite) else Composite("one", ((Match(), rule),))
    table = rules.resolve(graph, [output], sources)
    op = Emitter(graph, normal.opset, scope="walk")
    found = backward(op, {output: seed}, sources, table)
    graph.outputs.clear()
    graph.outputs.extend(op.Identity(found[source], _fold=False) for source in sources)
    lower(normal.model, "cpu")  # the reference evaluator has no transposed convolution of groups
    session = ReferenceEvaluator(ir.to_proto(normal.model), new_ops=CORRECTED)
    return [np.asarray(v) for v in session.run(None, {**feeds, "seed": R})]


def dense(model: onnx.ModelProto, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return A (out, in) and b (out,) of an affine layer, by feeding it basis vectors."""
    forward = evaluator(load(model))
    b = forward(x=np.zeros(shape)).ravel()
    columns = [forward(x=e.reshape(shape)).ravel() - b for e in np.eye(int(np.prod(shape)))]
    return np.stack(columns, axis=1), b


def connections(layer: str, models) -> np.ndarray:
    """Which inputs reach which output: the dense matrix with all weights 1."""
    ones = {k: np.abs(v) if v.dtype.kind == "f" else v for k, v in LAYERS[layer][3].items()}
    node, shape, made, _ = LAYERS[layer]
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    node = node.replace("Sub(", "Add(").replace("alpha = -0.5", "alpha = 0.5")
    return dense(models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {node} }}", **ones), shape)[0]
