"""Layer-wise relevance propagation, and excitation backprop, which is one of its composites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.backward.rules.formula import Bias, Bound
from onnxplain.backward.rules.stabilizer import Written
from onnxplain.errors import MethodError
from onnxplain.methods.base import OnePass
from onnxplain.options import OneOf, Weight

__all__ = ["LRP", "ExcitationBackprop"]


_Bound: TypeAlias = Annotated[Bound, Field(description="a number, or one per channel")]
_Composite: TypeAlias = Annotated[
    str | PathLike[str] | Composite,
    OneOf(str, PathLike, Composite),
    Field(description="the name of a composite, the path of a file, or a Composite"),
]


@dataclass(frozen=True, repr=False)
class LRP(OnePass):
    """Layer-wise relevance propagation (Bach et al. 2015).

    The score is handed back layer by layer, ``R_j = sum_k z_jk / sum_j z_jk R_k``, by the rules of a
    composite.  Relevance is conserved but for what the stabiliser, a linearised softmax and, under
    ``bias="keep"``, biases keep; the result's ``delta`` says how much that is.

    Parameters
    ----------
    composite
        Name of a preset (``"conserving"``: z+ for convolutions, eps for the rest, and the share of biases for
        the inputs; see :mod:`onnxplain.backward.composites.presets` for all), path of a ``.toml`` or
        ``.json`` file, or a :class:`~onnxplain.backward.composites.composite.Composite`.
    epsilon
        Of the rule eps: added to the denominator with its sign, absolute; or a function ``(op, z) -> z``.
    gamma
        Of the rule gamma.
    low, high
        Of the rule z^B: the least and the greatest value that the first layer's input can take, a number or
        one per channel, in the units of that input.
    stabilizer
        What keeps the denominators of the other rules from 0, like ``epsilon``.
    zero_params
        Parameters that rules take as zero: ``("bias",)`` leaves biases out.
    winner_take_all
        What arrives at max pooling goes to the winner; False shares it in proportion to the activations.
    bias
        What becomes of the share of biases: ``"keep"`` (it stays there: zennit's and Captum's convention),
        ``"drop"`` (biases do not count), ``"spread"`` (to the inputs of each output, in proportion to their
        contributions, evenly where there are none) or ``"scale"`` (to the inputs of the layer, in proportion
        to what they got).  Default: what the composite says itself; ``"scale"`` for ``conserving``,
        ``"keep"`` for presets that have their rules from zennit, iNNvestigate or papers.
    account
        Say which nodes kept how much: ``result.extras["kept"]``, by node, over all samples of the call
        (those that fill up a fixed batch included).

    Notes
    -----
    Options left at None have the composite's own default.

    Raises
    ------
    MethodError
        If there is no composite of that name, it does not take an option, or needs a reference.
    """

    name: ClassVar[str] = "lrp"
    steady: ClassVar[bool] = True
    sums_to: ClassVar[str] = "score, what biases and stabilisers keep apart"
    composite: _Composite = "conserving"
    epsilon: Weight | Written | None = None
    gamma: Weight | None = None
    low: _Bound | None = None
    high: _Bound | None = None
    stabilizer: Weight | Written | None = None
    zero_params: tuple[Literal["bias", "weight"], ...] | None = None
    winner_take_all: bool | None = None
    bias: Bias | None = None
    account: bool = False

    def __post_init__(self) -> None:
        names: Any = self.zero_params
        if isinstance(names, str):
            object.__setattr__(self, "zero_params", tuple(name.strip() for name in names.split(",")))
        for key in ("low", "high", "zero_params"):
            object.__setattr__(self, key, _hashable(getattr(self, key)))
        super().__post_init__()
        if self._composite.reference:
            raise MethodError(
                f"composite '{self._composite.name}' compares with a reference; use the method deep_lift, or "
                "deep_lift_shap"
            )

    def __repr__(self) -> str:
        """Write the composite, and what is not left to it."""
        given = [(f, getattr(self, f.name)) for f in fields(self)]
        told = [f"{f.name}={v!r}" for f, v in given if f.name == "composite" or v != f.default]
        return f"LRP({', '.join(told)})"

    @classmethod
    def rebuilt(cls, parameters: Mapping[str, Any]) -> LRP:
        """Make the method from parameters that a file of results holds, if its composite is no other file.

        Raises
        ------
        MethodError, TypeError
            If it is, or the parameters make no method.
        """
        if parameters.get("composite", "conserving") not in PRESETS:
            raise MethodError("its composite is a file, which may be another by now; make the method anew")
        return cls(**parameters)

    def rules(self) -> Composite:
        """Return the composite."""
        return self._composite

    @cached_property
    def _composite(self) -> Composite:
        """The composite, made (and its file read) once."""
        own = ("composite", "account")
        options = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in own}
        return preset(self.composite, **{k: v for k, v in options.items() if v is not None})

    def accounts(self) -> bool:
        """Return whether nodes are to say what they keep."""
        return self.account


@dataclass(frozen=True)
class ExcitationBackprop(OnePass):
    """Excitation backprop (Zhang et al. 2016): the probability that a random walk down the network ends here.

    ``P_j = sum_k a_j w+_jk / (sum_j a_j w+_jk) P_k``, from 1 at the score: what LRP z+ without biases does.
    The attributions sum to 1, but for what ends in outputs without positive contributions.

    Parameters
    ----------
    contrastive
        Subtract what the same walk gives for the opposite of the score (the last layer's weights negated), so
        that what speaks for all classes alike cancels.
    """

    name: ClassVar[str] = "excitation_backprop"
    steady: ClassVar[bool] = True
    sums_to: ClassVar[str] = "1"
    contrastive: bool = False

    def rules(self) -> Composite:
        """Return the composite."""
        return _excitation(self.contrastive)


@cache
def _excitation(contrastive: bool) -> Composite:
    return preset("excitation_backprop", contrastive=contrastive)


def _hashable(value: Any) -> Any:
    """Return lists and arrays as tuples, so that methods can key caches."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return tuple(value)
    return tuple(value.ravel().tolist()) if hasattr(value, "ravel") and value.ndim else value
