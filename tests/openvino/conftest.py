"""Trained models with real inputs, as in ``tests/real``."""

from __future__ import annotations

from trained import real_model

__all__ = ["real_model"]
