"""LSTM, GRU and RNN."""

from __future__ import annotations

from onnxplain.graph.batch.node import Node, same_place
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes

__all__: list[str] = []


@rule("LSTM", "GRU", "RNN")
def recurrent(node: Node) -> Result:
    """Sequences of each sample: axis 1 of the data and of the states, or axis 0 by ``layout``."""
    first = node.integer("layout", 0)
    axis = 0 if first else 1
    node.shared(1, 2, 3, 7, why="is made from the samples, as weights of a recurrent layer")
    places = {0: axis, 4: 0, 5: axis, 6: axis}
    x = node.x
    if x.at is None:
        raise Mixes("its sequence is the same for all samples, and its states are not")
    if x.at.axis != axis:
        raise Mixes(f"it steps along axis {x.at.axis} of {node.name(0)}, along which the samples lie")
    for k, where in places.items():
        if not k or not node.has(k):
            continue
        value = node.input(k)
        if value.at is None:
            if value.shape is None or not node.has_rows(value, where, x.at):
                raise Mixes(f"its input {k} ({node.name(k)}) has no row for each sample")
        elif value.at.axis != where or not same_place(value, x):
            raise Mixes(f"the samples of its input {k} ({node.name(k)}) lie elsewhere")
    whole, last = (At(0), At(0)) if first else (At(2), At(1))
    made = [At(p.axis, x.at.outer, x.at.inner) for p in (whole, last, last)]
    return made[: len(node.source.outputs)]
