"""All parts of a folder together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onnxplain.scale import read_parts


def gathered(out: Path) -> dict[str, Any]:
    """Return all columns, the parts behind one another."""
    parts = list(read_parts(out))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def same(out: Path, other: Path) -> None:
    """Make sure that two folders hold the same rows in the same order, each once."""
    one, two = gathered(out), gathered(other)
    assert list(one) == list(two)
    keys = list(zip(one["source"].tolist(), one["row"].tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    for name, column in one.items():
        np.testing.assert_array_equal(column, two[name], err_msg=name)
