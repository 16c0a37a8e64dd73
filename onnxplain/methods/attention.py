"""Attention rollout: how tokens mix from layer to layer of a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field

from onnxplain._types import Array, Arrays, FloatArray, Shape
from onnxplain.backward.engine import path
from onnxplain.backward.program import Program, build, explained_value
from onnxplain.errors import MethodError, NotExplainableError
from onnxplain.graph import facts
from onnxplain.graph.interface import inputs_of
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.patterns.attention_maps import AttentionMap, attention_maps, open_between
from onnxplain.methods.base import Found, Method
from onnxplain.methods.problem import Call, Problem
from onnxplain.runtime.session import Executable

__all__ = ["AttentionRollout"]


@dataclass(frozen=True)
class AttentionRollout(Method):
    """Gradient times attention, rolled out (Chefer et al. 2021), or plain rollout (Abnar and Zuidema 2020).

    With the attention weights ``A_l`` (heads, L, L) of layers ``l = 1 ... n``, the score S and F the fusion
    of heads (their mean, say), the explanation of token j is an entry of

    ``R = B_n ... B_1``,  ``B_l = I + F(max(dS/dA_l * A_l, 0))``

    or, without the gradient, of the product of ``B_l = (I + F(A_l)) / 2``, rows divided by their sum: row
    ``token`` of R, or the mean of the rows, without the identity (what a token keeps of itself at every
    layer) in the mean with the gradient: ``mean_i (R - I)_ij``.

    Features get their token's number in equal parts, so that they sum to it: the entries of its embedding,
    the pixels of its patch.  A first token in front of them (a class token) has no feature; its number is in
    the extras alone.  All inputs that the same layers follow get the same numbers.

    Parameters
    ----------
    gradient
        Weigh attention by the score's gradient; False makes an explanation that does not depend on the
        target.
    head_fusion
        F: ``"mean"``, ``"max"`` or ``"min"`` over the heads.
    discard_ratio
        This part of the fused weights of each layer, the smallest, is set to 0 (not that of the first token
        for itself).
    token
        The row to read: 0 for models that classify by a class token in front, -1 for those that go on
        from the last token.  None is the mean of all rows but those of tokens that no token attends to
        (padding), for models that average their tokens.

    Notes
    -----
    The result's ``extras["tokens"]`` holds, by input, one number for each token, (n, L).

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    """

    name: ClassVar[str] = "attention_rollout"
    gradient: bool = True
    head_fusion: Literal["mean", "max", "min"] = "mean"
    discard_ratio: Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")] = 0.0
    token: int | None = None

    def attribute(self, problem: Problem) -> Found:
        """Walk back to all attention weights at once, and multiply the layers up."""
        found = attention_maps(_graph(problem.call))
        by_feature = {name: _behind(problem.call, name, found) for name in problem.features}
        maps = [m for m in found if any(m in behind for behind in by_feature.values())]
        program, executable = _program(problem.call, tuple(m.name for m in maps))
        size = 1 if any(m.stacked for m in maps) else problem.batch_size
        blocks = list(problem.blocks(size))
        scores: list[FloatArray] = []
        tokens: dict[str, list[FloatArray]] = {name: [] for name in problem.features}
        for block in problem.bar(blocks, len(blocks), "attention rollout"):
            weights, gradients, score = _run(problem.take(block), program, executable, maps)
            scores.append(score)
            for name, behind in by_feature.items():
                names = [m.name for m in behind]
                tokens[name].append(self._roll([weights[k] for k in names], [gradients[k] for k in names]))
        made = {name: np.concatenate(parts) for name, parts in tokens.items()}
        origins = _origins(problem)
        values: Arrays = {}
        for name, x in problem.features.items():
            values[name] = (_place(made[name], x.shape, name) / origins[name][1]).astype(x.dtype)
        extras = {"tokens": {origins[name][0]: numbers for name, numbers in made.items()}}
        return Found(values, np.concatenate(scores), None, extras)

    def _roll(self, weights: Sequence[Array], gradients: Sequence[Array]) -> FloatArray:
        """Return each token's number, (n, L), from (n, heads, L, L) by layer."""
        lengths = sorted({w.shape[-1] for w in weights})
        if len(lengths) > 1:
            raise NotExplainableError(
                f"the number of tokens changes from layer to layer ({', '.join(map(str, lengths))}), and "
                "rollout needs the same in all; use integrated_gradients or lrp"
            )
        length, same = lengths[0], np.eye(lengths[0])
        if self.token is not None and not -length <= self.token < length:
            raise MethodError(f"token is {self.token}, but the model has {length} tokens")
        rolled: FloatArray = np.broadcast_to(same, (len(weights[0]), length, length))
        for weight, gradient in zip(weights, gradients, strict=True):
            layer = weight.astype(np.float64)
            if self.gradient:
                layer = np.maximum(layer * gradient, 0)
            mixed = self._discard(self._fuse(layer)) + same
            rolled = (mixed if self.gradient else mixed / mixed.sum(-1, keepdims=True)) @ rolled
        if self.token is not None:
            return rolled[:, self.token]
        attended = np.any([w.any(axis=(1, 2)) for w in weights], axis=0)
        moved = rolled - same if self.gradient else rolled
        return np.asarray(
            np.einsum("nij,ni->nj", moved, attended) / np.maximum(attended.sum(1, keepdims=True), 1)
        )

    def _fuse(self, layer: FloatArray) -> FloatArray:
        """Join the heads: (n, heads, L, L) to (n, L, L)."""
        if self.head_fusion == "mean":
            return np.asarray(layer.mean(1))
        return np.asarray(layer.max(1) if self.head_fusion == "max" else layer.min(1))

    def _discard(self, fused: FloatArray) -> FloatArray:
        """Set the smallest entries of each sample to 0."""
        flat = fused.reshape(len(fused), -1)
        least = int(flat.shape[1] * self.discard_ratio)
        if not least:
            return fused
        kept = flat.copy()
        np.put_along_axis(kept, np.argsort(flat, axis=1, kind="stable")[:, :least], 0.0, axis=1)
        kept[:, 0] = flat[:, 0]
        return np.asarray(kept.reshape(fused.shape))


def _graph(call: Call) -> ir.Graph:
    return call.programs.source.model.graph


def _behind(call: Call, feature: str, found: Sequence[AttentionMap]) -> tuple[AttentionMap, ...]:
    """Return the attention through which the score depends on a feature."""
    graph = _graph(call)
    values = {str(v.name): v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    scored = values[explained_value(call.programs.source, call.question)]
    nodes = set(path(graph, [scored], [values[feature]])[0])
    maps = tuple(m for m in found if m.product in nodes)
    if not maps:
        raise NotExplainableError(
            f"no attention lies between '{feature}' and the score '{scored.name}': there is no Softmax over "
            "the last axis that enters a MatMul (or Einsum) with computed values as its left operand; "
            "explain another input (wrt=...), or use integrated_gradients or lrp"
        )
    for cross in (m for m in maps if m.cross):
        raise NotExplainableError(cross.refusal(facts.dims(cross.value) or ()))
    return maps


def _program(call: Call, maps: tuple[str, ...]) -> tuple[Program, Executable]:
    """Return the compiled walk from the score back to attention weights, which it gives too."""
    source = call.programs.source
    question = replace(call.question, wrt=maps, cut=False)

    def make() -> Program:
        opened = Normalized(open_between(source.model, call.question.wrt, maps), source.notes)
        return build(opened, question, keep=maps)

    return call.programs.made(("attention", call.question.wrt, question), make)


def _run(
    part: Problem, program: Program, executable: Executable, maps: Sequence[AttentionMap]
) -> tuple[Arrays, Arrays, FloatArray]:
    """Return weights and gradients (n, heads, L, L) by map, and the scores, of rows that run at once."""
    call, n = part.call, part.n
    if call.exact_batch is not None and n < call.exact_batch:
        part = part.take(np.minimum(np.arange(call.exact_batch), n - 1))
    names = dict.fromkeys([program.score, *program.attributions, *(m.name for m in maps)])
    made = executable.run(call.feeds(part.features, part.rows, program.target), list(names))
    weights = {m.name: m.by_sample(made[m.name], part.n)[:n] for m in maps}
    gradients = {
        m.name: m.by_sample(made[output], part.n)[:n]
        for m, output in zip(maps, program.attributions, strict=True)
    }
    return weights, gradients, made[program.score][:n]


def _origins(problem: Problem) -> dict[str, tuple[str, int]]:
    """Name the input that each feature comes from, and say how many features add up to that input."""
    origins = {name: (name, 1) for name in problem.features}
    for info in inputs_of(_graph(problem.call)):
        origins |= {entry: (info.name, len(info.entries)) for entry in info.entries if entry in origins}
    return origins


def _place(tokens: FloatArray, shape: Shape, name: str) -> FloatArray:
    """Give each feature its part of its token's number.

    Parameters
    ----------
    tokens
        (n, L).
    shape
        Of the features, (n, ...): an axis of L, or an image of L square patches; maybe one less than L.
    name
        Of the features, for the error.
    """
    n, length = tokens.shape
    for left_out in (0, 1):
        count = length - left_out
        grid = _grid(shape, count)
        if grid is not None:
            return _over_patches(tokens[:, left_out:], shape, grid)
        axis = next((k for k in range(1, len(shape)) if shape[k] == count), None)
        if axis is not None and count:
            wide = tokens[:, left_out:].reshape(n, *(count if k == axis else 1 for k in range(1, len(shape))))
            others = np.prod(shape[1:]) / count
            return np.broadcast_to(wide / others, shape)
    raise NotExplainableError(
        f"'{name}' has shape {shape} and the attention is among {length} tokens: they are neither as many as "
        "one of its axes is long (a class token in front apart), nor square patches of an image; name an "
        "inner value with one row for each token (wrt=...)"
    )


def _grid(shape: Shape, count: int) -> tuple[int, int, int] | None:
    """Return the first axis of an image's height and width, and the side of its square patches."""
    if len(shape) != 4 or not count:
        return None
    first = 1 if shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4) else 2
    height, width = shape[first : first + 2]
    side = math.isqrt(height * width // count)
    if not side or height % side or width % side or (height // side) * (width // side) != count:
        return None
    return first, height // side, side


def _over_patches(tokens: FloatArray, shape: Shape, grid: tuple[int, int, int]) -> FloatArray:
    """Spread each patch's number evenly over its pixels and channels; patches lie row by row."""
    first, rows, side = grid
    picture = tokens.reshape(len(tokens), rows, -1).repeat(side, axis=1).repeat(side, axis=2)
    channels = shape[1] if first == 2 else shape[3]
    return np.broadcast_to(np.expand_dims(picture, 1 if first == 2 else 3) / (side * side * channels), shape)
