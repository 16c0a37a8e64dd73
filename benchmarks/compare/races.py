"""One race: who takes part, whether all find the same, and how long each takes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.compare.agreement import compared
from benchmarks.compare.cases import CASES, Case, LeftOut, case
from benchmarks.compare.ours import forward, ours
from benchmarks.compare.peers import PEERS
from benchmarks.compare.racing import Clock, Times, raced
from benchmarks.compare.settings import BARE, FORWARD, OURS, Entrant, Setting
from benchmarks.compare.works import WORKS

__all__ = ["every", "race"]


def every(works: Iterable[str], models: Iterable[str], batches: Iterable[int] | None) -> list[Setting]:
    """Return all races of works on models that fit, in the order of models.

    Parameters
    ----------
    works, models
        By name.
    batches
        None: those that are usual for a work.
    """
    asked = list(works)
    made = [
        Setting(work, model, batch)
        for model in models
        for work in asked
        if CASES[model][0] in WORKS[work].kinds
        for batch in (WORKS[work].batches if batches is None else batches)
    ]
    return sorted(made, key=lambda s: ([*CASES].index(s.model), s.batch))


def race(
    setting: Setting,
    peers: Iterable[str],
    rounds: int,
    seconds: float,
    ends: float = float("inf"),
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Run one race.

    Parameters
    ----------
    setting
        What is raced.
    peers
        Who is asked to take part, by name.
    rounds, seconds
        At most; see :func:`benchmarks.compare.racing.raced`.
    ends
        When no further peer is asked, as ``time.perf_counter`` tells it.
    clock
        What tells the seconds of a job.

    Returns
    -------
    dict
        In JSON's types: ``jobs``, by label, and who is ``left_out`` and why.

    Raises
    ------
    LeftOut
        If we do not take part ourselves.
    """
    work, found = WORKS[setting.work], case(setting.model, setting.batch, setting.side)
    entrants = {FORWARD: forward(found, setting), **ours(found, setting)}
    left_out: dict[str, str] = {}
    taken: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peers deprecate and remark on is no concern here
        answers = {name: _answer(name, e, taken) for name, e in entrants.items()}
        for peer in peers if work.peers else ():
            if time.perf_counter() > ends:
                left_out[peer] = "the time was over"
                continue
            offered, made, why = _offered(peer, found, setting, taken, answers[OURS])
            entrants |= offered
            answers |= made
            if why:
                left_out[peer] = why
        times = raced({name: e.job for name, e in entrants.items()}, rounds, seconds, taken, clock)
    row: dict[str, Any] = {
        "work": setting.work, "model": setting.model, "batch": setting.batch, "threads": setting.threads,
        "size": setting.size, "side": setting.side, "rounds": len(times.seconds[OURS]),
        "jobs": {name: _job(name, entrants[name], times) for name in entrants}, "left_out": left_out,
    }  # fmt: skip
    for name, answer in answers.items():
        if name not in (FORWARD, BARE, OURS):
            told = compared(answers[OURS], answer, work.alike)
            row["jobs"][name] |= {
                "difference": told.difference,
                "correlation": told.correlation,
                "same": told.same,
            }
    if BARE in entrants:
        row["extra_ms"] = 1e3 * times.extra(OURS, BARE)
    return row


def _answer(name: str, entrant: Entrant, taken: dict[str, float]) -> Any:
    """Return what an entrant finds, and note the seconds."""
    begin = time.perf_counter()
    found = entrant.job()
    taken[name] = time.perf_counter() - begin
    return found


def _offered(
    peer: str, found: Case, setting: Setting, taken: dict[str, float], wanted: Any
) -> tuple[dict[str, Entrant], dict[str, Any], str | None]:
    """Return a peer's ways with their answers, or why there are none."""
    try:
        offered = PEERS[peer].offer(found, setting)
        made = {name: _answer(name, e, taken) for name, e in offered.items()}
        for answer in made.values():
            if np.shape(answer) != np.shape(wanted) or not np.isfinite(answer).all():
                raise LeftOut(f"finds no finite numbers of shape {np.shape(wanted)}")
        return offered, made, None
    except LeftOut as reason:
        return {}, {}, str(reason)
    except Exception as error:  # a peer may fail in any way, and is named
        return {}, {}, f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _job(name: str, entrant: Entrant, times: Times) -> dict[str, Any]:
    return {
        "ms": 1e3 * times.median(name),
        "ms_min": 1e3 * times.least(name),
        "forwards": times.ratio(name, FORWARD),
        "times_ours": times.ratio(name, OURS),
        "says": entrant.says,
    }
