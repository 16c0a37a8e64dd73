"""Composites of relevance rules: what each gives to layers, and what all of them do beside the layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.places import Place
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import GRADIENT, Pass, Product, Rule, SignalOnly, Stop
from onnxplain.backward.rules.formula import Bound, Zeroed
from onnxplain.backward.rules.layers import adds_updates
from onnxplain.backward.rules.normalization import DetachedNorm
from onnxplain.backward.rules.pooling import ProportionalPool
from onnxplain.backward.rules.softmax import SoftmaxTaylor
from onnxplain.backward.rules.stabilizer import Stabilize
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, operators
from onnxplain.options import Weight

__all__ = [
    "attention",
    "attention_cp",
    "convolutions",
    "deep_taylor",
    "epsilon",
    "epsilon_gamma_box",
    "excitation_backprop",
    "is_no_piece",
    "is_no_softmax",
    "layered",
    "zero",
    "zero_epsilon_alpha1_beta0",
    "zero_epsilon_gamma",
    "zplus",
]

_CONVS = Match(ops=("Conv", "ConvTranspose"))
_LAYERS = Match(layer=True)
_FIRST = Match(layer=True, first=True)
_POOLS = Match(ops=("MaxPool", "GlobalMaxPool"))
_WINNERS = tuple(sorted(operators(Is.EXTREME, lacks=Is.ELEMENTWISE)))
_NORMED = tuple(sorted(operators(Is.NORM)))

_Pairs: TypeAlias = Sequence[tuple[Match, Rule]]


def layered(
    name: str,
    layers: _Pairs,
    dense: Rule | None = None,
    *,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    winner_take_all: bool = True,
    softmax: Rule | None = None,
) -> Composite:
    """Build a composite from its rules for layers; what happens beside them is the same for all.

    Parameters
    ----------
    name
        Of the composite.
    layers
        Pairs of matcher and rule, tried before all else.
    dense
        The rule of the layers that are left over (default: eps).
    stabilizer
        Of sums, average pooling, and the like.
    zero_params
        ``("bias",)`` leaves constants that are added out of sums, as biases are left out of layers.
    winner_take_all
        False shares what arrives at max pooling in proportion to the activations.
    softmax
        What softmax does (default: :class:`~onnxplain.backward.rules.softmax.SoftmaxTaylor`).
    """
    norm = lrp.norm(stabilizer, zero_params)
    proportional = [] if winner_take_all else [(_POOLS, ProportionalPool(stabilizer))]
    pairs: list[tuple[Match, Rule]] = [
        *layers,
        (Match(categories=(Category.STRUCTURAL,), predicate=_only_moves), GRADIENT),
        (Match(categories=(Category.STRUCTURAL,), predicate=_adds_updates), lrp.norm(stabilizer)),
        *proportional,
        (Match(ops=(*_WINNERS, "ReduceLogSumExp")), GRADIENT),  # these derivatives sum to 1
        (Match(ops=_NORMED), lrp.norm(stabilizer)),
        (_LAYERS, dense or lrp.epsilon()),
        (Match(categories=(Category.LINEAR,)), lrp.norm(stabilizer)),
        (Match(categories=(Category.SUM,)), norm),
        (Match(categories=(Category.BILINEAR,), ops=("Mul", "Div")), Product()),
        (Match(categories=(Category.BILINEAR,)), lrp.norm(stabilizer)),
        (Match(ops=("Softmax",)), softmax or SoftmaxTaylor()),
        (Match(categories=(Category.NORMALIZATION,), predicate=is_no_softmax), DetachedNorm(stabilizer)),
        (Match(ops=("Max", "Min"), predicate=is_no_piece), GRADIENT),
        (Match(categories=(Category.ELEMENTWISE,)), Pass()),
    ]
    return Composite(name, tuple(pairs), preparation=("relevance",))


def _only_moves(place: Place) -> bool:
    """Tell what puts values in their places from what adds or multiplies them into others."""
    return facts.attr(place.node, "reduction", "none") not in ("add", "mul")


def _adds_updates(place: Place) -> bool:
    return adds_updates(place.node)


def is_no_softmax(place: Place) -> bool:
    """Tell the other normalisations from softmax."""
    return place.node.op_type not in ("Softmax", "LogSoftmax")


def is_no_piece(place: Place) -> bool:
    """Tell a maximum of two values from an activation that the exporter wrote out as a maximum."""
    return not place.piece


def zero(zero_params: Zeroed = (), winner_take_all: bool = True) -> Composite:
    """LRP-0 everywhere."""
    return layered(
        "zero",
        (),
        lrp.zero(zero_params),
        stabilizer=0.0,
        zero_params=zero_params,
        winner_take_all=winner_take_all,
    )


def epsilon(
    epsilon: Stabilize = 1e-6,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    winner_take_all: bool = True,
) -> Composite:
    """LRP-eps everywhere."""
    dense = lrp.epsilon(epsilon, zero_params)
    return layered(
        "epsilon", (), dense, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def zplus(stabilizer: Stabilize = 1e-6, zero_params: Zeroed = (), winner_take_all: bool = True) -> Composite:
    """z+ for every layer."""
    dense = lrp.zplus(stabilizer, zero_params)
    return layered(
        "zplus", (), dense, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def convolutions(
    name: str, *, beta: float, first_flat: bool = False, dense_epsilon: float = 1e-6, whole_bias: bool = False
) -> Callable[..., Composite]:
    """Return what makes a composite of alpha-beta for convolutions and eps for dense layers."""

    def make(
        epsilon: Stabilize = dense_epsilon,
        stabilizer: Stabilize = 1e-6,
        zero_params: Zeroed = (),
        winner_take_all: bool = True,
    ) -> Composite:
        conv = (
            lrp.zplus(stabilizer, zero_params)
            if beta == 0 and not whole_bias
            else lrp.alpha_beta(1 + beta, beta, stabilizer, zero_params, whole_bias=whole_bias)
        )
        layers: list[tuple[Match, Rule]] = [(_FIRST, lrp.flat(stabilizer))] if first_flat else []
        dense = lrp.epsilon(epsilon, zero_params)
        return layered(
            name,
            [*layers, (_CONVS, conv)],
            dense,
            stabilizer=stabilizer,
            zero_params=zero_params,
            winner_take_all=winner_take_all,
        )

    return make


def epsilon_gamma_box(
    low: Bound | None = None,
    high: Bound | None = None,
    epsilon: Stabilize = 1e-6,
    gamma: Weight = 0.25,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    winner_take_all: bool = True,
) -> Composite:
    """z^B in the first convolution, gamma in the others, eps for dense layers (zennit)."""
    name = "epsilon_gamma_box"
    if low is None or high is None:
        raise MethodError(
            f"composite '{name}' needs low and high: the least and the greatest value that the input of the "
            "first layer can take, a number each or one per channel"
        )
    layers: _Pairs = (
        (Match(ops=_CONVS.ops, first=True), lrp.zbox(low, high, stabilizer)),
        (_CONVS, lrp.gamma(gamma, stabilizer, zero_params)),
    )
    dense = lrp.epsilon(epsilon, zero_params)
    return layered(
        name, layers, dense, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def zero_epsilon_gamma(
    epsilon: Stabilize = 1e-6,
    gamma: Weight = 0.25,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    winner_take_all: bool = True,
) -> Composite:
    """LRP-0 above, eps in the middle, gamma below (Montavon et al. 2019)."""
    lower = lrp.gamma(gamma, stabilizer, zero_params)
    return _three_parts("zero_epsilon_gamma", lower, epsilon, stabilizer, zero_params, winner_take_all)


def zero_epsilon_alpha1_beta0(
    epsilon: Stabilize = 1e-6,
    stabilizer: Stabilize = 1e-6,
    zero_params: Zeroed = (),
    winner_take_all: bool = True,
) -> Composite:
    """LRP-0 above, eps in the middle, alpha 1, beta 0 below."""
    lower = lrp.zplus(stabilizer, zero_params)
    return _three_parts("zero_epsilon_alpha1_beta0", lower, epsilon, stabilizer, zero_params, winner_take_all)


def _three_parts(
    name: str,
    lower: Rule,
    epsilon: Stabilize,
    stabilizer: Stabilize,
    zero_params: Zeroed,
    winner_take_all: bool,
) -> Composite:
    """LRP-0 in the upper third of the layers, eps in the middle, and a rule for the lower third."""
    layers: _Pairs = (
        (Match(layer=True, depth=(2 / 3, 1.0)), lrp.zero(zero_params)),
        (Match(layer=True, depth=(1 / 3, 2 / 3)), lrp.epsilon(epsilon, zero_params)),
    )
    return layered(
        name, layers, lower, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def deep_taylor(
    low: Bound | None = None,
    high: Bound | None = None,
    stabilizer: Stabilize = 1e-6,
    winner_take_all: bool = True,
) -> Composite:
    """z+ without biases; in the first layer w^2, or z^B where bounds are given."""
    if (low is None) != (high is None):
        raise MethodError(
            "composite 'deep_taylor' takes both low and high (bounded inputs), or neither (unbounded)"
        )
    first = lrp.wsquare(stabilizer) if low is None or high is None else lrp.zbox(low, high, stabilizer)
    dense = lrp.zplus(stabilizer, ("bias",))
    return layered(
        "deep_taylor", ((_FIRST, first),), dense, stabilizer=stabilizer, winner_take_all=winner_take_all
    )


def excitation_backprop(
    stabilizer: Stabilize = 1e-6, zero_params: Zeroed = ("bias",), contrastive: bool = False
) -> Composite:
    """z+ without biases, from 1 at the score."""
    last: _Pairs = ((Match(layer=True, last=True), lrp.contrast(stabilizer)),) if contrastive else ()
    made = layered(
        "excitation_backprop",
        last,
        lrp.zplus(stabilizer, zero_params),
        stabilizer=stabilizer,
        zero_params=zero_params,
    )
    return replace(made, seed="one")


def attention(epsilon: Stabilize = 1e-6, stabilizer: Stabilize = 1e-6) -> Composite:
    """eps, with softmax linearised and products shared (AttnLRP)."""
    return layered("attention", (), lrp.epsilon(epsilon), stabilizer=stabilizer)


def attention_cp(epsilon: Stabilize = 1e-6, stabilizer: Stabilize = 1e-6) -> Composite:
    """eps, with attention weights as constants (Ali et al. 2022)."""
    products: _Pairs = ((Match(ops=("MatMul", "Einsum"), layer=False), SignalOnly(lrp.epsilon(epsilon))),)
    return layered("attention_cp", products, lrp.epsilon(epsilon), stabilizer=stabilizer, softmax=Stop())
