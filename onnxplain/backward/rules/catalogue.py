"""All rules by name, as composites in files name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxplain.backward.rules import guided, lrp, smoothing
from onnxplain.backward.rules.base import Gradient, Pass, Product, Rule, Stop
from onnxplain.backward.rules.formula import Bias
from onnxplain.backward.rules.normalization import DetachedNorm
from onnxplain.backward.rules.pooling import ProportionalPool
from onnxplain.backward.rules.softmax import SoftmaxTaylor
from onnxplain.backward.rules.stabilizer import Stabilize
from onnxplain.errors import MethodError
from onnxplain.options import Positive, make, nearest

__all__ = ["RULES", "make_rule"]


def _detached(stabilizer: Stabilize = 1e-6, bias: Bias = "keep") -> Rule:
    return DetachedNorm(stabilizer, bias)


def _proportional(stabilizer: Stabilize = 1e-6) -> Rule:
    return ProportionalPool(stabilizer)


def _beta_smooth(beta_smooth: Positive = 10.0) -> Rule:
    return smoothing.BetaSmooth(beta_smooth)


#: What makes each rule; what they take are the rule's options.
RULES: dict[str, Callable[..., Rule]] = {
    "zero": lrp.zero,
    "epsilon": lrp.epsilon,
    "gamma": lrp.gamma,
    "alpha_beta": lrp.alpha_beta,
    "zplus": lrp.zplus,
    "flat": lrp.flat,
    "wsquare": lrp.wsquare,
    "zbox": lrp.zbox,
    "norm": lrp.norm,
    "pass": lambda: Pass(),
    "product": lambda: Product(),
    "stop": lambda: Stop(),
    "gradient": lambda: Gradient(),
    "softmax": lambda: SoftmaxTaylor(),
    "detached": _detached,
    "proportional": _proportional,
    "guided": lambda: guided.Guided(),
    "deconvolution": lambda: guided.Deconvolution(),
    "beta_smooth": _beta_smooth,
}


def make_rule(name: str, **options: Any) -> Rule:
    """Make a rule by name.

    Parameters
    ----------
    name
        A name of :data:`RULES`.
    **options
        What the rule takes; lists count as one number per channel.

    Raises
    ------
    MethodError
        If the name or an option is unknown, or an option is missing or makes no sense.
    """
    factory = RULES.get(name)
    if factory is None:
        raise MethodError(
            f"there is no rule '{name}'; choose one of {', '.join(RULES)}{nearest(name, RULES)}"
        )
    return make(factory, options, f"rule '{name}'")
