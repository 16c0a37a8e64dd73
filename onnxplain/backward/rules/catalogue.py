"""All rules by name, as composites in files name them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from onnxplain.backward.rules import guided, lrp, smoothing
from onnxplain.backward.rules.attention import SoftmaxTaylor
from onnxplain.backward.rules.base import Gradient, Pass, Product, Rule, Stop
from onnxplain.backward.rules.normalization import DetachedNorm
from onnxplain.backward.rules.pooling import ProportionalPool
from onnxplain.errors import MethodError

__all__ = ["RULES", "make_rule"]

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
    "detached": lambda stabilizer=1e-6, bias="keep": DetachedNorm(stabilizer, bias),
    "proportional": lambda stabilizer=1e-6: ProportionalPool(stabilizer),
    "guided": lambda: guided.Guided(),
    "deconvolution": lambda: guided.Deconvolution(),
    "beta_smooth": lambda beta_smooth=10.0: smoothing.BetaSmooth(beta_smooth),
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
    make = RULES.get(name)
    if make is None:
        raise MethodError(f"there is no rule '{name}'; choose one of {', '.join(RULES)}")
    takes = inspect.signature(make).parameters
    for key in options:
        if key not in takes:
            raise MethodError(
                f"rule '{name}' does not take '{key}'; it takes {', '.join(takes) or 'nothing'}"
            )
    missing = [k for k, p in takes.items() if p.default is p.empty and k not in options]
    if missing:
        raise MethodError(f"rule '{name}' needs {' and '.join(missing)}")
    try:
        return make(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    except (TypeError, ValueError) as error:
        raise MethodError(f"rule '{name}' does not accept {options}: {error}") from error
