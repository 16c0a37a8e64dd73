"""Einsum: the gradient of an einsum is an einsum, with the operand and the output in each other's places."""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Entry, linear
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.einsum import spelled_out


@linear("Einsum", wrt=range(16))
def einsum(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Contract g with the other operands; a repeated letter is a diagonal, a lonely one is stretched."""
    count = len(node.inputs)
    terms, out, dots = spelled_out(node.str("equation", ""), [node.rank(k) for k in range(count)])

    def entry(k: int) -> Any:
        x, term = node.input(k), terms[k]
        parts = [(out, g), *((terms[j], node.input(j)) for j in range(count) if j != k)]
        letters = ""
        for position, c in enumerate(term):
            if c in letters:
                fresh = next(f for f in string.ascii_letters if f not in "".join([*terms, out, letters]))
                parts.append((c + fresh, _eye(op, x, position)))
                letters += fresh
            else:
                letters += c
        have = set("".join(t for t, _ in parts))
        kept = "".join(c for c in letters if c in have)
        equation = ",".join(t for t, _ in parts) + "->" + kept
        part = op.Einsum(*(v for _, v in parts), equation=equation)
        lost = [i for i, c in enumerate(letters) if c not in have]
        if lost:
            part = op.Unsqueeze(part, lost)
        mine = facts.dims(x)
        assert mine is not None
        if dots:  # an ellipsis broadcasts: the axes that did are summed
            wide = [None if c in dots else d for c, d in zip(letters, mine, strict=True)]
            part = op.unbroadcast(part, x, wide)
        return op.annotate(op.Expand(part, op.shape_of(x)), x) if lost else part

    return [functools.partial(entry, k) for k in range(count)]


def _eye(op: Emitter, x: Any, axis: int) -> Any:
    size = op.dim(x, axis)
    square = op.Expand(op.cast_like(op.const([0.0]), x), op.concat([size, size]))
    return op.EyeLike(square)
