"""LSTM, GRU and RNN: backpropagation through time.

The gradient is written from the decomposition of :mod:`onnxplain.graph.recurrent`: its Scan is run once to
save the states, and once from the last step to the first.  The fused operator of the prediction stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, collective, gradient
from onnxplain.backward.subgraph import inner_gradients, total
from onnxplain.backward.view import NodeView
from onnxplain.graph.recurrent import RECURRENT, write_recurrent


def recurrent(
    op: Emitter, node: NodeView, needed: Sequence[ir.Value], /, *gradients: Any
) -> Mapping[ir.Value, ir.Value]:
    """Write the node out with stand-ins for the inputs that vary, and walk back through that."""
    stand_ins = [op.Identity(v) if v is not None and v in needed else v for v in node.inputs]
    outputs = write_recurrent(op, node.source, stand_ins)
    varied = [k for k, v in enumerate(node.inputs) if v is not None and v in needed]
    asked = [s for k, s in enumerate(stand_ins) if k in varied and s is not None]
    found = inner_gradients(op, zip(outputs, gradients, strict=False), asked)
    parts: dict[ir.Value, list[ir.Value]] = {}
    for k, part in zip(varied, found, strict=True):
        value = node.input(k)
        parts.setdefault(value, []).append(part)
    return {v: total(op, p) for v, p in parts.items()}


for _name in RECURRENT:
    collective(_name, Category.RECURRENT)(recurrent)


@gradient("ReverseSequence", Category.STRUCTURAL)
def reverse_sequence(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Reverse again."""
    axes = {"batch_axis": node.int("batch_axis", 1), "time_axis": node.int("time_axis", 0)}
    return lambda: op.ReverseSequence(g, node.input(1), **axes), None
