"""A compiled program written anew, with the values between its convolutions as onnxruntime blocks them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Shape
from onnxplain.graph.passes.lower import FuseElementwise, KeepBlocked
from onnxplain.graph.passes.lower.keep_blocked import BLOCKED_DOMAIN, declare, take_blocked

__all__ = ["Relaid", "block_size", "blocking", "relaid"]

_MODEL, _WEIGHTS = "optimised.onnx", "optimised.weights"
_SMALL_BYTES = "1024"
_RANK = 4


class Relaid(NamedTuple):
    """A program to be run as it is, without optimising, and which inputs it takes in blocks."""

    model: ir.Model
    blocked: Sequence[str]


def relaid(
    load: Callable[[Any], object],
    options: Callable[[], Any],
    shapes: Mapping[str, Shape] = MappingProxyType({}),
    free: Collection[str] = (),
) -> Relaid | None:
    """Return a program as onnxruntime optimised it, its elementwise work fused and in blocks.

    Parameters
    ----------
    load
        Makes a session of the program with the options that it is given.
    options
        Makes the options of the session.
    shapes
        What shapes inputs had so far; a hint.
    free
        Names of inputs that may be given in blocks.

    Returns
    -------
    The program; None where nothing became better.
    """
    block = block_size()
    if block is None:
        return None
    model = _optimised(load, options())
    if BLOCKED_DOMAIN not in {node.domain for node in model.graph}:
        return None
    before = len(model.graph)
    for value in model.graph.inputs:
        shape = shapes.get(str(value.name), ())
        if value.shape is None and value.dtype == ir.DataType.FLOAT and len(shape) == _RANK:
            value.shape = ir.Shape([None, shape[1], None, None])
    declare(model.graph)
    FuseElementwise(optimised=True)(model)
    KeepBlocked(block, free)(model)
    FuseElementwise(optimised=True)(model)
    taken = take_blocked(model.graph, free)
    return Relaid(model, taken) if len(model.graph) < before else None


def blocking(names: Sequence[str]) -> ir.Model:
    """Return a program that blocks its inputs, each under its name with ``/blocked`` behind it."""
    inputs = [ir.Value(name=n, type=ir.TensorType(ir.DataType.FLOAT)) for n in names]
    nodes = [ir.node("ReorderInput", [v], {"channels_last": 0}, domain=BLOCKED_DOMAIN) for v in inputs]
    outputs = [node.outputs[0] for node in nodes]
    for name, value in zip(names, outputs, strict=True):
        value.name, value.type = f"{name}/blocked", ir.TensorType(ir.DataType.FLOAT)
    imports = {"": 17, BLOCKED_DOMAIN: 1}
    return ir.Model(ir.Graph(inputs, outputs, nodes=nodes, opset_imports=imports, name="b"), ir_version=8)


def _optimised(load: Callable[[Any], object], options: Any) -> ir.Model:
    """Return a program as onnxruntime optimised it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _MODEL
        options.optimized_model_filepath = str(path)
        for key, value in (("file_name", _WEIGHTS), ("min_size_in_bytes", _SMALL_BYTES)):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)
        load(options)
        model = ir.load(path)
        ir.external_data.load_to_model(model)
    return model


@functools.lru_cache(maxsize=1)
def block_size() -> int | None:
    """Return how many channels onnxruntime puts in a block on this processor; None where it has no blocks."""
    content = ir.to_proto(blocking(["x"])).SerializeToString()
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
