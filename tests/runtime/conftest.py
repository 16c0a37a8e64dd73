"""What tests of running programs share."""

from __future__ import annotations

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
