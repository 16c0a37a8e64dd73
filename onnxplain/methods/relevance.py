"""Layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.backward.composite import Composite, preset
from onnxplain.methods.base import OnePass

__all__ = ["LRP"]


@dataclass(frozen=True)
class LRP(OnePass):
    """Layer-wise relevance propagation (Bach et al. 2015).

    The score is handed back layer by layer, ``R_j = sum_k z_jk / sum_j z_jk R_k``, by the rules of a
    composite.  Relevance is conserved but for what biases and the stabiliser keep; the result's ``delta``
    says how much that is.

    Parameters
    ----------
    composite
        Name of a preset (``"epsilon_plus"``: z+ for convolutions, eps for the rest; ``"epsilon"``;
        ``"zplus"``), or a :class:`~onnxplain.backward.composite.Composite`.

    Raises
    ------
    MethodError
        If there is no composite of that name.
    """

    name: ClassVar[str] = "lrp"
    composite: str | Composite = "epsilon_plus"

    def __post_init__(self) -> None:
        preset(self.composite)

    def rules(self) -> Composite:
        """Return the composite."""
        return preset(self.composite)
