"""``config.pbtxt``: what Triton is told of a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from onnxplain.serve.asked import Tensor
from onnxplain.serve.datatypes import TEXT

__all__ = ["config"]


def config(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], max_batch: int) -> str:
    """Return the configuration of a model for Triton's backend for onnxruntime.

    Parameters
    ----------
    name
        Of the model, and of its folder.
    inputs, outputs
        What it takes and gives, the axis of samples included.
    max_batch
        Samples of several requests that Triton may join along the first axis; 0: never.
    """
    lines = [f"name: {_quoted(name)}", 'backend: "onnxruntime"', f"max_batch_size: {max_batch}"]
    lines += [line for tensor in inputs for line in _described("input", tensor, max_batch > 0)]
    lines += [line for tensor in outputs for line in _described("output", tensor, max_batch > 0)]
    if max_batch:
        lines.append("dynamic_batching { }")
    return "\n".join(lines) + "\n"


def _described(kind: str, tensor: Tensor, batched: bool) -> Iterable[str]:
    dims = tensor.shape[1:] if batched else tensor.shape
    yield f"{kind} ["
    yield "  {"
    yield f"    name: {_quoted(tensor.name)}"
    yield f"    data_type: {_data_type(tensor)}"
    # Triton has no tensors without axes beside that of samples: one of length 1 stands for them
    yield f"    dims: [ {', '.join(map(str, dims or (1,)))} ]"
    if not dims:
        yield "    reshape { shape: [ ] }"
    yield "  }"
    yield "]"


def _data_type(tensor: Tensor) -> str:
    return "TYPE_STRING" if tensor.datatype == TEXT else f"TYPE_{tensor.datatype}"


def _quoted(text: str) -> str:
    """Write a text as protobuf's text format takes it; JSON's escapes of ASCII are a part of it."""
    if text.isascii() and text.isprintable():
        return json.dumps(text)
    octal = "".join(
        chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:03o}" for b in text.encode("utf-8")
    )
    return f'"{octal}"'
