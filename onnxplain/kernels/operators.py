"""The library of operators for onnxruntime, domain ``ai.onnxplain``: where it lies."""

from __future__ import annotations

from pathlib import Path

__all__ = ["operators_library"]

_ENDINGS = (".so", ".dylib", ".dll")


def operators_library() -> Path | None:
    """Return the library's file, which any onnxruntime program can load; None where it was not built.

    In Python ``SessionOptions.register_custom_ops_library`` takes it, in C++
    ``SessionOptions::RegisterCustomOpsLibrary``.
    """
    here = Path(__file__).parent
    return next((f for e in _ENDINGS if (f := here / f"onnxplain_ops{e}").is_file()), None)
