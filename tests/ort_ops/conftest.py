"""The library of operators, and graphs that use it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import DTypeLike
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.kernels import operators_library
from onnxplain.runtime.operators import register


@pytest.fixture(autouse=True)
def _library() -> None:
    if operators_library() is None:
        pytest.skip("the library of operators was not built here")


class Graphs:
    """Makes and runs graphs of one type, their nodes as they are."""

    @staticmethod
    def run(nodes: Sequence[onnx.NodeProto], feeds: dict[str, np.ndarray], made: str = "made") -> np.ndarray:
        (dtype,) = {v.dtype for v in feeds.values()}
        session = Graphs.session(nodes, list(feeds), made, dtype)
        return session.run([made], feeds)[0]

    @staticmethod
    def session(
        nodes: Sequence[onnx.NodeProto], inputs: Sequence[str], made: str, dtype: DTypeLike = np.float32
    ) -> ort.InferenceSession:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

        def info(name: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, kind, None)

        graph = helper.make_graph(list(nodes), "g", [info(n) for n in inputs], [info(made)])
        imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
        content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        register(options)
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def fused(
        inputs: Sequence[str],
        program: Sequence[int],
        constants: Sequence[float] = (0.0,),
        operator: str = "Elementwise",
    ) -> list[onnx.NodeProto]:
        """One node with this program; the first step's number is that of inputs and constants together."""
        attributes = {"program": list(program), "constants": list(constants)}
        return [helper.make_node(operator, list(inputs), ["made"], domain=DOMAIN, **attributes)]


@pytest.fixture
def graphs() -> type[Graphs]:
    return Graphs
