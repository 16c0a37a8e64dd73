"""Deletion and insertion (Petsiuk et al. 2018), and the symmetric relevance gain (Blücher et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import area, gone_after, nobody, ranks, there_after, way
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["SRG", "Deletion", "Insertion"]


@dataclass(frozen=True)
class Deletion(Metric):
    """The area under the score while features are taken away, the most important first (Petsiuk et al. 2018).

    With ``x_k`` the sample whose first k of K features, by attribution, are at their baselines (0 if none are
    given)::

        deletion = integral over k / K from 0 to 1 of S(x_k),

    by the trapezoidal rule.  A faithful explanation makes the score fall early.  Features are the pixels of
    an image, channels together, or else elements, if no ``feature_mask`` is given.

    Petsiuk et al. measure the class's probability: of a classifier that ends in Softmax ask for it with
    ``through_softmax=True``; otherwise areas are in units of the score before it, of which there is no
    greatest.

    Parameters
    ----------
    n_steps
        Into how many steps the way is cut at most; each takes ``ceil(K / n_steps)`` features away at once.
        Of 224 by 224 pixels these are 224, a row's worth, as Petsiuk et al. have it.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "deletion"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    usual_mask: ClassVar[str | None] = "pixels"

    n_steps: Count = 224

    def measure(self, trial: Trial) -> Measured:
        """Take features away in order."""
        counts, at = way(trial, n_steps=self.n_steps)
        scores = gone_after(trial, ranks(trial), counts)
        return self.result(area(at, scores), curves={"deletion": Curve(at, scores)}, notes=nobody(trial))


@dataclass(frozen=True)
class Insertion(Metric):
    """The area under the score while features are put back, the most important first (Petsiuk et al. 2018).

    With ``b_k`` the baselines to which the first k of K features, by attribution, have been brought back::

        insertion = integral over k / K from 0 to 1 of S(b_k),

    by the trapezoidal rule.  A faithful explanation makes the score rise early.  Images begin blurred
    (``"blur"``; Petsiuk et al. blur less, ``baselines=ox.Blur(5)``), all else at 0, if no baselines are
    given.

    As for :class:`Deletion`, features are the pixels of an image if no ``feature_mask`` is given, and the
    paper's score is a probability (``through_softmax=True``).

    Parameters
    ----------
    n_steps
        Into how many steps the way is cut at most; each brings ``ceil(K / n_steps)`` features back at once.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "insertion"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    usual_baseline: ClassVar[str | None] = "blur"
    usual_mask: ClassVar[str | None] = "pixels"

    n_steps: Count = 224

    def measure(self, trial: Trial) -> Measured:
        """Put features back in order."""
        counts, at = way(trial, n_steps=self.n_steps)
        scores = there_after(trial, ranks(trial), counts)
        return self.result(area(at, scores), curves={"insertion": Curve(at, scores)}, notes=nobody(trial))


@dataclass(frozen=True)
class SRG(Metric):
    """The symmetric relevance gain: how far apart two orders of flipping lie (Blücher et al. 2024).

    Features are taken away twice: the most important first (MIF), and the least important first (LIF)::

        SRG = area(LIF) - area(MIF),

    each area under the score over the share of the features that is gone, by the trapezoidal rule: the area
    between the two curves.  It is 0 for an order that says nothing, and what does not hang on the order (how
    odd the model finds samples with holes) drops out of the difference to first order, which makes it agree
    between ways to take away more than :class:`Deletion` does.

    As for :class:`Deletion`, features are the pixels of an image if no ``feature_mask`` is given.

    Parameters
    ----------
    n_steps
        Into how many steps each way is cut at most; each takes ``ceil(K / n_steps)`` of K features away.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "srg"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    usual_mask: ClassVar[str | None] = "pixels"

    n_steps: Count = 224

    def measure(self, trial: Trial) -> Measured:
        """Take features away in both orders."""
        counts, at = way(trial, n_steps=self.n_steps)
        mif = gone_after(trial, ranks(trial), counts)
        lif = gone_after(trial, ranks(trial, descending=False), counts)
        areas = {"lif": area(at, lif), "mif": area(at, mif)}
        curves = {"lif": Curve(at, lif), "mif": Curve(at, mif)}
        return self.result(areas["lif"] - areas["mif"], curves=curves, extras=areas, notes=nobody(trial))
