"""Which versions compute here."""

from __future__ import annotations

from functools import cache

__all__ = ["VERSION", "versions"]

#: Of this package.
VERSION = "0.1.0"


def versions() -> dict[str, str]:
    """Return the versions of this package and of those that its numbers come from, by name."""
    return dict(_found())


@cache
def _found() -> dict[str, str]:
    import numpy as np
    import onnx
    import onnxruntime as ort

    return {
        "onnxplain": VERSION,
        "onnxruntime": ort.__version__,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
    }
