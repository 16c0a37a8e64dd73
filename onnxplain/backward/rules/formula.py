"""The data of a relevance rule: groups of branches, stabiliser, and what becomes of the share of biases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from onnxplain.backward.rules.stabilizer import Stabilize
from onnxplain.errors import MethodError
from onnxplain.options import OneOf, Weight, check_option

__all__ = [
    "AS_IT_IS",
    "Bias",
    "Bound",
    "Branch",
    "Formula",
    "Group",
    "Part",
    "Zeroed",
    "check_bias",
    "magnitude",
]

#: How a branch changes an operand; "up" and "down" are ``w + gamma w+`` and ``w + gamma w-``.
Part = Literal["same", "positive", "negative", "up", "down", "square", "one", "low", "high", "zero"]

#: The least or greatest value that an input can take: a number, or one per channel.
Bound: TypeAlias = Annotated[float | tuple[float, ...], Field(description="a number, or one per channel")]

#: Names of parameters that count as 0.
Zeroed: TypeAlias = Annotated[
    Sequence[str], OneOf(str, tuple), Field(description="'bias', 'weight', or both")
]

#: What becomes of the share of a bias.  "keep": it stays with the bias, as in zennit, Captum and the papers'
#: formulas.  "drop": biases do not count (``zero_params=("bias",)``).  "spread": the inputs of each output
#: get it, in proportion to their contributions, evenly where there are none (module ``layers``).  "scale":
#: the inputs of the layer get it, in proportion to what they got from all of its outputs (module ``scale``).
Bias: TypeAlias = Literal["keep", "drop", "spread", "scale"]


def check_bias(bias: str) -> None:
    """Refuse an unknown treatment of biases.

    Raises
    ------
    MethodError
        If it is none of :data:`Bias`.
    """
    check_option("bias", bias, Bias, MethodError)


def magnitude(value: Any, name: str) -> float:
    """Return a number that must not be negative.

    Raises
    ------
    MethodError
        If it is none.
    """
    return float(check_option(name, value, Weight, MethodError))


@dataclass(frozen=True)
class Branch:
    """One modified forward: which part of the input, the weight and the bias it uses, and its sign."""

    input: Part
    weight: Part
    bias: Part
    sign: int = 1


@dataclass(frozen=True)
class Group:
    """Branches that share a denominator, the group's factor, and for which outputs it is."""

    factor: float
    branches: tuple[Branch, ...]
    outputs: Literal["all", "positive", "negative"] = "all"


@dataclass(frozen=True)
class Formula:
    """How relevance is shared out, whatever the linear operator.

    Attributes
    ----------
    name
        Shown in the rule table.
    groups
        See :mod:`onnxplain.backward.rules.lrp`.
    stabilizer
        The stabiliser: its epsilon, absolute, or a function ``(op, z) -> z``.
    gamma
        Of the parts "up" and "down".
    low, high
        Of the parts "low" and "high".
    zero_params
        Parameters to set to zero: ``"bias"``, ``"weight"``.
    bias
        What becomes of the share of a bias, see :data:`Bias`; without a meaning where no branch has one.
    """

    name: str
    groups: tuple[Group, ...]
    stabilizer: Stabilize = 1e-6
    gamma: float = 0.0
    low: Bound | None = None
    high: Bound | None = None
    zero_params: tuple[str, ...] = ()
    bias: Bias = "keep"

    def __post_init__(self) -> None:
        check_bias(self.bias)
        if not callable(self.stabilizer):
            object.__setattr__(self, "stabilizer", magnitude(self.stabilizer, "epsilon or stabilizer"))
        for name in self.zero_params:
            if name not in ("bias", "weight"):
                raise MethodError(f"zero_params names '{name}'; it may name 'bias' and 'weight'")

    @property
    def proportional(self) -> bool:
        """Whether nothing is given to an input that is 0."""
        return self.bias in ("keep", "drop") and all(
            b.input in ("same", "positive", "negative") for group in self.groups for b in group.branches
        )

    @property
    def plain(self) -> bool:
        """Whether the only branch is the layer as it is."""
        return self.groups == (AS_IT_IS,) and not self.zero_params and self.bias != "drop"

    @property
    def plain_without_bias(self) -> bool:
        """Whether the only branch is the layer as it is, but perhaps for its bias."""
        return self.groups == (AS_IT_IS,) and "weight" not in self.zero_params

    @property
    def counts_bias(self) -> bool:
        """Whether a bias has a share at all (flat, w^2 and z^B know none)."""
        return any(b.bias != "zero" for group in self.groups for b in group.branches)

    @property
    def without_bias(self) -> bool:
        """Whether biases count as 0."""
        return self.bias == "drop" or "bias" in self.zero_params


AS_IT_IS = Group(1.0, (Branch("same", "same", "same"),))
