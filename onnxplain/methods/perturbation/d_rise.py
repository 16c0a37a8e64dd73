"""D-RISE: how like the explained detection one is that is found under random masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from onnxplain._types import FloatArray
from onnxplain.backward.asks import Scores
from onnxplain.errors import MethodError
from onnxplain.features.boxes import Boxes, Reader, shares
from onnxplain.methods.base import Method
from onnxplain.options import Count, Seed
from onnxplain.runtime.plans.masks import Expected, Masks
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["DRISE"]

_Share = Annotated[float, Field(ge=1e-6, le=0.999999, description="a number above 0 and below 1")]


@dataclass(frozen=True)
class DRISE(Method):
    """D-RISE (Petsiuk et al. 2021): where a detector must see for a detection to be found again.

    RISE, with the score of a mask the likeness of the explained detection t and the likest one found there:
    ``S = max_j IoU(L_t, L_j) cos(P_t, P_j) O_j``, L boxes, P the scores of all classes, O the objectness (1
    where the detector has none).  The target is a :class:`~onnxplain.Detection`; t is the box with the
    highest score of its class among those that overlap its box.  So a detection that moves, or
    changes its class, is another one; the sum of scores in a region (``rise`` of the same target) does not
    tell these apart.

    Parameters
    ----------
    n_masks, p_keep, grid_size, contrast, axes, seed
        As :class:`~onnxplain.RISE` takes them; the paper has 5,000 masks of 16 by 16 cells.

    Notes
    -----
    The standard error of each value is in ``extras["standard_error"]``, by input; ``extras["detection"]``,
    (n, 4), is the box that was explained, as corners.  Scores of classes are read as they come: export the
    model with its sigmoid or softmax.

    Raises
    ------
    MethodError
        If the target is no detection.
    """

    name: ClassVar[str] = "d_rise"
    cost: ClassVar[str] = "n_masks forwards, and 1"
    takes_baselines: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    no_file: ClassVar[str] = "first looks for the detection that is explained"
    n_masks: Count = 5000
    p_keep: _Share = 0.5
    grid_size: Count = 16
    contrast: bool = True
    axes: tuple[int, ...] | None = None
    seed: Seed = 0

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    def attribute(self, problem: Problem) -> Found:
        """Look for the detection under masks."""
        reader = problem.reader
        if reader is None:
            raise MethodError(
                "d_rise explains a detection: give the target as ox.Detection((x1, y1, x2, y2), class_); use "
                "rise (or integrated_gradients) for other scores"
            )
        problem = problem.resolved()
        here = reader.read(problem.probe(reader.names, gradients=False).probed)
        wanted = Explained.of(here, reader, problem)
        masks = Masks(self.n_masks, self.grid_size, self.p_keep, self.axes, self.seed)
        plan = Plan(masks, Likeness(reader, wanted), Expected(masks, self.contrast), "D-RISE")
        found = run(plan, problem)
        return Found(found.values, errors=found.errors, extras={**found.extras, "detection": wanted.corners})


@dataclass(frozen=True, eq=False)
class Explained:
    """The explained detections: by sample of the call, boxes (N, 4) and the scores of all classes (N, C)."""

    corners: FloatArray
    scores: FloatArray

    @classmethod
    def of(cls, here: Boxes, reader: Reader, problem: Problem) -> Explained:
        """Take, for each sample, the surest box of the class among those that overlap the wanted one."""
        rows = np.arange(problem.n)
        class_ = reader.class_[problem.rows]
        overlap = shares(here.corners, reader.wanted[problem.rows][:, None])
        near = overlap >= reader.iou
        score = here.scores[rows, :, class_] * here.objectness
        best = np.where(near, score, -np.inf).argmax(1)
        return cls(here.corners[rows, best], here.scores[rows, best])


@dataclass(frozen=True, eq=False)
class Likeness:
    """The likeness of the explained detection and the likest one at each row, as its score."""

    reader: Reader
    wanted: Explained

    def attribute(self, problem: Problem) -> Found:
        """Return ``extras["score"]``, (n,)."""
        found = self.reader.read(problem.probe(self.reader.names, gradients=False).probed)
        boxes, scores = self.wanted.corners[problem.rows], self.wanted.scores[problem.rows]
        common = np.einsum("nbc,nc->nb", found.scores, scores)
        sizes = np.linalg.norm(found.scores, axis=-1) * np.linalg.norm(scores, axis=-1)[:, None]
        alike = np.divide(common, sizes, out=np.zeros_like(common), where=sizes > 0)
        return Found(
            {}, extras={"score": (shares(found.corners, boxes[:, None]) * alike * found.objectness).max(1)}
        )
