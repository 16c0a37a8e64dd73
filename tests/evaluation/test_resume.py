"""An evaluation that ended early goes on where it ended: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.digests import digest
from onnxplain.errors import DataInputError, OutputError
from onnxplain.metrics import Measured, Metric, PixelFlipping

METHODS = ("saliency", "input_x_gradient", "lrp")


@dataclass(frozen=True)
class Counted(Metric):
    """The sum of magnitudes; counts its calls, and may stop at one."""

    name: ClassVar[str] = "counted"
    higher_is_better: ClassVar[bool | None] = True
    calls: ClassVar[list[int]] = []
    stop: ClassVar[Any] = None
    power: float = 1.0

    def measure(self, trial: Any) -> Measured:
        if self.stop is not None and len(self.calls) == self.stop[0]:
            self.stop[1]()
        self.calls.append(trial.n)
        return self.result((np.abs(trial.flat) ** self.power).sum(1), notes=("counted",))


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr(Counted, "calls", [])
    monkeypatch.setattr(Counted, "stop", None)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(5, 2, 8, 8, seed=11)


def evaluate(conv: Any, x: Any, folder: Any, **options: Any) -> ox.Evaluation:
    told: dict[str, Any] = {
        "target": 1,
        "methods": METHODS,
        "metrics": [Counted(), PixelFlipping(32)],
        **options,
    }
    return ox.evaluate(conv, x, block_size=2, resume=folder, **told)


def interrupt() -> None:
    raise KeyboardInterrupt


def same(a: ox.Evaluation, b: ox.Evaluation) -> None:
    for key, cell in a.cells.items():
        np.testing.assert_array_equal(b[key].values, cell.measured.values)
        assert b[key].notes == cell.measured.notes
        assert b[key].method == cell.measured.method
        for name, curve in cell.measured.curves.items():
            np.testing.assert_array_equal(b[key].curves[name].values, curve.values)
    np.testing.assert_array_equal(a.shown["lrp"].values, b.shown["lrp"].values)


def test_an_interrupted_run_goes_on(conv, x, tmp_path, monkeypatch) -> None:
    whole = evaluate(conv, x, None)
    monkeypatch.setattr(Counted, "calls", [])
    monkeypatch.setattr(Counted, "stop", (5, interrupt))
    with pytest.raises(KeyboardInterrupt):
        evaluate(conv, x, tmp_path / "kept")
    assert len(Counted.calls) == 5
    monkeypatch.setattr(Counted, "stop", None)
    again = evaluate(conv, x, tmp_path / "kept")
    assert len(Counted.calls) == 9  # three methods in three blocks: none was measured twice
    same(whole, again)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").iterdir()}
    third = evaluate(conv, x, tmp_path / "kept")
    assert len(Counted.calls) == 9
    same(whole, third)
    assert third.seconds == again.seconds
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").iterdir()} == kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_killed_run_goes_on(conv, x, tmp_path, monkeypatch) -> None:
    whole = evaluate(conv, x, None)
    monkeypatch.setattr(Counted, "calls", [])
    child = os.fork()
    if child == 0:
        Counted.stop = (4, lambda: os.kill(os.getpid(), signal.SIGKILL))
        try:
            evaluate(conv, x, tmp_path)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    again = evaluate(conv, x, tmp_path)
    assert len(Counted.calls) == 5
    same(whole, again)


def test_what_was_found_for_something_else_is_never_taken(conv, x, models, tmp_path) -> None:
    evaluate(conv, x, tmp_path)
    expected = len(Counted.calls)
    others: list[tuple[Any, Any, dict[str, Any]]] = [
        (conv, x + np.float32(1e-3), {}),
        (conv, x, {"target": 2}),
        (conv, x, {"metrics": [Counted(2.0), PixelFlipping(32)]}),
        (conv, x, {"methods": ["saliency", "input_x_gradient", ("lrp", {"composite": "epsilon"})]}),
        (ox.Explainer(models.conv(bias=False)), x, {}),
    ]
    for explainer, samples, options in others:
        resumed = evaluate(explainer, samples, tmp_path, **options)
        fresh = evaluate(explainer, samples, None, **options)
        same(fresh, resumed)
    assert len(Counted.calls) == expected * (2 * len(others) + 1) - 6  # two methods were as before


def test_damaged_pieces_are_made_anew(conv, x, tmp_path) -> None:
    whole = evaluate(conv, x, tmp_path)
    pieces = sorted(tmp_path.iterdir())
    assert len(pieces) == 27
    pieces[0].write_bytes(pieces[0].read_bytes()[:-30])
    pieces[1].write_bytes(b"nothing")
    pieces[2].unlink()
    np.savez(pieces[3], facts="{}")
    pieces[4].write_bytes(pieces[5].read_bytes())
    same(whole, evaluate(conv, x, tmp_path))


def test_what_cannot_be_kept_is_told_first(conv, x, tmp_path) -> None:
    with pytest.raises(DataInputError, match="holds a function"):
        evaluate(conv, x, tmp_path, feature_mask=lambda image: np.indices(image.shape[:2])[0] // 4)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        evaluate(conv, x, tmp_path / "file")
    assert not Counted.calls


def test_a_composite_in_a_file_is_known_by_its_content(conv, x, tmp_path) -> None:
    rules = tmp_path / "mine.toml"
    found = []
    for name in ("epsilon", "epsilon_plus"):
        rules.write_text(f'extends = "{name}"')
        methods = [("lrp", {"composite": str(rules)})]
        found.append(evaluate(conv, x, tmp_path / "kept", methods=methods)["lrp", "counted"].values)
    assert not np.allclose(found[0], found[1])


def test_any_text_can_be_told() -> None:
    for text in ("a" * 5000 + ".json", "a\0.toml", "nowhere.json"):
        assert digest(text) == digest(text) != digest(text[1:])
