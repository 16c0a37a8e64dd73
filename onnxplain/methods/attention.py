"""Attention rollout: how tokens mix from layer to layer of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.backward.asks import Probe
from onnxplain.backward.engine import between
from onnxplain.backward.question import explained_value
from onnxplain.errors import MethodError, NotExplainableError
from onnxplain.features.lifting import over_tokens
from onnxplain.graph import facts
from onnxplain.graph.interface import inputs_of
from onnxplain.graph.patterns.attention_maps import AttentionMap, attention_maps
from onnxplain.methods.base import Method
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["AttentionRollout", "attention_behind", "origins_of"]


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

    def needs(self) -> Probe:
        """Ask for values inside; which, the graph tells."""
        return Probe(gradients=False)

    def attribute(self, problem: Problem) -> Found:
        """Walk back to all attention weights at once, and multiply the layers up."""
        found = attention_maps(_graph(problem))
        by_feature = {name: attention_behind(problem, name, found) for name in problem.features}
        maps = [m for m in found if any(m in behind for behind in by_feature.values())]
        ask = Probe(tuple(m.name for m in maps))
        rolled: dict[str, list[FloatArray]] = {name: [] for name in problem.features}
        blocks = list(problem.driver.blocks(problem.n, ask))  # of all samples, the weights might not fit
        for block in blocks:
            answer = (problem if len(blocks) == 1 else problem.take(block)).ask(ask)
            weights = {m.name: _by_sample(problem, m, answer.probed[m.name]) for m in maps}
            gradients = {m.name: _by_sample(problem, m, answer.values[m.name]) for m in maps}
            for name, behind in by_feature.items():
                names = [m.name for m in behind]
                rolled[name].append(self._roll([weights[k] for k in names], [gradients[k] for k in names]))
        origins = origins_of(problem)
        values: Arrays = {}
        tokens: dict[str, FloatArray] = {}
        for name, x in problem.features.items():
            made = np.concatenate(rolled[name])
            input_name, parts = origins[name]
            tokens[input_name] = made
            values[name] = (over_tokens(made, x.shape, name) / parts).astype(x.dtype)
        return Found(values, extras={"tokens": tokens})

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


def _graph(problem: Problem) -> ir.Graph:
    return problem.driver.programs.source.model.graph


def attention_behind(
    problem: Problem, feature: str, found: Sequence[AttentionMap]
) -> tuple[AttentionMap, ...]:
    """Return the attention through which the score depends on a feature."""
    graph, driver = _graph(problem), problem.driver
    values = {str(v.name): v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    scored = values[explained_value(driver.programs.source, driver.question)]
    nodes = set(between(graph, [scored], [values[feature]])[0])
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


def _by_sample(problem: Problem, found: AttentionMap, made: Array) -> Array:
    """Bring attention weights, or their gradient, (n, ...), into the form (n, heads, L, L)."""
    layout = problem.driver.layout
    if layout.inner.get(found.name) is not None and made.shape[-1] == made.shape[-2]:
        return made.reshape(len(made), -1, *made.shape[-2:])
    copies = layout.exact or 1  # each row was run alone, or as all samples of a fixed batch
    return np.concatenate([found.by_sample(one, copies)[:1] for one in made])


def origins_of(problem: Problem) -> dict[str, tuple[str, int]]:
    """Name the input that each feature comes from, and say how many features add up to that input."""
    origins = {name: (name, 1) for name in problem.features}
    for info in inputs_of(_graph(problem)):
        origins |= {entry: (info.name, len(info.entries)) for entry in info.entries if entry in origins}
    return origins
