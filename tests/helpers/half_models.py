"""Models in half precision, made of models in float32."""

from __future__ import annotations

import warnings

import onnx

__all__ = ["half"]


def half(model: onnx.ModelProto, keep: bool = False) -> onnx.ModelProto:
    """Convert a model, and what it takes and gives unless that is kept, as onnxruntime's tool does."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    own = onnx.ModelProto()
    own.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numbers that are cut to what float16 holds
        return convert_float_to_float16(own, keep_io_types=keep)
