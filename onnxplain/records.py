"""Small classes of which every call makes some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

__all__ = ["record"]

_T = TypeVar("_T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
    def record(kind: type[_T]) -> type[_T]:
        """Make a dataclass that nobody may change, of this package's own: the type checker sees to it.

        While frozen dataclasses see to it themselves, by ways that take ten times as long to make one.
        """

else:
    record = dataclass(eq=False)
