"""Which nodes a rule is for."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from onnxplain.backward.composites.places import Place
from onnxplain.backward.registry import Category

__all__ = ["Match"]


@dataclass(frozen=True)
class Match:
    """Which nodes a rule is for; all conditions given must hold.

    Attributes
    ----------
    ops
        Operator types.
    categories
        Categories of operators.
    name
        Shell pattern for the node's name.
    layer
        Whether the node is a linear layer with weights (Conv, ConvTranspose, Gemm, MatMul, Einsum).
    first, last
        Whether it is a layer without another layer before it, or after it.
    depth
        Where it stands, from 0 (first layers) to 1 (last layers): ``low <= depth < high``, and 1 belongs to
        an interval that ends there.
    predicate
        Anything else: takes a :class:`~onnxplain.backward.composites.places.Place`.
    """

    ops: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    name: str = "*"
    layer: bool | None = None
    first: bool | None = None
    last: bool | None = None
    depth: tuple[float, float] | None = None
    predicate: Callable[[Place], bool] | None = None

    def __post_init__(self) -> None:
        for key in ("ops", "categories"):  # one by itself is meant as a list of one
            value = getattr(self, key)
            single = isinstance(value, (str, Category))
            object.__setattr__(self, key, (value,) if single else tuple(value))

    def __call__(self, place: Place) -> bool:
        """Tell whether a node matches."""
        if self.ops and place.node.op_type not in self.ops:
            return False
        if self.categories and place.category not in self.categories:
            return False
        for wanted, found in zip(
            (self.layer, self.first, self.last), (place.layer, place.first, place.last), strict=True
        ):
            if wanted is not None and wanted != found:
                return False
        if self.depth is not None:
            low, high = self.depth
            if not (low <= place.depth < high or place.depth == high == 1.0):
                return False
        if self.predicate is not None and not self.predicate(place):
            return False
        return fnmatch.fnmatchcase(place.node.name or "", self.name)
