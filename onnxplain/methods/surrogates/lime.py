"""LIME: a linear model, fitted to the scores near a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxplain.backward.asks import Scores
from onnxplain.errors import DataInputError, MethodError
from onnxplain.methods.base import Method
from onnxplain.options import Count, Positive, Seed, Weight
from onnxplain.runtime.plans.coalitions import Coalitions, Draw
from onnxplain.runtime.plans.drawn_rows import DrawnRows, columns_of
from onnxplain.runtime.plans.links import Link
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.plans.surrogate import Cosine, Halves, Regression, Surrogate, Uniform, refuse_many
from onnxplain.runtime.plans.table_fit import TableFit
from onnxplain.runtime.problem import Problem

__all__ = ["Lime"]

_WIDTH = 0.25


@dataclass(frozen=True)
class Lime(Method):
    """LIME (Ribeiro et al. 2016): the slopes of a linear model that behaves like the model near the sample.

    ``A = argmin over slopes w and an intercept c of sum_k pi(z_k) (S(x_k) - w z_k - c)^2 + alpha |w|^2``.
    The variables z say who is there, for images (players are segments), texts (tokens or words) and any
    input: ``x_k`` is the sample without those who left, and near means that few have.  For tables they may
    say what columns are instead: whether a number lies in the same bin as the sample's own.

    Parameters
    ----------
    n_samples
        Points beside the sample itself, which counts too.
    perturbation
        ``"half"``: each player stays with probability 1/2 (as usual for images); ``"uniform"``: first how
        many leave is drawn, then who (as usual for texts).  For tables, with rows of a background as
        baselines: every column is drawn from the background's own, apart from the others, and the variables
        are ``"quartile"`` or ``"decile"``: whether a number lies in the sample's own bin (texts: whether they
        are equal); ``"gaussian"``: numbers in standard deviations (floats are drawn from a normal
        distribution).
    kernel_width
        ``pi(z) = exp(-d^2 / (2 kernel_width^2))``.  For players d is the cosine distance from all being
        there, ``1 - sqrt(part who stay)``, and the width 0.25; for tables the Euclidean distance of the
        variables, and the width ``0.75 sqrt(P)``.
    regression
        ``"ridge"`` or ``"lasso"``, both scikit-learn's.
    alpha
        Its penalty; 0 makes least squares.
    num_features
        Only so many players get a number: those of the largest slopes, fitted anew.  None: all.
    link
        S is the score (``"identity"``), or its log-odds (``"logit"``, for probabilities).
    seed
        Same seed, same bits.

    Notes
    -----
    The result's extras hold ``"intercept"`` and ``"r2"`` (n,): how much of the scores' variance the linear
    model explains; ``"standard_error"`` of a ridge; and, for bins, ``"above"`` and ``"at_most"``, their
    bounds.

    As in the authors' package; but bins are drawn from the background's values themselves (there from a
    truncated normal distribution in each bin), the largest slopes choose features (there, of few features,
    forward selection), and the mean colour of a segment is no baseline: that of the image is
    (``baselines="mean"``).  Captum's Lime weighs coalitions in the same way with the width 1.

    Raises
    ------
    MethodError
        If a parameter makes no sense, or there are too many players for a fit.
    DataInputError
        If a table's way is chosen without a background, or with players.
    """

    name: ClassVar[str] = "lime"
    cost: ClassVar[str] = "n_samples forwards, and 2"
    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    n_samples: Count = 1000
    perturbation: Literal["half", "uniform", "quartile", "decile", "gaussian"] = "half"
    kernel_width: Positive | None = None
    regression: Regression = "ridge"
    alpha: Weight = 1.0
    num_features: Count | None = None
    link: Link = "identity"
    seed: Seed = 0

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan(self) -> Plan | None:
        """Ask coalitions; None for tables, whose points are drawn from what is given."""
        if self.perturbation not in ("half", "uniform"):
            return None
        kind = Halves if self.perturbation == "half" else Uniform
        draw: Draw = kind(self.n_samples, self.seed)
        weigh = Cosine(self.kernel_width or _WIDTH)
        fit = Surrogate(draw, weigh, self.regression, self.alpha, self.num_features, self.link)
        return Plan(Coalitions(draw), Scores(), fit, "lime")

    def attribute(self, problem: Problem) -> Found:
        """Explain all rows.

        Raises
        ------
        DataInputError
            If a table's way lacks a background, or there are players that are not its elements.
        """
        cut = self.perturbation
        if cut == "half" or cut == "uniform":
            refuse_many(self.n_samples, problem.players.count)
            return super().attribute(problem)
        if problem.grouping is not None or not problem.background:
            raise DataInputError(
                f"lime with perturbation '{cut}' draws columns from a background: give its rows "
                "as baselines=, and no feature_mask=; or choose perturbation 'half'"
            )
        columns = tuple(columns_of(problem.features, problem.background))
        if min(len(c.rows) for c in columns) < 2:
            raise MethodError(
                f"lime with perturbation '{cut}' needs a background of 2 rows at least; give "
                "more as baselines="
            )
        refuse_many(self.n_samples, len(columns))
        noisy = cut == "gaussian"
        points, drawn = DrawnRows.drawn(list(columns), problem.features, self.n_samples, self.seed, noisy)
        fit = TableFit(
            columns, tuple(drawn), cut, self.kernel_width, self.regression, self.alpha,
            self.num_features, self.link,
        )  # fmt: skip
        return run(Plan(points, Scores(), fit, "lime"), problem)
