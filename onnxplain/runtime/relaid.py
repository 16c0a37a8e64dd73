"""A compiled program written anew, with the values between its convolutions as onnxruntime blocks them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxplain.graph.passes.lower import FuseElementwise, KeepBlocked
from onnxplain.graph.passes.lower.keep_blocked import BLOCKED_DOMAIN, declare

__all__ = ["block_size", "relaid"]

_MODEL, _WEIGHTS = "optimised.onnx", "optimised.weights"
_SMALL_BYTES = "1024"


def relaid(load: Callable[[Any], object], options: Callable[[], Any]) -> ir.Model | None:
    """Return a program as onnxruntime optimised it, its elementwise work fused and in blocks.

    Parameters
    ----------
    load
        Makes a session of the program with the options that it is given.
    options
        Makes the options of the session.

    Returns
    -------
    The graph, to be run as it is, without optimising; None where nothing became better.
    """
    block = block_size()
    if block is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path, how = Path(folder) / _MODEL, options()
        how.optimized_model_filepath = str(path)
        how.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        how.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", _SMALL_BYTES
        )
        load(how)
        model = ir.load(path)
        ir.external_data.load_to_model(model)
    if BLOCKED_DOMAIN not in {node.domain for node in model.graph}:
        return None
    before = len(model.graph)
    declare(model.graph)
    FuseElementwise(optimised=True)(model)
    KeepBlocked(block)(model)
    FuseElementwise(optimised=True)(model)
    return model if len(model.graph) < before else None


@functools.lru_cache(maxsize=1)
def block_size() -> int | None:
    """Return how many channels onnxruntime puts in a block on this processor; None where it has no blocks."""
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy")
    node = onnx.helper.make_node("ReorderInput", ["x"], ["y"], domain=BLOCKED_DOMAIN, channels_last=0)
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(BLOCKED_DOMAIN, 1)]
    graph = onnx.helper.make_graph([node], "probe", [x], [y])
    content = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (made,) = session.run(None, {"x": np.zeros((1, 4, 1, 1), np.float32)})
    except Exception:  # onnxruntime raises many kinds
        return None
    size = int(made.shape[1])
    return size if size > 1 else None
