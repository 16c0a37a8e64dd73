"""Operators of float16: the same as those of float32, of the same numbers, with the result alone rounded."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime.operators import register

NORM = {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1e-3]}
POOL = {"kernel_shape": [3, 2], "strides": [2, 1], "dilations": [1, 2], "begins": [1, 0]}
WIDE = {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [1, 1], "begins": [1, 1]}
PARTS = {"strides": [2, 2], "begins": [0, 0, 1, 1], "ends": [1, 0]}
BY_TURNS = {"strides": [2, 2], "begins": [0, 0, 0, 1, 1, 0, 1, 1], "ends": [1, 1]}
SHAPES = [(0, 5), (3, 0), (1, 1), (3, 16), (5, 17), (2, 3, 40), (700, 33), (2, 70001)]
#: Operators, the shapes of what they take (int64 where given as a list), attributes.
CASES = [
    *(("SoftmaxBackward", (s, s), {}) for s in SHAPES),
    *(("SoftmaxBackward", ((2, 3, 40), s), {}) for s in ((3, 1), (40,), ())),
    *(("NormBackward", (s, s), NORM) for s in SHAPES),
    *(("NormBackward", ((5, 17), (5, 17), s), NORM) for s in ((1,), (17,))),
    ("NormBackward", ((2, 3, 40), (2, 3, 40)), NORM | {"axes": [2], "centred": [0]}),
    ("NormBackward", ((5, 17), (5, 1)), NORM | {"constant": [1]}),
    *(("GeluBackward", (s, s), {"factor": [-0.5]}) for s in SHAPES),
    ("GeluBackward", ((2, 3, 40), (40,)), {"factor": [1.0]}),
    ("GeluBackward", ((5, 1700), (5, 1700)), {"factor": [1.0], "tanh": 1}),
    *(("SumCopies", (s, [1, *s[1:]]), {}) for s in SHAPES),
    *(("SumCopies", (s, [*s[:-1], 1]), {}) for s in SHAPES),
    ("SumCopies", ((3, 4), [3, 4]), {}),
    ("SumCopies", ((30, 40, 50), [1, 40, 1]), {}),
    *(("GiveAll", (s, s), {"above": [1], "below": [1]}) for s in SHAPES),
    ("GiveAll", ((2, 30), (2, 40000)), {"above": [1], "below": [1]}),
    *(("MaxPoolGrad", ((n, c, h, 9), (n, c, 2, w), (n, c, 2, w)), POOL)
      for n, c, h, w in ((1, 1, 4, 7), (2, 17, 5, 6), (0, 3, 4, 7), (1, 1, 40, 7))),
    ("MaxPoolGrad", ((1, 1, 1200, 900), (1, 1, 600, 898), (1, 1, 600, 898)), POOL),
    *(("MaxPoolGrad", ((2, 3, 9, w), (2, 3, 5, w // 2), (2, 3, 5, w // 2)), WIDE) for w in (64, 130)),
    *(("Interleave", ((n, 3, h, 4), (n, 3, h, 3)), PARTS) for n, h in ((1, 1), (2, 5), (0, 3))),
    *(("Interleave", ((2, 3, 5, w),) * 4, BY_TURNS) for w in (1, 7, 37)),
]  # fmt: skip


def run(kind: str, given: list[np.ndarray], dtype: type, attributes: dict) -> np.ndarray:
    types = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}
    names = [f"x{k}" for k in range(len(given))]
    given = [v if v.dtype == np.int64 else v.astype(dtype) for v in given]
    infos = [
        helper.make_tensor_value_info(n, TensorProto.INT64 if v.dtype == np.int64 else types[dtype], v.shape)
        for n, v in zip(names, given, strict=True)
    ]
    kind += "Float16" if dtype is np.float16 else ""
    node = helper.make_node(kind, names, ["made"], domain=DOMAIN, **attributes)
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("made", types[dtype], None)])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    register(options)
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, dict(zip(names, given, strict=True)))
    assert found.dtype == dtype
    return found


@pytest.mark.parametrize(("kind", "takes", "attributes"), CASES, ids=str)
def test_they_are_those_of_float32_rounded_once(kind, takes, attributes) -> None:
    rng = np.random.default_rng(0)
    given = [
        np.array(t, np.int64) if isinstance(t, list) else np.array(rng.normal(size=t), np.float16)
        for t in takes
    ]
    if kind == "MaxPoolGrad":  # many are as large as others
        given[:2] = (np.round(v) for v in given[:2])
    with np.errstate(over="ignore"):
        expected = run(kind, given, np.float32, attributes).astype(np.float16)
    found = run(kind, given, np.float16, attributes)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint16), expected.view(np.uint16))


@pytest.mark.parametrize("kind", ["SoftmaxBackward", "GeluBackward", "SumCopies", "GiveAll"])
def test_what_is_not_finite(kind) -> None:
    """Infinities, what is no number, denormal numbers, the largest ones: as rounding gives them."""
    row = np.array([np.inf, -np.inf, np.nan, 6e-8, -6e-5, 65504, 0, 1], np.float16)
    given = [np.tile(row, (8, 1)), np.repeat(row[:, None], 8, axis=1)]
    attributes = {"factor": [1.0]} if kind == "GeluBackward" else {}
    if kind == "GiveAll":
        attributes = {"above": [1], "below": [1]}
    if kind == "SumCopies":
        given[1] = np.array([8, 1], np.int64)
    with np.errstate(over="ignore"):
        expected = run(kind, given, np.float32, attributes).astype(np.float16)
    np.testing.assert_array_equal(run(kind, given, np.float16, attributes), expected)


def test_there_are_no_blocks_of_halves() -> None:
    x = np.ones((1, 8, 2, 2), np.float16)
    with pytest.raises(Exception, match="no blocks of float16"):
        run("MaxPoolGrad", [x, x, x], np.float16, POOL | {"kernel_shape": [1, 1], "block": 8})
