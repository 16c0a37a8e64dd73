"""Handing a model to ONNX's C++ tools without copying its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnx_ir as ir

from onnxplain.graph.facts import n_bytes

__all__ = ["SMALL_BYTES", "restore_weights", "weights_as_inputs"]

#: Tensors up to this size go along.
SMALL_BYTES = 4096


@contextlib.contextmanager
def weights_as_inputs(model: ir.Model) -> Iterator[dict[str, ir.TensorProtocol]]:
    """Within the block, large initializers of the main graph are graph inputs without content.

    Small ones stay: converters and shape inference read axes and shapes from them.

    Yields
    ------
    dict
        The tensors taken out, by name.
    """
    graph = model.graph
    taken: dict[str, ir.TensorProtocol] = {}
    values: list[ir.Value] = []
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None and n_bytes(value.const_value) > SMALL_BYTES:
            taken[name] = value.const_value
            value.const_value = None
            graph.initializers.pop(name)
            graph.inputs.append(value)
            values.append(value)
    try:
        yield taken
    finally:
        for _ in values:
            graph.inputs.pop()  # not a slice: only pop lets a value know that it is no input any more
        for value in values:
            assert value.name is not None
            value.const_value = taken[value.name]
            graph.register_initializer(value)


def restore_weights(model: ir.Model, taken: dict[str, ir.TensorProtocol]) -> None:
    """Turn the stub inputs of a model that came back from a C++ tool into initializers again."""
    for value in [v for v in model.graph.inputs if v.name in taken]:
        model.graph.inputs.remove(value)
        assert value.name is not None
        value.const_value = taken[value.name]
        model.graph.register_initializer(value)
