"""A server of models and their explanations, by the Open Inference Protocol; needs the extra ``serve``."""

from __future__ import annotations

from onnxplain.serve.repository import Repository, write_repository
from onnxplain.serve.server import Server, served
from onnxplain.serve.settings import Settings

__all__ = ["Repository", "Server", "Settings", "served", "write_repository"]
