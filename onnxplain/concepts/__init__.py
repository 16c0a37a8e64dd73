"""Concepts that a user shows by examples, and whether a score depends on them: TCAV."""

from onnxplain.concepts.result import ConceptScore, TCAVResult
from onnxplain.concepts.tcav import tcav

__all__ = ["ConceptScore", "TCAVResult", "tcav"]
