"""What tests of running programs share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxplain.runtime.session import Executable


@pytest.fixture
def rows(monkeypatch) -> list[int]:
    """Lengths of the batches that programs have run with."""
    seen: list[int] = []
    run = Executable.run

    def count(self, feeds, outputs=None):
        if outputs is not None:
            seen.append(len(feeds["x"]))
        return run(self, feeds, outputs)

    monkeypatch.setattr(Executable, "run", count)
    return seen


@pytest.fixture
def fronts(monkeypatch) -> list[dict[str, Any]]:
    """What the first parts of programs ran on, each time."""
    seen: list[dict[str, Any]] = []
    run = Executable.run_on_device

    def watched(self, feeds, outputs):
        seen.append({k: np.shape(v) for k, v in feeds.items()})
        return run(self, feeds, outputs)

    monkeypatch.setattr(Executable, "run_on_device", watched)
    return seen
