"""Model repositories of Triton, and services of KServe, for exported files; needs no other package."""

from __future__ import annotations

from onnxplain.serve.repository.writing import Repository, write_repository

__all__ = ["Repository", "write_repository"]
