"""What was aimed at, beside what was reached."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.compare.cases import CASES
from benchmarks.compare.settings import FILE, OURS, Setting
from benchmarks.compare.works import WORKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Target", "Verdict", "elsewhere", "losses", "read_targets", "verdict"]

_PATH = Path(__file__).resolve().parents[1] / "targets.toml"
_MEASURES = ("forwards", "faster", "extra_ms")


@dataclass(frozen=True)
class Target:
    """A number for a race.

    Attributes
    ----------
    setting
        The race.
    measure
        ``"forwards"``, ``"faster"`` or ``"extra_ms"``.
    bound
        The number: the least for ``"faster"``, else the most.
    was
        What it was before, in words.
    """

    setting: Setting
    measure: str
    bound: float
    was: str = ""

    @property
    def says(self) -> str:
        """The target in words."""
        if self.measure == "faster":
            return f"≥ {self.bound:g} times faster"
        return f"≤ {self.bound:g} " + ("ms more" if self.measure == "extra_ms" else "forwards")


@dataclass(frozen=True)
class Verdict:
    """What came of a target.

    Attributes
    ----------
    value
        What was measured, None where nothing was.
    reached
        Whether that is as good as the target.
    says
        In words.
    """

    value: float | None
    reached: bool
    says: str


def read_targets(path: Path = _PATH) -> list[Target]:
    """Read the targets.

    Raises
    ------
    ValueError
        If one names what is not raced, or has no number that fits its measure.
    """
    made = []
    for held in _read(path).get("target", []):
        work, model, measure = held["work"], held["model"], held["measure"]
        for kind, name, known in (
            ("work", work, WORKS), ("model", model, CASES), ("measure", measure, _MEASURES),
        ):  # fmt: skip
            if name not in known:
                raise ValueError(f"{path.name}: there is no {kind} {name!r}; there are {', '.join(known)}")
        key = "at_least" if measure == "faster" else "at_most"
        if key not in held:
            raise ValueError(f"{path.name}: {work} on {model} is measured by {measure!r} and has no {key!r}")
        made.append(
            Target(Setting(work, model, held.get("batch", 1)), measure, float(held[key]), held.get("was", ""))
        )
    return made


def elsewhere(path: Path = _PATH) -> list[dict[str, str]]:
    """Read what is measured by others: ``says``, ``target``, and ``by`` what."""
    found: list[dict[str, str]] = _read(path).get("elsewhere", [])
    return found


def verdict(target: Target, row: dict[str, Any] | None) -> Verdict:
    """Hold a race's result to its target.

    Parameters
    ----------
    target
        The target.
    row
        What :func:`benchmarks.compare.races.race` returned; None where it did not run.
    """
    if row is None:
        return Verdict(None, False, "not run")
    beside = ""
    if target.measure == "faster":
        rivals = {name: job["times_ours"] for name, job in row["jobs"].items() if _rival(name, job)}
        if not rivals:
            return Verdict(None, False, "no peer that finds the same took part")
        best = min(rivals, key=lambda name: rivals[name])
        value = rivals.pop(best)
        beside = f", against {best}" + "".join(f", {v:.2f} against {name}" for name, v in rivals.items())
        others = {name: job for name, job in row["jobs"].items() if name.startswith(f"{OURS}, ")}
        for name, job in others.items():
            beside += f" ({name.removeprefix(f'{OURS}, ')}: {value / job['times_ours']:.2f})"
    elif target.measure == "extra_ms":
        value = row["extra_ms"]
    else:
        value = row["jobs"][OURS]["forwards"]
        if FILE in row["jobs"]:
            beside = f" (as a file {row['jobs'][FILE]['forwards']:.2f})"
    reached = value >= target.bound if target.measure == "faster" else value <= target.bound
    off = value / target.bound
    said = "reached" if reached else f"missed: {off:.2f} times the target"
    return Verdict(value, reached, f"{value:.2f}{beside}: {said}")


def losses(rows: list[dict[str, Any]]) -> list[str]:
    """Tell where a peer finds the same in less time."""
    return [
        f"{row['work']} on {row['model']}, batch {row['batch']}: {name}: {job['times_ours']:.2f} of our time"
        for row in rows
        for name, job in row["jobs"].items()
        if _rival(name, job) and job["times_ours"] < 1
    ]


def _rival(name: str, job: dict[str, Any]) -> bool:
    return not name.startswith("onnx") and bool(job.get("same"))


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
