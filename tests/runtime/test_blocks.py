"""The size of blocks is found by trial, and no bit of a result depends on it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onnxplain as ox
from onnxplain.backward.asks import Scores
from onnxplain.runtime import memory
from onnxplain.runtime.plans import blocks
from onnxplain.runtime.plans.blocks import Blocks
from onnxplain.runtime.plans.plan import Answers, InOrder
from onnxplain.runtime.room import Room

USUAL, MOST, ROWS = 8, 1024, 2


class Noted(InOrder):
    """Sums that hold which points came, and the size of the block that answered them."""

    def __init__(self) -> None:
        self.points: list[int] = []
        self.scores: list[float] = []

    def add(self, steps: slice, answers: Answers) -> None:
        self.points += range(steps.start, steps.stop)
        self.scores += answers.score[:, 0].tolist()


class World:
    """A model whose answers take known times, on a clock of its own."""

    def __init__(self, cost, answer=lambda point, size: float(point)) -> None:
        self.cost, self.answer, self.now = cost, answer, 0.0
        self.room = Room(lambda _: USUAL * ROWS, lambda _: MOST * ROWS)
        self.fastest: dict = {}
        self.asked: list[slice] = []

    def run(self, points: int, sums=None, room=None):
        layout, programs = SimpleNamespace(exact=None), SimpleNamespace(fastest=self.fastest)
        driver = SimpleNamespace(
            room=room or self.room, layout=layout, programs=programs, question="?", fixed={}
        )
        problem = SimpleNamespace(n=ROWS, driver=driver, features={"x": np.zeros((ROWS, 3))})
        self.asked, told = [], []
        sums = sums or Noted()
        Blocks(problem, Scores(), points, USUAL, self.asks, sums, lambda k, _: told.append(k)).run()
        assert sums.points == list(range(points))  # each once, in their order
        assert sum(told) == points
        return sums

    def asks(self, steps: slice) -> Answers:
        size = steps.stop - steps.start
        self.now += self.cost(size)
        self.asked.append(steps)
        score = np.array([[self.answer(point, size)] * ROWS for point in range(steps.start, steps.stop)])
        return Answers({}, score, None, "completeness")

    def sizes(self) -> list[int]:
        return [steps.stop - steps.start for steps in self.asked]


@pytest.fixture
def world(monkeypatch):
    def make(*args):
        made = World(*args)
        monkeypatch.setattr(blocks.time, "perf_counter", lambda: made.now)
        return made

    return make


@pytest.mark.parametrize("best", [1, 2, 8, 32, 256])
def test_finds_the_fastest(best, world) -> None:
    made = world(lambda size: size * (1 + abs(np.log2(size / best))))
    made.run(20_000)
    assert made.sizes()[-2] == best
    assert sum(made.sizes()) <= 1.1 * 20_000
    made.run(3 * best)  # too short for a trial, and it is known
    assert made.sizes() == [best] * 3
    assert list(made.fastest.values()) == [best * ROWS]
    assert made.room.chosen == {}


def test_a_trial_that_was_cut_short_is_made_again(world) -> None:
    made = world(lambda _: 1.0)
    made.run(40 * USUAL)
    assert made.fastest == {}
    made.run(20_000)
    assert list(made.fastest.values()) == [max(made.sizes()) * ROWS]
    assert max(made.sizes()) > 8 * USUAL


@given(st.integers(0, 5000), st.dictionaries(st.sampled_from([2**k for k in range(11)]), st.floats(0.01, 9)))
@settings(deadline=None, max_examples=60)
def test_every_point_is_added_once_whatever_the_times(points, factors) -> None:
    made = World(lambda size: size * factors.get(size, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks.time, "perf_counter", lambda: made.now)
        made.run(points)
    assert max(made.sizes(), default=0) <= MOST
    assert sum(made.sizes()) <= 1.1 * points + 1


def test_a_size_that_changes_bits_is_not_used(world) -> None:
    made = world(lambda _: 1.0, lambda point, size: point + 1e-9 * (size > 16))
    assert made.run(5000).scores == list(range(5000))
    assert max(made.sizes()[-10:]) == 16
    changed = world(lambda _: 1.0, lambda point, size: point + 1e-9 * (size != USUAL))
    changed.run(5000 // USUAL * USUAL)
    assert set(changed.sizes()[-100:]) == {USUAL}


@pytest.mark.parametrize("why", ["short", "given", "sums"])
def test_no_trial(why, world) -> None:
    made = world(lambda _: 1.0)
    points = 31 * USUAL if why == "short" else 5000
    sums = Noted()
    if why == "sums":
        sums = SimpleNamespace(points=sums.points, scores=sums.scores)
        sums.add = lambda steps, answers: Noted.add(sums, steps, answers)
    room = Room(lambda _: USUAL * ROWS, lambda _: USUAL * ROWS) if why == "given" else None
    made.run(points, sums, room)
    assert set(made.sizes()[:-1]) == {USUAL}


METHODS = {
    "rise": {"n_masks": 700}, "occlusion": {"sliding_window_shapes": (1, 2, 2)}, "feature_ablation": {},
    "kernel_shap": {"n_samples": 600}, "shapley_value_sampling": {"n_samples": 4},
    "integrated_gradients": {"n_steps": 200},
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_results_have_the_bits_of_fixed_blocks(name, models, rows, monkeypatch) -> None:
    monkeypatch.setattr(memory, "LARGEST_BATCH", 4)
    monkeypatch.setattr(memory, "LARGEST_FORWARD", 4)
    x = models.random(2, 2, 8, 8)
    monkeypatch.setattr(blocks.time, "perf_counter", lambda: float(len(rows)))  # runs take the same time
    explainer = ox.Explainer(models.conv(), accelerate=False)  # else windows are asked about as patches
    tried = explainer(x, 0, name, **METHODS[name])
    assert max(rows) > 8
    rows.clear()
    fixed = explainer(x, 0, name, **METHODS[name], internal_batch_size=4)
    assert max(rows) == 4
    assert tried.values.tobytes() == fixed.values.tobytes()
    rows.clear()
    again = explainer(x, 0, name, **METHODS[name])
    assert min(rows) < max(rows) or len(set(rows)) == 1  # the size is known: no trial
    assert again.values.tobytes() == fixed.values.tobytes()
