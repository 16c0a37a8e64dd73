"""What a loop's body holds: a graph that answers at points, be it a model's or a loop of its own."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward.program import Program

__all__ = ["Body", "of_program"]


@dataclass(frozen=True)
class Body:
    """A graph that answers at points; names are those of its inputs and outputs.

    Attributes
    ----------
    model
        Its inputs are the features, the other inputs of the model, then the target.
    target
        Input: the target.
    score
        Output, (N,).
    attributions
        Outputs, one for each feature that is explained; empty where only scores are asked for.
    references
        Inputs for what each feature is compared with; empty where that is a constant inside.
    index
        Output: the target's index, where that is predicted.
    reference_score
        Output, (N,): the score at the reference, from which the attributions' sum is to be told.
    delta
        Output, (N,): how far the attributions' sum is from what it must be; None where nothing is promised,
        or the reference's score tells it.
    errors
        Outputs: the standard error of each attribution; empty where none are known.
    probed
        Outputs: values inside, at which the attributions are the gradients; empty where none are asked for.
    """

    model: ir.Model
    target: str
    score: str
    attributions: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    index: str | None = None
    reference_score: str | None = None
    delta: str | None = None
    errors: tuple[str, ...] = ()
    probed: tuple[str, ...] = ()

    @property
    def promised(self) -> bool:
        """Whether it is known what the attributions must sum to."""
        return self.delta is not None or self.reference_score is not None


def of_program(program: Program) -> Body:
    """Return the body that asks a model once."""
    return Body(
        program.model, program.target, program.score, program.attributions, program.references,
        program.index, program.reference_score, probed=program.probed,
    )  # fmt: skip
