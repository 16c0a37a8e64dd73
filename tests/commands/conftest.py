from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from onnxplain.data import digits_samples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with two digits as an array and one as a picture."""
    monkeypatch.chdir(tmp_path)
    images, _ = digits_samples()
    np.save("digits.npy", images[10:12])
    Image.fromarray((images[3, 0] * 255).astype(np.uint8)).resize((90, 90)).convert("RGB").save("three.png")
    return tmp_path
