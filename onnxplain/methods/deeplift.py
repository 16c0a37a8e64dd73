"""DeepLIFT, with one reference per sample or many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from onnxplain._types import Arrays, FloatArray
from onnxplain.backward.composite import Composite
from onnxplain.backward.presets import preset
from onnxplain.backward.program import Combine, Question
from onnxplain.methods.base import Found, Method, OnePass
from onnxplain.methods.problem import Problem
from onnxplain.options import Weight

__all__ = ["DeepLift", "DeepLiftShap"]


def _composite(rule: str, eps: float | None) -> Composite:
    """Return the composite of a rule."""
    return preset(f"deep_lift_{rule}", eps=eps)


@dataclass(frozen=True)
class DeepLift(OnePass):
    """DeepLIFT (Shrikumar et al. 2017): what the difference from a reference input does to the score.

    Multipliers ``m = (change of the score) / (x - b)`` are walked back like gradients, in one pass that also
    computes the activations at the baseline b; ``A = m (x - b)``.  The attributions sum to ``S(x) - S(b)``,
    exactly but for rounding; the result's ``delta`` states by how much they do not.  Steps, comparisons and
    choices by a condition take part; what cannot be followed (an index, a loop's number of iterations) is
    refused by name.

    Parameters
    ----------
    rule
        ``"rescale"`` (default): at a nonlinearity ``m_x = m_y (y - y0) / (x - x0)``.  ``"reveal_cancel"``:
        one multiplier each for what raises a nonlinearity's input and for what lowers it, so that effects
        that cancel are seen.
    eps
        Where ``|x - x0| <= eps (1 + |x|)`` and ``|y - y0| <= eps (|y| + |y0|)``, the gradient stands in for
        the quotient.  None (default): the square root of the precision, 3e-4 in float32.

    Raises
    ------
    MethodError
        If the rule is unknown, or eps negative.
    """

    name: ClassVar[str] = "deep_lift"
    takes_baselines: ClassVar[bool] = True
    rule: Literal["rescale", "reveal_cancel"] = "rescale"
    eps: Weight | None = None

    def rules(self) -> Composite:
        """Return the rule's composite."""
        return _composite(self.rule, self.eps)

    def combination(self) -> Combine:
        """Multiply by the difference from the reference."""
        return "times_difference"

    def attribute(self, problem: Problem) -> Found:
        """Walk back once; the same run computes the score at the baselines."""
        walk = problem.walk(self.rules(), self.combination())
        assert walk.reference_score is not None
        return Found(walk.values, walk.score, walk.score - walk.reference_score, predictions=walk.predictions)


@dataclass(frozen=True)
class DeepLiftShap(Method):
    """DeepSHAP (Lundberg and Lee 2017): DeepLIFT averaged over many references.

    Every sample is explained against every reference of ``baselines``, an array (M, ...) (a dict of such by
    input name where several inputs are explained).  The attributions sum to ``S(x) - mean S(b)``, and are the
    Shapley values where the model is linear.

    Parameters
    ----------
    rule, eps
        As :class:`DeepLift` takes them.
    per_reference
        Keep the attributions against each reference, (n, M, ...), in the result's
        ``extras["per_reference"]``, by input.

    Raises
    ------
    MethodError
        If the rule is unknown, or eps negative.
    """

    name: ClassVar[str] = "deep_lift_shap"
    takes_baselines: ClassVar[bool] = True
    takes_distribution: ClassVar[bool] = True
    rule: Literal["rescale", "reveal_cancel"] = "rescale"
    eps: Weight | None = None
    per_reference: bool = False

    def rules(self) -> Composite:
        """Return the rule's composite."""
        return _composite(self.rule, self.eps)

    def combination(self) -> Combine:
        """Multiply by the difference from the reference."""
        return "times_difference"

    def question(self, question: Question) -> Question:
        """Ask for multipliers times differences."""
        return replace(question, composite=self.rules(), combine=self.combination())

    def attribute(self, problem: Problem) -> Found:
        """Explain all pairs of sample and reference, a block at a time."""
        n, m = problem.n, len(next(iter(problem.distribution.values()), (None,)))
        totals: Arrays = {k: np.zeros(v.shape, np.float64) for k, v in problem.features.items()}
        each: Arrays = {
            k: np.empty((n, m, *v.shape[1:]), v.dtype)
            for k, v in problem.features.items()
            if self.per_reference
        }
        scores: FloatArray = np.zeros(n, np.float64)
        dtype: Any = scores.dtype
        reference: FloatArray = np.zeros(n, np.float64)
        blocks = [slice(s, min(s + problem.batch_size, n * m)) for s in range(0, n * m, problem.batch_size)]
        for block in problem.bar(blocks, len(blocks), "deep lift shap"):
            sample, which = np.divmod(np.arange(block.start, block.stop), m)
            part = problem.take(sample)
            if problem.distribution:
                part = replace(part, baselines={k: v[which] for k, v in problem.distribution.items()})
            walk = part.walk(self.rules(), self.combination())
            assert walk.reference_score is not None
            dtype = walk.score.dtype
            scores[sample] = walk.score
            np.add.at(reference, sample, walk.reference_score)
            for k, part_values in walk.values.items():
                np.add.at(totals[k], sample, part_values)
                if self.per_reference:
                    each[k][sample, which] = part_values
        values: Arrays = {k: (totals[k] / m).astype(v.dtype) for k, v in problem.features.items()}
        score = scores.astype(dtype)
        extras = {"per_reference": each} if self.per_reference else {}
        return Found(values, score, (scores - reference / m).astype(dtype), extras)
