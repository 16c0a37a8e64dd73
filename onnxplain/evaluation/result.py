"""What an evaluation found: a cell for each method and metric, ranks, and how metrics agree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.attribution import Attribution
from onnxplain.errors import MethodError
from onnxplain.evaluation import files
from onnxplain.evaluation.agreement import Kind, agreement_of, ranks_of
from onnxplain.metrics import Measured
from onnxplain.options import check_option, nearest
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "Evaluation"]


@dataclass(frozen=True, eq=False)
class Cell:
    """One metric of one method.

    Attributes
    ----------
    method, metric
        What tables call them.
    measured
        What the metric found; None where it or the method cannot work here.
    error
        Why not, with the error's name; empty where it did.
    seconds
        How long measuring took, without the explanations that all metrics share.
    """

    method: str
    metric: str
    measured: Measured | None = None
    error: str = ""
    seconds: float = float("nan")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Methods by metrics, as :func:`onnxplain.evaluate` found them.

    ``evaluation["integrated_gradients", "deletion"]`` is what a metric measured of a method.

    Attributes
    ----------
    methods
        By what tables call them, as written in Python.
    metrics
        By what tables call them: the metrics.
    cells
        By method and metric.
    n
        Number of samples.
    seconds
        By method, how long explaining all samples took, the model being compiled; NaN where it failed.
    shown
        By method, its explanations of the first samples.
    target
        What was explained, in words.
    level
        Confidence of the intervals; None if there are none.
    seed
        What methods and metrics that were given by name draw from; None: each has its own.
    model_hash
        Of the model, see :class:`~onnxplain.Attribution`.
    versions
        Of the packages that the numbers come from.
    notes
        What a person may want to know.
    """

    methods: Mapping[str, str]
    metrics: Mapping[str, Any]
    cells: Mapping[tuple[str, str], Cell]
    n: int
    seconds: Mapping[str, float]
    shown: Mapping[str, Attribution] = field(default_factory=dict)
    target: str = ""
    level: float | None = 0.95
    seed: int | None = None
    model_hash: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, key: tuple[str, str]) -> Measured:
        """Return what a metric measured of a method.

        Raises
        ------
        KeyError
            If they took no part.
        MethodError
            If they could not work here.
        """
        try:
            method, metric = key
        except (TypeError, ValueError):
            raise KeyError(f"{key!r}: give a pair of a method and a metric") from None
        for name, known, what in ((method, self.methods, "method"), (metric, self.metrics, "metric")):
            if name not in known:
                listed = ", ".join(known)
                raise KeyError(f"no {what} '{name}' took part, but {listed}{nearest(name, known)}")
        cell = self.cells[method, metric]
        if cell.measured is None:
            raise MethodError(f"'{metric}' of '{method}' was not measured: {cell.error}")
        return cell.measured

    @cached_property
    def means(self) -> FloatArray:
        """(methods, metrics): means over samples, NaN where there is none."""
        return self._each(lambda m: m.mean)

    @cached_property
    def intervals(self) -> FloatArray:
        """(methods, metrics, 2): confidence intervals of the means; NaN where there are none."""
        level, seed = self.level, self.seed or 0
        made = np.full((len(self.methods), len(self.metrics), 2), np.nan)
        for i, method in enumerate(self.methods):
            for k, metric in enumerate(self.metrics):
                found = self.cells[method, metric].measured
                if found is not None and level is not None and (~np.isnan(found.values)).sum() > 1:
                    made[i, k] = found.interval(level, seed=seed)
        return made

    @cached_property
    def ranks(self) -> FloatArray:
        """(methods, metrics): 1 for the best mean, equal means share a rank; NaN where there is none."""
        return ranks_of(self.means, [m.higher_is_better for m in self.metrics.values()])

    @cached_property
    def mean_ranks(self) -> FloatArray:
        """(methods,): mean over the metrics that rank a method; NaN if none does."""
        known = ~np.isnan(self.ranks)
        total = np.where(known, self.ranks, 0).sum(1)
        return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)

    @property
    def failures(self) -> tuple[Cell, ...]:
        """The cells that could not work here."""
        return tuple(cell for cell in self.cells.values() if cell.measured is None)

    def agreement(self, kind: Kind = "kendall") -> FloatArray:
        """Return how far metrics rank methods alike, (metrics, metrics), from -1 to 1.

        Parameters
        ----------
        kind
            ``"kendall"`` (tau-b) or ``"spearman"``.

        Returns
        -------
        NaN where there are fewer than two methods that both rank, or one tells none of them apart.
        """
        return agreement_of(self.ranks, check_option("kind", kind, Kind, MethodError))

    def contradictions(self, kind: Kind = "kendall") -> list[tuple[str, str, float]]:
        """Return the pairs of metrics that rank methods the other way round, the worst first."""
        found, names = self.agreement(kind), list(self.metrics)
        pairs = [
            (names[a], names[b], float(found[a, b]))
            for a in range(len(names))
            for b in range(a + 1, len(names))
            if found[a, b] < 0
        ]
        return sorted(pairs, key=lambda pair: pair[2])

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for each cell, which a data frame takes: method, metric, mean, low, high, rank..."""
        made = []
        for i, method in enumerate(self.methods):
            for k, (metric, kind) in enumerate(self.metrics.items()):
                cell = self.cells[method, metric]
                values = () if cell.measured is None else cell.measured.values
                low, high = self.intervals[i, k].tolist()
                made.append(
                    {
                        "method": method,
                        "metric": metric,
                        "mean": float(self.means[i, k]),
                        "low": low,
                        "high": high,
                        "rank": float(self.ranks[i, k]),
                        "higher_is_better": kind.higher_is_better,
                        "n": int((~np.isnan(np.asarray(values))).sum()),
                        "seconds": cell.seconds,
                        "method_seconds": float(self.seconds[method]),
                        "error": cell.error,
                    }
                )
        return made

    def table(self) -> str:
        """Return means as text, a line for each method: a star by the best; and what failed."""
        ways = {True: "+", False: "-", None: ""}
        head = ["method", *(f"{k} {ways[m.higher_is_better]}".strip() for k, m in self.metrics.items())]
        lines = [[*head, "mean rank", "seconds"]]
        for i, method in enumerate(self.methods):
            cells = [
                f"{self.means[i, k]:.4g}{' *' if self.ranks[i, k] == 1 else '  '}"
                if self.cells[method, metric].measured is not None
                else "failed  "
                for k, metric in enumerate(self.metrics)
            ]
            lines.append([method, *cells, f"{self.mean_ranks[i]:.1f}", f"{self.seconds[method]:.3g}"])
        widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
        text = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
            for line in lines
        ]
        return "\n".join(visible_line(line) for line in [*text, *self._failed()])

    def __str__(self) -> str:
        """Return the table."""
        return self.table()

    def __repr__(self) -> str:
        """Summarise: how much was measured."""
        failed = f", {len(self.failures)} failed" if self.failures else ""
        size = f"{len(self.methods)} methods x {len(self.metrics)} metrics x {self.n} samples"
        return f"Evaluation({size}{failed})"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`rows` as a table.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        files.write_csv(path, self.rows())

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write all numbers, curves and extras apart, as JSON to be read elsewhere.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        files.write_readable(path, self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` file, which :meth:`load` reads.

        Raises
        ------
        OutputError
            If it cannot be written, or its ending stands for something else.
        """
        files.save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataInputError
            If the file is missing, damaged, or something else.
        """
        return files.load(path, cls, Cell)

    def plot(
        self,
        kind: Literal["ranks", "agreement", "curves"] = "ranks",
        *,
        metric: str | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw ranks and means, how metrics agree, or the curves of a metric.

        Parameters
        ----------
        kind
            ``"ranks"``: methods by metrics, coloured by rank; ``"agreement"``: Kendall's tau between metrics;
            ``"curves"``: mean curves of all methods.
        metric
            Whose curves; the first that has some by default.
        title
            Above the picture.

        Raises
        ------
        MethodError
            If there is no such kind, or there are no curves.
        """
        from onnxplain.evaluation import pictures

        wanted = Literal["ranks", "agreement", "curves"]
        kind = check_option("kind", kind, wanted, MethodError)
        if kind == "curves":
            return pictures.draw_curves_of(self, metric, title)
        if metric is not None:
            raise MethodError("metric= is for kind='curves'; leave it out")
        draw = pictures.draw_ranks if kind == "ranks" else pictures.draw_agreement
        return draw(self, title)

    def _each(self, look: Any) -> FloatArray:
        found = ((self.cells[a, b].measured for b in self.metrics) for a in self.methods)
        return np.array([[np.nan if m is None else look(m) for m in row] for row in found])

    def _failed(self) -> Iterator[str]:
        """Say what failed: a line where all metrics of a method failed alike."""
        for text in files.failure_lines(self):
            yield f"failed: {text}"
