"""How random graphs of our operators are run, what is drawn for them, and how results are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime.operators import register

__all__ = [
    "F",
    "H",
    "Rng",
    "any_shape",
    "hard",
    "near",
    "normal",
    "opened",
    "part_of",
    "pick",
    "run_own",
    "same",
]

F, H = np.float32, np.float16
Rng = np.random.Generator
_HARD = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, -1e-42, 6, 3e38, 1e-6, 2**-24, 65504])


def opened(
    nodes: Sequence[onnx.NodeProto],
    given: dict[str, np.ndarray],
    made: Sequence[str],
    *,
    shapes: dict[str, Any] | None = None,
    optimised: bool = True,
    threads: int = 1,
) -> ort.InferenceSession:
    """Open a graph of nodes; shapes of inputs are declared where they are given."""
    kinds = {k: helper.np_dtype_to_tensor_dtype(v.dtype) for k, v in given.items()}
    takes = [helper.make_tensor_value_info(k, t, (shapes or {}).get(k)) for k, t in kinds.items()]
    real = next(t for t in kinds.values() if t in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16))
    gives = [helper.make_tensor_value_info(k, real, None) for k in made]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    graph = helper.make_graph(list(nodes), "g", takes, gives)
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    register(options)
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_own(kind: str, given: Sequence[np.ndarray], rng: Rng, **attributes: Any) -> np.ndarray:
    feeds = {f"x{k}": v for k, v in enumerate(given)}
    node = helper.make_node(kind, list(feeds), ["made"], domain=DOMAIN, **attributes)
    shapes = {k: v.shape for k, v in feeds.items()} if rng.random() < 0.5 else None
    threads = int(rng.choice([1, 3]))
    found: np.ndarray = opened([node], feeds, ["made"], shapes=shapes, threads=threads).run(None, feeds)[0]
    return found


def normal(rng: Rng, *shape: int) -> np.ndarray:
    return np.asarray(rng.normal(size=shape), F)


def hard(rng: Rng, shape: Sequence[int], share: float) -> np.ndarray:
    """Draw numbers, some of which are hard to get right."""
    made = np.where(rng.random(shape) < 0.5, rng.normal(size=shape), rng.integers(-3, 4, shape))
    with np.errstate(over="ignore"):
        return np.where(rng.random(shape) < share, rng.choice(_HARD, shape), made).astype(F)


def pick(rng: Rng, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare bit by bit, but for what is no number."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]))


def near(found: np.ndarray, expected: np.ndarray, size: float, share: float = 2e-6) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * max(size, 1e-30))


def any_shape(rng: Rng) -> tuple[int, ...]:
    rank = int(rng.integers(0, 5))
    return tuple(int(rng.choice([1, 2, 3, 5, 17, 0, 130][: 7 if rank < 4 else 5])) for _ in range(rank))


def part_of(rng: Rng, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Draw a shape that broadcasts to one."""
    kept = tuple(d if rng.random() < 0.7 else 1 for d in shape)
    return kept[int(rng.integers(0, len(kept) + 1)) :] if rng.random() < 0.3 else kept
