"""RISE: scores under random masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from onnxplain.backward.asks import Scores
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed
from onnxplain.runtime.plans.masks import Expected, Masks
from onnxplain.runtime.plans.plan import Plan

__all__ = ["RISE"]

_Share = Annotated[float, Field(ge=1e-6, le=0.999999, description="a number above 0 and below 1")]


@dataclass(frozen=True)
class RISE(Method):
    """RISE (Petsiuk et al. 2018): the score that is expected where an element is kept.

    ``A_i = E[S m_i] / p - E[S (1 - m_i)] / (1 - p)``, with S the score at ``m x + (1 - m) b`` and p the
    probability to be kept: what is gained where i is kept.  The paper's map is the first term alone
    (``contrast=False``): the same map times ``1 - p``, plus the mean score, which then is what elements get
    that the score does not depend on.  Masks are small grids of random cells, drawn out bilinearly and
    shifted by a part of a cell; the baseline is what is behind them.  They are made block by block and never
    all held.

    Parameters
    ----------
    n_masks
        How many.
    p_keep
        Probability that a cell is kept.
    grid_size
        Cells along each axis of space; an axis that is no longer has a cell for each place.
    contrast
        False: the paper's map, ``sum_k S_k m_ki / (n_masks p_keep)``.
    axes
        Of a sample, counted from 0: which are space, as ``(1, 2)`` of (C, H, W).  None: all but an image's
        channels.
    seed
        Same seed, same bits.

    Notes
    -----
    The standard error of each value is in ``extras["standard_error"]``, by input.  With ``feature_mask``,
    each player is kept or not as a whole, and ``grid_size`` does not matter; so inputs of any type may be
    masked.

    Raises
    ------
    DataInputError
        If an input is not made of floats and no ``feature_mask`` is given, or has no such axes.
    """

    name: ClassVar[str] = "rise"
    cost: ClassVar[str] = "n_masks forwards"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    n_masks: Count = 4000
    p_keep: _Share = 0.5
    grid_size: Count = 7
    contrast: bool = True
    axes: tuple[int, ...] | None = None
    seed: Seed = 0

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def plan(self) -> Plan:
        """Ask under masks."""
        masks = Masks(self.n_masks, self.grid_size, self.p_keep, self.axes, self.seed)
        return Plan(masks, Scores(), Expected(masks, self.contrast), "RISE")
