"""What a graph goes through before rules are given to its nodes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.graph import passes

__all__ = ["PREPARATIONS", "prepare"]


class _Relevance(ir.passes.InPlacePass):
    """Make each layer and its normalisation one linear map; what is left becomes a product and a sum."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = bool(passes.FoldBatchNorm(shared=True)(model).modified)
        modified |= bool(passes.SplitBatchNorm()(model).modified)
        return ir.passes.PassResult(model, modified)


#: By name: the operators that the step is about, and the step.
PREPARATIONS: dict[str, tuple[frozenset[str], type[ir.passes.InPlacePass]]] = {
    "relevance": (frozenset({"BatchNormalization"}), _Relevance),
}


def prepare(model: ir.Model, steps: Sequence[str], *, in_place: bool = False) -> ir.Model:
    """Return a model after the named steps.

    Parameters
    ----------
    model
        A model in normal form.
    steps
        Names of :data:`PREPARATIONS`.
    in_place
        Whether the model may be changed; otherwise a copy is, where there is something to change.

    Raises
    ------
    MethodError
        If a step is unknown.
    """
    unknown = [s for s in steps if s not in PREPARATIONS]
    if unknown:
        raise MethodError(
            f"there is no preparation '{unknown[0]}'; a composite may name {', '.join(PREPARATIONS)}"
        )
    for step in steps:
        operators, made = PREPARATIONS[step]
        if any(n.op_type in operators and n.domain in ("", "ai.onnx") for n in model.graph.all_nodes()):
            model = model if in_place else model.clone()
            in_place = True
            made()(model)
    return model
