"""Write sums over the copies of broadcasting as ``ai.onnxplain::SumCopies``.

Cases: sums that a walk back wrote where only running can tell which axes were broadcast: some ten nodes that
compute a shape, a ``Reshape`` and a ``ReduceSum`` (:meth:`~onnxplain.backward.emitter.Emitter.unbroadcast`).
The operator is told the lengths that the axes had before, and sums where they are 1 and those of the gradient
are not; where nothing was broadcast, as it mostly turns out, it copies.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import made_by, number, put, roots, written

__all__ = ["FuseSums"]


class FuseSums(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in roots(model):
            found = _match(node)
            if found is not None:
                put(model, node, "SumCopies", found, {})
                modified = True
        return ir.passes.PassResult(model, modified)


def _match(root: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """Return what is summed and the lengths of its first axes before they were broadcast."""
    if written(root.outputs[0], "ReduceSum") is None or len(root.inputs) != 2:
        return None
    split, axes = written(root.inputs[0], "Reshape"), facts.constant(root.inputs[1])
    if (
        split is None
        or axes is None
        or facts.attr(root, "keepdims", 1)
        or not facts.attr(split, "allowzero", 0)
    ):
        return None
    g, shape = split.inputs
    joined = made_by(shape, "Concat")
    parts = [shape] if joined is None else list(joined.inputs)
    own, cut = _own(_flattened(parts[0]), g)
    if g is None or own is None or axes.ravel().tolist() != list(range(1, 2 * _length(own), 2)):
        return None
    kept = [_cut(part, g) for part in parts[1:]]  # behind the pairs: the last axes' lengths
    return (g, own) if kept == ([] if cut is None else [(cut, None)]) else None


def _flattened(shape: ir.Value | None) -> ir.Value | None:
    """Return what was made flat."""
    node = made_by(shape, "Reshape")
    return node.inputs[0] if node is not None and number(node.inputs[1]) == -1 else None


def _own(pairs: ir.Value | None, g: ir.Value | None) -> tuple[ir.Value | None, object]:
    """Return the own lengths of pairs (own length, length of copies), and where these axes of g end."""
    both = made_by(pairs, "Concat")
    columns = [made_by(v, "Unsqueeze") for v in both.inputs] if both is not None else []
    if len(columns) != 2 or any(c is None or number(c.inputs[1]) != 1 for c in columns):
        return None, None
    own, copies = (c.inputs[0] for c in columns if c is not None)
    chosen = made_by(copies, "Where")
    test = None if chosen is None else made_by(chosen.inputs[0], "Equal")
    if chosen is None or test is None or test.inputs[0] is not own or number(test.inputs[1]) != 1:
        return None, None
    cut = _cut(chosen.inputs[1], g)
    if cut is None or cut[0] != 0 or number(chosen.inputs[2]) != 1:
        return None, None
    return own, cut[1]


def _cut(value: ir.Value | None, of: ir.Value | None) -> tuple[object, object] | None:
    """Return between which axes a shape is that of a value."""
    node = made_by(value, "Shape")
    if node is None or node.inputs[0] is not of:
        return None
    return facts.attr(node, "start", 0), facts.attr(node, "end")


def _length(shape: ir.Value) -> int:
    """Return how many axes a shape has; 0 where that is not known."""
    node = made_by(shape, "Shape")
    rank = None if node is None or node.inputs[0] is None else facts.rank(node.inputs[0])
    if node is None or rank is None:
        return 0
    start, end = facts.attr(node, "start", 0), facts.attr(node, "end", rank)
    assert isinstance(start, int)
    assert isinstance(end, int)
    return len(range(rank)[start:end])
