"""Attention and its companions."""

from __future__ import annotations

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes

__all__: list[str] = []


@rule("Attention")
def attention(node: Node) -> Result:
    """Let queries, keys and values of each sample meet; a mask for each, or one for all."""
    tensors = [k for k in (0, 1, 2, 4, 5, 6) if node.has(k)]
    at = node.aligned(*tensors)
    if node.has(3) and node.input(3).at is not None:
        mask = node.input(3)
        rank = 4
        if mask.rank != rank or node.at(3) != at:
            raise Mixes("the samples of its mask lie elsewhere than those of its queries")
    elif node.has(3):
        mask, n = node.input(3), 4
        if mask.rank == n and not node.fits(mask, -n, at):
            raise Mixes("its mask has entries of its own for each sample")
    return [at] * len(node.source.outputs)


@rule("RotaryEmbedding")
def rotary(node: Node) -> Result:
    """Turn each sample by its positions."""
    at = node.at(0) if node.x.at is not None else None
    if at is None or at.axis:
        raise Mixes("the samples do not lie along its first axis")
    if node.has(3):
        node.shared(1, 2)
        return node.aligned(0, 3)
    placed = [k for k in (1, 2) if node.input(k).at is not None]
    caches = [node.input(k) for k in (1, 2)]
    if placed or any(c.rank > 2 and not node.fits(c, -c.rank, at) for c in caches):
        return node.aligned(0, 1, 2)
    return at


@rule("LinearAttention")
def linear_attention(node: Node) -> Result:
    """Let queries, keys, values, states and decays of each sample meet."""
    at: At = node.aligned(*range(len(node.inputs)))
    return [at] * len(node.source.outputs)
