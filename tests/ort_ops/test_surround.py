"""``ai.onnxplain::Surround`` against a plain twin."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from planes import surrounded

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime.operators import register

FAR = 2**62


def run(patch, whole, at, begin, size, fill=0.0) -> np.ndarray:
    info, real, number = helper.make_tensor_value_info, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    feeds = {
        "patch": patch,
        "whole": whole,
        "at": np.array(at, np.int64).reshape(-1, 2),
        "from": np.array(begin, np.int64).reshape(-1, 2),
    }
    node = helper.make_node("Surround", list(feeds), ["made"], domain=DOMAIN, size=list(size), fill=[fill])
    takes = [info(k, real if v.dtype == np.float32 else number, None) for k, v in feeds.items()]
    graph = helper.make_graph([node], "g", takes, [info("made", real, None)])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(["made"], feeds)[0]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("patch", "whole", "size"),
    [
        ((4, 3, 2, 3), (2, 3, 5, 6), (4, 5)),
        ((3, 1, 1, 1), (1, 1, 1, 1), (3, 3)),
        ((2, 17, 3, 3), (2, 17, 7, 4), (7, 4)),
        ((5, 2, 4, 4), (5, 2, 4, 4), (1, 1)),
        ((2, 300, 9, 9), (1, 300, 20, 20), (13, 13)),
        ((0, 3, 2, 2), (2, 3, 5, 5), (3, 3)),
        ((2, 0, 2, 2), (2, 0, 5, 5), (3, 3)),
        ((2, 3, 0, 2), (1, 3, 5, 5), (3, 3)),
        ((2, 3, 2, 2), (1, 3, 0, 5), (3, 3)),
        ((2, 3, 2, 2), (1, 3, 5, 5), (0, 3)),
    ],
    ids=str,
)
def test_beside_loops(patch, whole, size) -> None:
    rng = np.random.default_rng(1)
    at, begin = rng.integers(-3, 8, size=(2, patch[0], 2)).tolist()
    for fill in (0.0, -np.inf):
        given = numbers(*patch), numbers(*whole, seed=1), at, begin, size, fill
        np.testing.assert_array_equal(run(*given), surrounded(*given))


def test_begins_far_away_leave_what_fills() -> None:
    patch, whole = numbers(4, 2, 2, 2), numbers(1, 2, 3, 3)
    begin = [[FAR, 0], [0, -FAR], [-(2**63), 2**63 - 1], [0, 0]]
    made = run(patch, whole, [[0, 0]] * 3 + [[-FAR, FAR]], begin, (3, 3), 7.0)
    assert (made[:3] == 7).all()
    np.testing.assert_array_equal(made[3], whole[0])


@pytest.mark.parametrize(
    ("patch", "whole", "at", "size", "message"),
    [
        ((2, 3, 2, 2), (1, 4, 5, 5), 2, (3, 3), "same channels"),
        ((2, 3, 2), (1, 3, 5, 5), 2, (3, 3), "four axes"),
        ((2, 3, 2, 2), (1, 3, 5, 5), 1, (3, 3), "two begins"),
        ((3, 3, 2, 2), (2, 3, 5, 5), 3, (3, 3), "as many patches"),
        ((1, 3, 2, 2), (0, 3, 5, 5), 1, (3, 3), "as many patches"),
        ((2, 3, 2, 2), (1, 3, 5, 5), 2, (3,), "two numbers"),
        ((2, 3, 2, 2), (1, 3, 5, 5), 2, (3, -1), "at least 0"),
    ],
)
def test_refused(patch, whole, at, size, message) -> None:
    with pytest.raises(Exception, match=message):
        run(numbers(*patch), numbers(*whole), [[0, 0]] * at, [[0, 0]] * at, size)
