"""A model of texts."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

__all__ = ["texts"]


def texts() -> onnx.ModelProto:
    """A table of two columns of words; each word has a number, and the score is their weighted sum."""
    encode = helper.make_node(
        "LabelEncoder", ["x"], ["e"], domain="ai.onnx.ml", keys_strings=["red", "green", "blue"],
        values_floats=[1.0, 2.0, 4.0], default_float=0.0,
    )  # fmt: skip
    graph = helper.make_graph(
        [encode, helper.make_node("MatMul", ["e", "w"], ["y"])], "texts",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [onnx.numpy_helper.from_array(np.array([[1.0], [10.0]], np.float32), "w")],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)
