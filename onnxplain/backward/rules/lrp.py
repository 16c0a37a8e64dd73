"""Layer-wise relevance propagation: rules as data.

A rule is a sum of groups, a group a list of modified forwards.  With a layer ``L(x; w, b)``, parts ``p`` of
input, weight and bias, signs s, and ``stab(z) = z + eps sign(z)``, ``sign(0) = +1``::

    R_x = sum over groups c:  c * sum over branches (i, w, b):  s p_i(x) * L_w^T(r)
          with  r = R_y / stab(sum over branches  s L(p_i(x); p_w(w), p_b(b)))

============  =====================================================================  =========================
rule          groups                                                                 source
============  =====================================================================  =========================
0, eps        1 * [(x, w, b)]                                                        Bach et al. 2015
gamma         where y > 0: 1 * [(x+, w + g w+, b + g b+), (x-, w + g w-, 0)];        Montavon et al. 2019,
              where y < 0: 1 * [(x+, w + g w-, b + g b-), (x-, w + g w+, 0)]         Andeol et al. 2021
alpha beta    a * [(x+, w+, b+), (x-, w-, 0)] - b * [(x+, w-, b-), (x-, w+, 0)]      Bach et al. 2015
z+            alpha beta with a = 1, b = 0                                           Montavon et al. 2017
flat          1 * [(1, 1, 0)]                                                        Bach et al. 2016
w^2           1 * [(1, w^2, 0)]                                                      Montavon et al. 2017
z^B           1 * [(x, w, 0) - (l, w+, 0) - (h, w-, 0)]                              Montavon et al. 2017
============  =====================================================================  =========================

How a rule runs on an operator is in :mod:`onnxplain.backward.rules.layers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain.backward.registry import BackwardFunction
from onnxplain.backward.rules import layers
from onnxplain.backward.rules.base import Binding
from onnxplain.backward.rules.formula import AS_IT_IS, Bias, Bound, Branch, Formula, Group, Zeroed, magnitude
from onnxplain.backward.rules.stabilizer import Stabilize
from onnxplain.errors import MethodError
from onnxplain.options import Weight

__all__ = [
    "LRPRule",
    "alpha_beta",
    "contrast",
    "epsilon",
    "flat",
    "gamma",
    "norm",
    "wsquare",
    "zbox",
    "zero",
    "zplus",
]


@dataclass(frozen=True)
class LRPRule(Formula):
    """A relevance rule: a formula that binds to every linear node."""

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient of a linear node.

        Raises
        ------
        UnsupportedRuleError
            If the node is not linear in what lies on the path, or the rule changes weights that it does not
            show.
        """
        return layers.bind(self, binding)


_SUPPORTING = (Branch("positive", "positive", "positive"), Branch("negative", "negative", "zero"))
_OPPOSING = (Branch("positive", "negative", "negative"), Branch("negative", "positive", "zero"))
_SUPPORTING_AND_BIAS = (Branch("positive", "positive", "same"), Branch("negative", "negative", "zero"))
_OPPOSING_AND_BIAS = (Branch("positive", "negative", "same"), Branch("negative", "positive", "zero"))


def zero(zero_params: Zeroed = (), bias: Bias = "keep") -> LRPRule:
    """LRP-0: ``R_j = sum_k a_j w_jk / z_k R_k``; nothing goes down from an output that is exactly 0."""
    return LRPRule("zero", (AS_IT_IS,), 0.0, zero_params=_names(zero_params), bias=bias)


def epsilon(epsilon: Stabilize = 1e-6, zero_params: Zeroed = (), bias: Bias = "keep") -> LRPRule:
    """LRP-eps: ``R_j = sum_k a_j w_jk / (z_k + eps sign z_k) R_k``."""
    return LRPRule("epsilon", (AS_IT_IS,), epsilon, zero_params=_names(zero_params), bias=bias)


def norm(stabilizer: Stabilize = 1e-6, zero_params: Zeroed = (), bias: Bias = "keep") -> LRPRule:
    """Share in proportion to the contributions (zennit's name of eps for operators without weights)."""
    return LRPRule("norm", (AS_IT_IS,), stabilizer, zero_params=_names(zero_params), bias=bias)


def gamma(
    gamma: Weight = 0.25, stabilizer: Stabilize = 1e-6, zero_params: Zeroed = (), bias: Bias = "keep"
) -> LRPRule:
    """LRP-gamma: what speaks for an output counts ``1 + gamma`` times, for inputs and outputs of either sign.

    Positive outputs share by ``a+ (w + gamma w+) + a- (w + gamma w-)``, negative outputs by the mirror image.
    """
    gamma = magnitude(gamma, "gamma")
    for_positive = (Branch("positive", "up", "up"), Branch("negative", "down", "zero"))
    for_negative = (Branch("positive", "down", "down"), Branch("negative", "up", "zero"))
    groups = Group(1.0, for_positive, "positive"), Group(1.0, for_negative, "negative")
    return LRPRule(f"gamma({gamma:g})", groups, stabilizer, gamma, zero_params=_names(zero_params), bias=bias)


def alpha_beta(
    alpha: Weight = 2.0,
    beta: Weight = 1.0,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    bias: Bias = "keep",
    whole_bias: bool = False,
) -> LRPRule:
    """LRP-alpha-beta: alpha times the share of what is positive, less beta times the share of what is not.

    Like zennit it counts the bias's positive part among the positive contributions, its negative part among
    the negative ones.  With ``whole_bias`` it adds the bias, whatever its sign, to both sums, as iNNvestigate
    does.

    Raises
    ------
    MethodError
        If ``alpha - beta`` is not 1, or one of them is negative.
    """
    alpha, beta = magnitude(alpha, "alpha"), magnitude(beta, "beta")
    if abs(alpha - beta - 1) > 1e-12:
        raise MethodError(f"alpha is {alpha:g} and beta {beta:g}; give alpha - beta = 1, neither negative")
    supporting, opposing = _SUPPORTING, _OPPOSING
    if whole_bias:
        supporting, opposing = _SUPPORTING_AND_BIAS, _OPPOSING_AND_BIAS
    groups = (Group(alpha, supporting), Group(-beta, opposing))[: 2 if beta else 1]
    name = f"alpha{alpha:g}_beta{beta:g}{'_whole_bias' if whole_bias else ''}"
    return LRPRule(name, groups, stabilizer, zero_params=_names(zero_params), bias=bias)


def zplus(stabilizer: Stabilize = 1e-6, zero_params: Zeroed = (), bias: Bias = "keep") -> LRPRule:
    """LRP z+ (alpha 1, beta 0): only what speaks for the output, for inputs of either sign.

    Like zennit it keeps the positive part of the bias in the denominator; ``zero_params=("bias",)`` drops it.
    """
    return LRPRule(
        "zplus", (Group(1.0, _SUPPORTING),), stabilizer, zero_params=_names(zero_params), bias=bias
    )


def contrast(stabilizer: Stabilize = 1e-6) -> LRPRule:
    """Contrastive excitation backprop's last layer: the share of what supports, less that of what opposes.

    Each of the two sums to the relevance above, so that their difference sums to 0 (Zhang et al. 2016).
    """
    without = [
        tuple(Branch(b.input, b.weight, "zero") for b in branches) for branches in (_SUPPORTING, _OPPOSING)
    ]
    return LRPRule("contrast", (Group(1.0, without[0]), Group(-1.0, without[1])), stabilizer)


def flat(stabilizer: Stabilize = 1e-6) -> LRPRule:
    """LRP-flat: every input of an output gets the same, ``R_j = sum_k 1 / (sum_j 1) R_k``."""
    return LRPRule("flat", (Group(1.0, (Branch("one", "one", "zero"),)),), stabilizer)


def wsquare(stabilizer: Stabilize = 1e-6) -> LRPRule:
    """LRP-w^2: by the weights alone, ``R_j = sum_k w_jk^2 / (sum_j w_jk^2) R_k``, for unbounded inputs."""
    return LRPRule("wsquare", (Group(1.0, (Branch("one", "square", "zero"),)),), stabilizer)


def zbox(low: Bound, high: Bound, stabilizer: Stabilize = 1e-6) -> LRPRule:
    """LRP-z^B, for a first layer whose inputs lie between l and h (pixels).

    ``R_j = sum_k (x_j w_jk - l_j w+_jk - h_j w-_jk) / sum_j (...) R_k``; ``low`` and ``high`` are numbers, or
    one per channel, in the units of the layer's input.

    Raises
    ------
    MethodError
        If some bound below is not less than the one above.
    """
    bounds = [_bound(low, "low"), _bound(high, "high")]
    pairs = _paired(*bounds)
    if any(a >= b for a, b in pairs):
        raise MethodError(
            f"low is {low} and high is {high}; each bound below must be less than the one above"
        )
    branches = (
        Branch("same", "same", "zero"),
        Branch("low", "positive", "zero", -1),
        Branch("high", "negative", "zero", -1),
    )
    return LRPRule("zbox", (Group(1.0, branches),), stabilizer, low=bounds[0], high=bounds[1])


def _names(value: Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _bound(value: Any, name: str) -> Bound:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.full((), np.nan)
    if not array.size or not np.isfinite(array).all():
        raise MethodError(f"{name} is {value!r}; give a number, or one per channel")
    return tuple(array.ravel().tolist()) if array.ndim else float(array)


def _paired(low: Bound, high: Bound) -> list[tuple[float, float]]:
    lows = low if isinstance(low, tuple) else (low,)
    highs = high if isinstance(high, tuple) else (high,)
    count = max(len(lows), len(highs))
    if len(lows) not in (1, count) or len(highs) not in (1, count):
        raise MethodError(f"low has {len(lows)} values and high {len(highs)}; give as many, or one number")
    return list(zip(lows * (count // len(lows)), highs * (count // len(highs)), strict=True))
