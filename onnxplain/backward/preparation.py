"""What a graph goes through before rules are given to its nodes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.graph.passes.normal import FoldBatchNorm, FoldPad
from onnxplain.graph.passes.prepare import (
    STEPS,
    WITH_BIAS,
    WRITTEN_OUT,
    DecomposeRecurrent,
    FoldAffine,
    MarkSteps,
    SplitBatchNorm,
    SplitBias,
    WriteOutNorms,
    WriteOutSums,
)
from onnxplain.graph.recurrent import RECURRENT

__all__ = ["PREPARATIONS", "prepare"]


class _Step(ir.passes.InPlacePass):
    """A step that knows the names of the values that are asked for."""

    def __init__(self, keep: frozenset[str]) -> None:
        super().__init__()
        self.keep = keep


class _Relevance(_Step):
    """Make each layer and its normalisation one linear map; what is left becomes a product and a sum."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = bool(SplitBias(self.keep)(model).modified)
        modified |= bool(FoldPad(behind_movers=True)(model).modified)
        modified |= bool(FoldAffine()(model).modified)
        modified |= bool(FoldBatchNorm(shared=True)(model).modified)
        modified |= bool(SplitBatchNorm()(model).modified)
        modified |= bool(WriteOutSums()(model).modified)
        return ir.passes.PassResult(model, modified)


class _Differences(_Step):
    """Write out what has no form of its own under rules that compare with a reference; mark what jumps."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = bool(DecomposeRecurrent()(model).modified)
        modified |= bool(WriteOutNorms()(model).modified)
        modified |= bool(MarkSteps()(model).modified)
        return ir.passes.PassResult(model, modified)


#: By name: the operators that the step is about, and the step.
PREPARATIONS: dict[str, tuple[frozenset[str], type[_Step]]] = {
    "relevance": (
        frozenset({*FoldAffine.operators, *WITH_BIAS, *WriteOutSums.operators, "Pad"}),
        _Relevance,
    ),
    "differences": (frozenset({*WRITTEN_OUT, *RECURRENT, *STEPS, "ReduceMax", "ReduceMin"}), _Differences),
}


def prepare(
    model: ir.Model, steps: Sequence[str], keep: Sequence[str] = (), *, in_place: bool = False
) -> ir.Model:
    """Return a model after the named steps.

    Parameters
    ----------
    model
        A model in normal form.
    steps
        Names of :data:`PREPARATIONS`.
    keep
        Names of inner values that must stay what they are.
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
            _run(made(frozenset(keep)), model)
    return model


def _run(step: _Step, model: ir.Model) -> None:
    """Run a step; what must stay counts as an output meanwhile, which no step removes."""
    outputs = model.graph.outputs
    count = len(outputs)
    kept = [
        v for node in model.graph for v in node.outputs if v.name in step.keep and not v.is_graph_output()
    ]
    outputs.extend(kept)
    step(model)
    for _ in range(len(outputs) - count):
        outputs.pop()
