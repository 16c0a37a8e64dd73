"""Averaging any method over noisy copies of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxplain.backward.asks import Ask
from onnxplain.methods.base import Method
from onnxplain.methods.gradients import Saliency
from onnxplain.methods.registry import method as make_method
from onnxplain.options import Count, Seed, Weight
from onnxplain.runtime.plans.combinations import Spread
from onnxplain.runtime.plans.plan import Plan
from onnxplain.runtime.plans.points import Noise

__all__ = ["SmoothGrad"]


_SIGNED = Saliency(abs=False)
_MOMENTS: dict[str, Literal["mean", "square", "variance"]] = {
    "smoothgrad": "mean",
    "smoothgrad_sq": "square",
    "vargrad": "variance",
}


@dataclass(frozen=True)
class SmoothGrad(Method):
    """SmoothGrad (Smilkov et al. 2017), and its relatives, around any method.

    With ``A_i`` the inner method's attribution at ``x + noise_i``, n samples:

    * ``"smoothgrad"``: ``mean A_i``
    * ``"smoothgrad_sq"``: ``mean A_i^2``
    * ``"vargrad"``: ``mean A_i^2 - (mean A_i)^2``

    Parameters
    ----------
    method
        What to average, a method or the name of one; the signed gradient by default.  Baselines, background
        and players are handed to it, where it has such: ``SmoothGrad("integrated_gradients")`` is smooth
        integrated gradients, ``SmoothGrad("feature_ablation")`` needs no gradient.
    n_samples
        Noisy copies.
    stdevs
        Standard deviation of the Gaussian noise, in the input's units.  None: ``noise_level`` times the
        range (max - min) of each sample.
    noise_level
        See ``stdevs``.
    nt_type
        ``"smoothgrad"``, ``"smoothgrad_sq"`` or ``"vargrad"``.
    seed
        Same seed, same bits.

    Notes
    -----
    The result's ``extras["standard_error"]`` holds, by input, the standard error of what is returned: of the
    mean of ``A_i``, of that of ``A_i^2``, or of the variance.  From one sample none can be told: it is NaN.

    Raises
    ------
    MethodError
        If a parameter makes no sense.
    """

    name: ClassVar[str] = "smooth_grad"
    cost: ClassVar[str] = "n_samples times the inner method; by default forwards and backwards"
    method: Method | str = _SIGNED
    n_samples: Count = 25
    stdevs: Weight | None = None
    noise_level: Weight = 0.15
    nt_type: Literal["smoothgrad", "smoothgrad_sq", "vargrad"] = "smoothgrad"
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "method", make_method(self.method))

    @property
    def inner(self) -> Method:
        """What is averaged."""
        return make_method(self.method)

    def needs(self) -> Ask:
        """Return what the inner method asks."""
        return self.inner.needs()

    def layers(self) -> tuple[str, ...]:
        """Return what the inner method explains."""
        return self.inner.layers()

    def wants_baselines(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_baselines()

    def wants_background(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_background()

    def reads_rows(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.reads_rows()

    def wants_target(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_target()

    def wants_players(self) -> bool:
        """Return whether the inner method does."""
        return self.inner.wants_players()

    def default_baseline(self) -> str | None:
        """Return the inner method's."""
        return self.inner.default_baseline()

    def margins(self) -> bool:
        """Return whether the inner method explains what enters a closing Sigmoid."""
        return self.inner.margins()

    def plan(self) -> Plan:
        """Explain noisy copies, and take a moment of what comes out."""
        noise = Noise(self.n_samples, self.stdevs, self.noise_level, self.seed)
        return Plan(noise, self.inner.question(), Spread(_MOMENTS[self.nt_type]), "smooth grad")
