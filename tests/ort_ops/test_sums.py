"""``ai.onnxplain::SumCopies`` against sums in NumPy, in double precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime.operators import register

CASES = [  # the shape of what arrives, and the lengths of its first axes
    ((3, 4), (3, 4)),
    ((3, 4), (1, 4)),
    ((3, 4), (3, 1)),
    ((3, 4), (1, 1)),
    ((3, 4), (1,)),
    ((3, 4), ()),
    ((), ()),
    ((2, 3, 4, 5), (1, 3, 1, 5)),
    ((2, 3, 4, 5), (2, 1, 4, 1)),
    ((2, 3, 4, 5), (1, 1)),
    ((2, 3, 1, 5), (2, 1, 1, 1)),
    ((0, 4), (1, 4)),
    ((0, 4), (0, 1)),
    ((3, 0), (1, 0)),
    ((3, 0), (1, 1)),
    ((5, 70001), (1, 70001)),
    ((70001, 5), (1, 5)),
    ((300, 300, 2), (1, 300, 1)),
    ((2, 100003), (2, 1)),
]


@pytest.fixture
def session() -> ort.InferenceSession:
    info = helper.make_tensor_value_info
    takes = [info("g", onnx.TensorProto.FLOAT, None), info("own", onnx.TensorProto.INT64, [None])]
    node = helper.make_node("SumCopies", ["g", "own"], ["made"], domain=DOMAIN)
    graph = helper.make_graph([node], "g", takes, [info("made", onnx.TensorProto.FLOAT, None)])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def feeds(shape, own) -> dict[str, np.ndarray]:
    g = np.random.default_rng(0).normal(1, size=shape)
    return {"g": np.array(g, np.float32), "own": np.array(own, np.int64)}


@pytest.mark.parametrize(("shape", "own"), CASES, ids=str)
def test_sums(shape, own, session) -> None:
    given = feeds(shape, own)
    (found,) = session.run(None, given)
    axes = tuple(k for k, n in enumerate(own) if n != shape[k])
    expected = given["g"].astype(np.float64).sum(axes, keepdims=True) if axes else given["g"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=0)  # rounded once


def test_threads_at_once_find_the_same(session) -> None:
    given = feeds((40, 50, 60), (1, 50, 60))
    expected = session.run(None, given)[0]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: session.run(None, given)[0], range(20)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "own"), [((3, 4), (2, 4)), ((3, 4), (3, 4, 1)), ((3,), (-1,)), ((1,), (3,))]
)
def test_shapes_that_do_not_fit_are_a_named_error(shape, own, session) -> None:
    with pytest.raises(Exception, match=r"SumCopies: a tensor whose first axes are .* is not broadcast to"):
        session.run(None, feeds(shape, own))
