"""What a metric finds: a value for each sample, how sure their mean is, and the curves behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from onnxplain._types import Array, FloatArray
from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics.bootstrap import bootstrap
from onnxplain.metrics.picture import Kind, draw_measured
from onnxplain.options import Count, Seed, check_option
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "Level", "Measured"]

#: Confidence of an interval.
Level = Annotated[float, Field(gt=0, lt=1, description="a number between 0 and 1")]

#: Places of a curve that are kept as they are.
_MOST = 501


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity along a way, for each sample.

    Attributes
    ----------
    at
        (K,) or (N, K): where on the way, such as the share of the features that is gone.
    values
        (N, K): the quantity.
    along, what
        What the two are, in words.
    names
        What the places on the way are called, where they have names.
    """

    at: FloatArray
    values: FloatArray
    along: str = "share of the features"
    what: str = "score"
    names: tuple[str, ...] = ()

    def aligned(self) -> tuple[FloatArray, FloatArray]:
        """Return the curves of samples at the same places, (K,) and (M, K).

        Samples whose curve is not finite are left out.  Where samples have other places (or there are more
        than 501), curves are straight lines between these, over the way that all of them have.
        """
        values = np.asarray(self.values, np.float64)
        at = np.broadcast_to(np.asarray(self.at, np.float64), values.shape)
        good = np.isfinite(values).all(1) & np.isfinite(at).all(1)
        at, values = at[good], values[good]
        if not values.size or (values.shape[1] <= _MOST and (at == at[0]).all()):
            return at[0] if len(at) else np.zeros(values.shape[1]), values
        falls = at[:, -1:] < at[:, :1]
        at, values = np.where(falls, at[:, ::-1], at), np.where(falls, values[:, ::-1], values)
        grid = np.linspace(at[:, 0].max(), at[:, -1].min(), 101)
        return grid, np.array([np.interp(grid, a, v) for a, v in zip(at, values, strict=True)])


@dataclass(frozen=True, eq=False)
class Measured:
    """Values of a metric, for N samples.

    Attributes
    ----------
    values
        float64 (N,); NaN where the metric says nothing of a sample (``notes`` say why).
    metric
        The metric, as it was set.
    method
        What was measured: the method as written in Python; empty for ready attributions.
    curves
        By name.
    extras
        What else the metric knows: arrays by name, samples first.
    notes
        What a person may want to know.
    """

    values: FloatArray
    metric: Any
    method: str = ""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    extras: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def higher_is_better(self) -> bool | None:
        """Whether higher values speak for the explanation; None where neither does."""
        told: bool | None = self.metric.higher_is_better
        return told

    @property
    def mean(self) -> float:
        """Mean over the samples of which the metric says something; NaN if there are none."""
        held = self.values[~np.isnan(self.values)]
        return float(held.mean()) if held.size else float("nan")

    def interval(self, level: float = 0.95, *, n_resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Return a confidence interval of the mean: the percentile bootstrap over samples.

        Parameters
        ----------
        level
            Confidence.
        n_resamples
            How often samples are drawn anew, with replacement.
        seed
            Same seed, same interval.

        Raises
        ------
        DataInputError
            If the metric says something of fewer than two samples.
        """
        level = check_option("level", level, Level, MethodError)
        n_resamples = check_option("n_resamples", n_resamples, Count, MethodError)
        seed = check_option("seed", seed, Seed, MethodError)
        held = self.values[~np.isnan(self.values)]
        if held.size < 2:
            of = f"there are {len(self.values)} samples, of which {self.metric.name} says something of"
            raise DataInputError(f"{of} {held.size}; an interval takes two or more")
        low, high = bootstrap(held, level, n_resamples=n_resamples, seed=seed)
        return float(low), float(high)

    def plot(
        self,
        kind: Kind = "auto",
        *,
        curve: str | None = None,
        level: float = 0.95,
        title: str | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """Draw the curves (their mean over samples, and where it lies), or the samples' values.

        Parameters
        ----------
        kind
            ``"curves"``; ``"values"``, a dot for each sample; or ``"auto"``: curves where there are any.
        curve
            Which of the curves; all by default.
        level
            Confidence of bands, which are drawn where there are two samples or more.
        title
            Above the picture; by default the metric, the mean and its interval.
        ax
            Axes to draw on; a new figure otherwise.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MethodError
            If there is no such curve.
        DataInputError
            If the metric says nothing of any sample.
        """
        level = check_option("level", level, Level, MethodError)
        return draw_measured(self, kind, curve, level, title, ax)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def __repr__(self) -> str:
        """Summarise: metric, method, mean and interval."""
        of = f" of {visible_line(self.method)}" if self.method else ""
        try:
            low, high = self.interval()
        except DataInputError:
            return f"Measured({self.metric!r}{of}: {self.mean:.4g})"
        return f"Measured({self.metric!r}{of}: {self.mean:.4g}, 95 % of [{low:.4g}, {high:.4g}])"
