"""What a user types, read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from onnxplain.commands.labels import read_labels
from onnxplain.errors import DataInputError

if TYPE_CHECKING:
    from pathlib import Path


def test_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cat\ndog \n\n", encoding="utf-8")
    assert read_labels(file) == ["cat", "dog"]
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"1": ["n02", "dog"], "0": ["n01", "cat"]}))
    assert read_labels(file) == ["cat", "dog"]
    file.write_text('["cat", "dog"]')
    assert read_labels(file) == ["cat", "dog"]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "3", "[]"])
def test_broken_labels(text: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(text)
    with pytest.raises(DataInputError, match="labels"):
        read_labels(file)
    with pytest.raises(DataInputError, match="there is no file"):
        read_labels(tmp_path / "none.txt")
