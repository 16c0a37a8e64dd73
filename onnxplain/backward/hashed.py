"""Keys of many fields, hashed once."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any

__all__ = ["HashedOnce"]


class HashedOnce:
    """Hashes all fields of a frozen dataclass, once: a composite has many rules, and a question a composite.

    A dataclass makes a hash of its own unless it says ``__hash__ = HashedOnce.__hash__``.
    """

    def __hash__(self) -> int:
        """Hash all fields."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(self)))  # type: ignore[arg-type]  # it is one

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_hash"}  # texts hash anew in each process
