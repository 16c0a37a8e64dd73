"""What a test with concept activation vectors found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ConceptScore", "TCAVResult"]

_NAMES = 2  # columns


@dataclass(frozen=True)
class ConceptScore:
    """One concept at one layer.

    Attributes
    ----------
    layer, concept
        Their names.
    score
        TCAV score: the share of the inputs whose score grows towards the concept, mean over the runs.
    spread
        Standard deviation of that over the runs.
    random
        The same share for vectors between random examples.
    magnitude
        Mean of the sensitivities themselves, over inputs and runs.
    accuracy
        How many held-out examples the vectors tell right; near 1/2 there is no such direction in the layer,
        and the score means nothing.
    p_value
        Of the two-sided test against random, corrected for the number of tests.
    significant
        Whether it is below the level of the test.
    """

    layer: str
    concept: str
    score: float
    spread: float
    random: float
    magnitude: float
    accuracy: float
    p_value: float
    significant: bool


@dataclass(frozen=True, eq=False)
class TCAVResult:
    """What :func:`onnxplain.tcav` found.

    Attributes
    ----------
    rows
        A line for each layer and concept.
    scores, accuracies
        By (layer, concept): TCAV scores and accuracies of all runs, (R,).
    random_scores
        By layer: TCAV scores between random examples, (R,).
    sensitivities
        By (layer, concept): directional derivatives of each input's score, (R, N).
    vectors
        By (layer, concept): the concept activation vectors, (R, d), of length 1.
    alpha
        Level of the test.
    """

    rows: tuple[ConceptScore, ...]
    scores: Mapping[tuple[str, str], FloatArray]
    accuracies: Mapping[tuple[str, str], FloatArray]
    random_scores: Mapping[str, FloatArray]
    sensitivities: Mapping[tuple[str, str], FloatArray]
    vectors: Mapping[tuple[str, str], FloatArray]
    alpha: float

    def row(self, concept: str, layer: str | None = None) -> ConceptScore:
        """Return the line of a concept, at the first layer or the one named.

        Raises
        ------
        KeyError
            If there is none.
        """
        for row in self.rows:
            if row.concept == concept and layer in (None, row.layer):
                return row
        raise KeyError(f"there is no concept '{concept}'{'' if layer is None else f' at {layer}'}")

    @property
    def p_values(self) -> dict[tuple[str, str], float]:
        """Corrected p-values by (layer, concept)."""
        return {(r.layer, r.concept): r.p_value for r in self.rows}

    def table(self) -> str:
        """Return all lines as text, a star behind what differs from random."""
        head = ("layer", "concept", "TCAV", "+-", "random", "magnitude", "accuracy", "p", "")
        lines = [head] + [
            (
                visible_line(r.layer), visible_line(r.concept), f"{r.score:.2f}", f"{r.spread:.2f}",
                f"{r.random:.2f}", f"{r.magnitude:.2f}", f"{r.accuracy:.2f}", f"{r.p_value:.2g}",
                "*" if r.significant else "",
            )
            for r in self.rows
        ]  # fmt: skip
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(_spread_out(line, widths) for line in lines)

    def __str__(self) -> str:
        """Return the table."""
        return self.table()

    def plot(self, *, title: str | None = None, ax: Axes | None = None) -> Figure:
        """Draw the scores with their spread, beside those of random vectors; pale is what does not differ.

        Parameters
        ----------
        title
            Above the picture.
        ax
            Axes to draw on; a new figure otherwise.
        """
        from onnxplain.plots.canvas import AGAINST, FOR, axes_of, one_line, write_title

        figure, axes = axes_of(ax, 2.0 + 0.7 * len(self.rows), 3.2)
        for k, r in enumerate(self.rows):
            colour = FOR if r.score > r.random else AGAINST
            axes.bar(k, r.score, 0.7, color=colour, alpha=1.0 if r.significant else 0.3)
            axes.errorbar(k, r.score, r.spread, color="black", capsize=3, linewidth=1)
            axes.plot([k - 0.4, k + 0.4], [r.random] * 2, color="black", linestyle=":", linewidth=1.5)
        several = len({r.layer for r in self.rows}) > 1
        names = [one_line(r.concept) for r in self.rows]
        if several:
            names = [f"{name}\n{one_line(r.layer)}" for name, r in zip(names, self.rows, strict=True)]
        axes.set_xticks(np.arange(len(self.rows)), names, fontsize=8)
        axes.set_ylim(0, 1.05)
        axes.set_ylabel("TCAV score (dotted: random)")
        axes.spines[["top", "right"]].set_visible(False)
        write_title(axes, title)
        return figure


def _spread_out(line: Sequence[str], widths: Sequence[int]) -> str:
    """Lay cells out in columns: names to the left, numbers to the right."""
    names = [cell.ljust(w) for cell, w in zip(line[:_NAMES], widths[:_NAMES], strict=True)]
    numbers = [cell.rjust(w) for cell, w in zip(line[_NAMES:], widths[_NAMES:], strict=True)]
    return "  ".join([*names, *numbers]).rstrip()
