"""What the comparison makes of times, answers and targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare.agreement import compared
from benchmarks.compare.cases import CASES, LeftOut
from benchmarks.compare.exactness import first_within
from benchmarks.compare.races import every
from benchmarks.compare.racing import Times, fastest, raced
from benchmarks.compare.settings import OURS, Setting
from benchmarks.compare.targets import Target, losses, read_targets, verdict
from benchmarks.compare.works import WORKS


def test_ratios_are_of_pairs() -> None:
    times = Times({"a": [2.0, 30.0, 8.0], "unit": [1.0, 10.0, 2.0]})
    assert times.ratio("a", "unit") == 3.0  # of 2, 3 and 4; that of the medians is 4
    assert times.extra("a", "unit") == 6.0
    assert (times.median("a"), times.least("a")) == (8.0, 2.0)


def test_jobs_take_turns(monkeypatch: Any) -> None:
    order: list[str] = []
    monkeypatch.setattr("benchmarks.compare.racing._TURN", 0.0)
    times = raced({k: lambda k=k: order.append(k) for k in "ab"}, 3, 60)
    assert "".join(order[2:]) == "ababab"  # behind a run of each to learn how long it takes
    assert [len(v) for v in times.seconds.values()] == [3, 3]


def test_rounds_end_with_the_time() -> None:
    assert [len(v) for v in raced({"a": lambda: None}, 50, 0.0).seconds.values()] == [1]


def test_the_fastest_variant_says_which_it_is(monkeypatch: Any) -> None:
    taken = {1: iter([9.0]), 2: iter([1.5, 1.0])}  # a short one is run again, now that it is warm
    monkeypatch.setattr("benchmarks.compare.racing._once", lambda job: next(taken[job()]))
    best = fastest({"slow": lambda: 1, "quick": lambda: 2})
    assert (best.job(), best.says) == (2, "quick, the fastest of slow, quick")


def test_answers_are_compared() -> None:
    a = np.random.default_rng(0).normal(size=(1, 50))
    assert compared(a, a, "equal").same
    kink = a.copy()
    kink[0, 0] += 0.1 * np.abs(a).max()
    assert not compared(kink, a, "equal").same
    assert compared(kink, a, "points").same
    assert not compared(-a, a, "draws").same
    assert compared(3 * a, a, "draws").same  # of other units
    assert not compared(3 * a, a, "equal").same
    zero = np.zeros_like(a)
    assert compared(zero, zero, "equal").same
    assert not compared(a, zero, "equal").same
    with pytest.raises(ValueError, match="shapes"):
        compared(a, a[:, :3], "equal")


def test_the_fewest_steps_are_found() -> None:
    asked: list[int] = []

    def error(n: int) -> float:
        asked.append(n)
        return 1 / n

    assert first_within((5, 20, 100, 500), error, 0.02) == (100, 0.01)
    assert asked == [5, 20, 100]
    with pytest.raises(LeftOut, match=r"20 are not enough: the error is 5\.0%, and 1\.0% was asked"):
        first_within((10, 20), error, 0.01)


def test_targets_are_raced() -> None:
    targets = read_targets()
    assert len(targets) >= 14
    for target in targets:
        s = target.setting
        assert s in every([s.work], [s.model], None), s


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"work": "magic"}, "no work 'magic'"),
        ({"model": "magic"}, "no model 'magic'"),
        ({"measure": "magic"}, "no measure 'magic'"),
        ({"measure": "faster"}, "has no 'at_least'"),
    ],
)
def test_targets_of_nothing_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    held = {"work": "gradient", "model": "mlp", "measure": "forwards", "at_most": 2.0} | change
    path = tmp_path / "targets.toml"
    path.write_text("[[target]]\n" + "".join(f"{k} = {v!r}\n" for k, v in held.items()), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_targets(path)


def job(times_ours: float, forwards: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"times_ours": times_ours, "forwards": forwards, **more}


def row(**jobs: Any) -> dict[str, Any]:
    return {
        "work": "rise", "model": "mnist", "batch": 1, "extra_ms": 0.3, "jobs": {OURS: job(1.0, 2.5), **jobs}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "bound", "value", "reached"),
    [
        ("forwards", 2.6, 2.5, True),
        ("forwards", 2.4, 2.5, False),
        ("extra_ms", 0.1, 0.3, False),
        ("faster", 4.0, 4.5, True),
        ("faster", 5.0, 4.5, False),
    ],
)
def test_verdicts(measure: str, bound: float, value: float, reached: bool) -> None:
    """The fastest peer counts, of those that find the same."""
    target = Target(Setting("rise", "mnist"), measure, bound)
    told = verdict(target, row(A=job(9.0, same=True), B=job(4.5, same=True), C=job(0.1, same=False)))
    assert (told.value, told.reached) == (value, reached)
    assert ("4.50, against B, 9.00 against A" in told.says) is (measure == "faster")
    assert ("missed" in told.says) is not reached


def test_verdicts_without_a_race() -> None:
    target = Target(Setting("rise", "mnist"), "faster", 2.0)
    assert verdict(target, None).says == "not run"
    assert verdict(target, row(C=job(0.1, same=False))).says == "no peer that finds the same took part"


def test_losses_are_told() -> None:
    rows = [row(A=job(0.5, same=True), B=job(2.0, same=True), C=job(0.1, same=False))]
    assert losses(rows) == ["rise on mnist, batch 1: A: 0.50 of our time"]


def test_every_work_is_raced_on_a_model() -> None:
    made = every(WORKS, CASES, None)
    assert {s.work for s in made} == set(WORKS)
    assert {s.model for s in made} == set(CASES)
    assert Setting("lrp_epsilon", "minilm") not in made
