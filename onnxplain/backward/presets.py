"""Composites by name.

=============================  =======================================================================
name                           rules for layers with weights
=============================  =======================================================================
``zero``, ``epsilon``          LRP-0 and LRP-eps everywhere
``zplus``                      z+ for every layer, eps for what else is linear
``epsilon_plus``               z+ for convolutions, eps for dense layers (zennit)
``epsilon_alpha2_beta1``       alpha 2, beta 1 for convolutions, eps for dense layers (zennit)
``..._flat``                   the same, with flat in the first layer (zennit)
``epsilon_gamma_box``          z^B in the first convolution, gamma in the others, eps dense (zennit)
``sequential_preset_a``        alpha 1, beta 0 for convolutions, eps = 0.1 dense (iNNvestigate)
``sequential_preset_b``        alpha 2, beta 1 for convolutions, eps = 0.1 dense (iNNvestigate)
``..._flat``                   the same, with flat in the first layer (iNNvestigate)
``zero_epsilon_gamma``         LRP-0 in the upper third, eps in the middle, gamma below
``zero_epsilon_alpha1_beta0``  LRP-0 in the upper third, eps in the middle, alpha 1, beta 0 below
``deep_taylor``                z+ without biases; first layer w^2, or z^B where bounds are given
``excitation_backprop``        z+ without biases everywhere
``attention``                  eps, and AttnLRP in attention: softmax linearised, products shared
``attention_cp``               eps, and attention weights count as constant (conservative propagation)
=============================  =======================================================================

Beside the layers, all of them do the same.  What moves values moves relevance, max pooling gives it to the
winner, sums and average pooling share by contribution (norm), elementwise functions and normalisations pass
it on, products give all to the signal where the other factor is a gate and else half to each, and softmax
is linearised.

``deep_lift_rescale`` and ``deep_lift_reveal_cancel`` walk back with DeepLIFT's multipliers, which compare
with a reference.

``gradient``, ``guided_backprop``, ``deconvnet`` and ``beta_smooth`` walk back with gradients and differ at
rectifiers only; ``visual_backprop`` carries a mask down.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import onnx_ir as ir

from onnxplain.backward import composite_file
from onnxplain.backward.composite import Composite, Match
from onnxplain.backward.places import Place
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import deeplift, guided, lrp, reveal_cancel, visual
from onnxplain.backward.rules.attention import SoftmaxTaylor
from onnxplain.backward.rules.base import GRADIENT, Pass, Product, Rule, SignalOnly, Stop
from onnxplain.backward.rules.normalization import DetachedNorm
from onnxplain.backward.rules.pooling import ProportionalPool
from onnxplain.backward.rules.stabilizer import Stabilize
from onnxplain.errors import MethodError
from onnxplain.graph import facts

__all__ = ["PRESETS", "layered", "preset"]

_CONVS = Match(ops=("Conv", "ConvTranspose"))
_LAYERS = Match(layer=True)
_FIRST = Match(layer=True, first=True)
_POOLS = Match(ops=("MaxPool", "GlobalMaxPool"))
_WINNERS = ("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin")
_NORMED = ("LpPool", "GlobalLpPool", "ReduceL1", "ReduceL2")

_Pairs: TypeAlias = Sequence[tuple[Match, Rule]]


def layered(
    name: str,
    layers: _Pairs,
    dense: Rule | None = None,
    *,
    stabilizer: Stabilize = 1e-6,
    zero_params: Sequence[str] = (),
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
        What softmax does (default: :class:`~onnxplain.backward.rules.attention.SoftmaxTaylor`).
    """
    norm = lrp.norm(stabilizer, zero_params)
    proportional = [] if winner_take_all else [(_POOLS, ProportionalPool(stabilizer))]
    pairs: list[tuple[Match, Rule]] = [
        *layers,
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        *proportional,
        (Match(ops=_WINNERS), GRADIENT),
        (Match(ops=_NORMED), lrp.norm(stabilizer)),
        (_LAYERS, dense or lrp.epsilon()),
        (Match(categories=(Category.LINEAR,)), lrp.norm(stabilizer)),
        (Match(categories=(Category.SUM,)), norm),
        (Match(categories=(Category.BILINEAR,), ops=("Mul", "Div")), Product()),
        (Match(ops=("Softmax",)), softmax or SoftmaxTaylor()),
        (Match(categories=(Category.NORMALIZATION,), predicate=_is_no_softmax), DetachedNorm(stabilizer)),
        (Match(ops=("Max", "Min"), predicate=_is_no_piece), GRADIENT),
        (Match(categories=(Category.ELEMENTWISE,)), Pass()),
    ]
    return Composite(name, tuple(pairs), preparation=("relevance",))


def _is_no_softmax(place: Place) -> bool:
    return place.node.op_type not in ("Softmax", "LogSoftmax")


def _is_no_piece(place: Place) -> bool:
    """Tell a maximum of two values from an activation that the exporter wrote out as a maximum."""
    return not place.piece


def _zero(zero_params: Sequence[str] = (), winner_take_all: bool = True) -> Composite:
    return layered(
        "zero",
        (),
        lrp.zero(zero_params),
        stabilizer=0.0,
        zero_params=zero_params,
        winner_take_all=winner_take_all,
    )


def _epsilon(
    epsilon: Stabilize = 1e-6,
    stabilizer: Stabilize = 1e-6,
    zero_params: Sequence[str] = (),
    winner_take_all: bool = True,
) -> Composite:
    dense = lrp.epsilon(epsilon, zero_params)
    return layered(
        "epsilon", (), dense, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def _zplus(
    stabilizer: Stabilize = 1e-6, zero_params: Sequence[str] = (), winner_take_all: bool = True
) -> Composite:
    dense = lrp.zplus(stabilizer, zero_params)
    return layered(
        "zplus", (), dense, stabilizer=stabilizer, zero_params=zero_params, winner_take_all=winner_take_all
    )


def _convolutions(
    name: str, alpha: float, beta: float, *, first_flat: bool = False, dense_epsilon: float = 1e-6
) -> Callable[..., Composite]:
    """Return what makes a composite of alpha and beta for convolutions and eps for dense layers."""

    def make(
        epsilon: Stabilize = dense_epsilon,
        stabilizer: Stabilize = 1e-6,
        zero_params: Sequence[str] = (),
        winner_take_all: bool = True,
    ) -> Composite:
        conv = (
            lrp.zplus(stabilizer, zero_params)
            if beta == 0
            else lrp.alpha_beta(alpha, beta, stabilizer, zero_params)
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


def _epsilon_gamma_box(
    low: lrp.Bound | None = None,
    high: lrp.Bound | None = None,
    epsilon: Stabilize = 1e-6,
    gamma: float = 0.25,
    stabilizer: Stabilize = 1e-6,
    zero_params: Sequence[str] = (),
    winner_take_all: bool = True,
) -> Composite:
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


def _zero_epsilon_gamma(
    epsilon: Stabilize = 1e-6,
    gamma: float = 0.25,
    stabilizer: Stabilize = 1e-6,
    zero_params: Sequence[str] = (),
    winner_take_all: bool = True,
) -> Composite:
    lower = lrp.gamma(gamma, stabilizer, zero_params)
    return _three_parts("zero_epsilon_gamma", lower, epsilon, stabilizer, zero_params, winner_take_all)


def _zero_epsilon_alpha1_beta0(
    epsilon: Stabilize = 1e-6,
    stabilizer: Stabilize = 1e-6,
    zero_params: Sequence[str] = (),
    winner_take_all: bool = True,
) -> Composite:
    lower = lrp.zplus(stabilizer, zero_params)
    return _three_parts("zero_epsilon_alpha1_beta0", lower, epsilon, stabilizer, zero_params, winner_take_all)


def _three_parts(
    name: str,
    lower: Rule,
    epsilon: Stabilize,
    stabilizer: Stabilize,
    zero_params: Sequence[str],
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


def _deep_taylor(
    low: lrp.Bound | None = None,
    high: lrp.Bound | None = None,
    stabilizer: Stabilize = 1e-6,
    winner_take_all: bool = True,
) -> Composite:
    if (low is None) != (high is None):
        raise MethodError(
            "composite 'deep_taylor' takes both low and high (bounded inputs), or neither (unbounded)"
        )
    first = lrp.wsquare(stabilizer) if low is None or high is None else lrp.zbox(low, high, stabilizer)
    dense = lrp.zplus(stabilizer, ("bias",))
    return layered(
        "deep_taylor", ((_FIRST, first),), dense, stabilizer=stabilizer, winner_take_all=winner_take_all
    )


def _excitation_backprop(
    stabilizer: Stabilize = 1e-6, zero_params: Sequence[str] = ("bias",), contrastive: bool = False
) -> Composite:
    last: _Pairs = ((Match(layer=True, last=True), lrp.contrast(stabilizer)),) if contrastive else ()
    made = layered(
        "excitation_backprop",
        last,
        lrp.zplus(stabilizer, zero_params),
        stabilizer=stabilizer,
        zero_params=zero_params,
    )
    return replace(made, seed="one")


def _attention(epsilon: Stabilize = 1e-6, stabilizer: Stabilize = 1e-6) -> Composite:
    return layered("attention", (), lrp.epsilon(epsilon), stabilizer=stabilizer)


def _attention_cp(epsilon: Stabilize = 1e-6, stabilizer: Stabilize = 1e-6) -> Composite:
    products: _Pairs = ((Match(ops=("MatMul", "Einsum"), layer=False), SignalOnly(lrp.epsilon(epsilon))),)
    return layered("attention_cp", products, lrp.epsilon(epsilon), stabilizer=stabilizer, softmax=Stop())


def _visual_backprop() -> Composite:
    pairs: _Pairs = (
        (Match(predicate=_leaves_the_image), visual.VisualStart()),
        (Match(predicate=_is_flat), GRADIENT),
        (Match(ops=("Conv",), first=True), visual.VisualLayer(weigh=False)),
        (Match(ops=("Conv",)), visual.VisualLayer()),
        (Match(ops=("MaxPool", "AveragePool")), visual.VisualLayer(weigh=False)),
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        (Match(ops=("Mul", "Div")), Product()),
        (Match(categories=(Category.SUM, Category.ELEMENTWISE)), visual.AllPass()),
        (Match(categories=(Category.NORMALIZATION,), predicate=_is_no_softmax), Pass()),
    )
    return Composite("visual_backprop", tuple(pairs), seed="one", preparation=("relevance",), needs=("Conv",))


def _is_flat(place: Place) -> bool:
    """Tell a node that is no longer about places in an image (or along time)."""
    rank = facts.rank(place.node.outputs[0])
    return rank is not None and rank < 3


def _leaves_the_image(place: Place) -> bool:
    x = place.node.inputs[0]
    rank = None if x is None else facts.rank(x)
    away = place.node.op_type in ("GlobalAveragePool", "GlobalMaxPool") or _is_flat(place)
    spatial = place.node.op_type.startswith("Reduce") and _axes_are_spatial(place.node)
    return rank is not None and rank >= 3 and (away or spatial)


def _axes_are_spatial(node: ir.Node) -> bool:
    """Tell a reduction over all places, which keeps the channels apart."""
    axes = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    x = node.inputs[0]
    rank = None if x is None else facts.rank(x)
    return (
        axes is not None and rank is not None and {int(a) % rank for a in axes.ravel()} == set(range(2, rank))
    )


def _guided(name: str, rule: Rule) -> Composite:
    pairs: _Pairs = ((Match(ops=guided.RECTIFIERS), rule), (Match(), GRADIENT))
    return Composite(name, tuple(pairs), seed="one", regions=False)


def _beta_smooth(beta_smooth: float = 10.0) -> Composite:
    if beta_smooth <= 0:
        raise MethodError(f"beta_smooth is {beta_smooth:g}; give a number above 0")
    pairs: _Pairs = ((Match(ops=("Relu",)), guided.BetaSmooth(beta_smooth)), (Match(), GRADIENT))
    return Composite("beta_smooth", tuple(pairs), seed="one", regions=False)


def _deep_lift_rescale(eps: float | None = None) -> Composite:
    pairs: tuple[tuple[Match, Rule], ...] = (
        (Match(categories=(Category.STRUCTURAL, Category.SUM), predicate=_is_fixed), GRADIENT),
        (Match(categories=(Category.LINEAR,)), deeplift.Linear()),
        (Match(ops=("Mul", "STFT"), categories=(Category.BILINEAR,)), deeplift.Linear()),
        (Match(), deeplift.Rescale(eps)),
    )
    return Composite("deep_lift_rescale", pairs, seed="one", preparation=("differences",), reference=True)


def _deep_lift_reveal_cancel(eps: float | None = None) -> Composite:
    rescale = _deep_lift_rescale(eps)
    pairs: _Pairs = (
        (Match(categories=(Category.ELEMENTWISE,)), reveal_cancel.RevealCancel(eps)),
        *((match, reveal_cancel.Signed(rule)) for match, rule in rescale.rules),
    )
    steps = ("relevance", *rescale.preparation)
    return replace(rescale, name="deep_lift_reveal_cancel", rules=tuple(pairs), preparation=steps)


def _is_fixed(place: Place) -> bool:
    return deeplift.is_fixed(place.node)


#: What makes each composite, by name; what they take are their options.
PRESETS: dict[str, Callable[..., Composite]] = {
    "gradient": lambda: Composite("gradient", ((Match(), GRADIENT),), seed="one", regions=False),
    "guided_backprop": lambda: _guided("guided_backprop", guided.Guided()),
    "deconvnet": lambda: _guided("deconvnet", guided.Deconvolution()),
    "beta_smooth": _beta_smooth,
    "visual_backprop": _visual_backprop,
    "zero": _zero,
    "epsilon": _epsilon,
    "zplus": _zplus,
    "epsilon_plus": _convolutions("epsilon_plus", 1, 0),
    "epsilon_plus_flat": _convolutions("epsilon_plus_flat", 1, 0, first_flat=True),
    "epsilon_alpha2_beta1": _convolutions("epsilon_alpha2_beta1", 2, 1),
    "epsilon_alpha2_beta1_flat": _convolutions("epsilon_alpha2_beta1_flat", 2, 1, first_flat=True),
    "epsilon_gamma_box": _epsilon_gamma_box,
    "sequential_preset_a": _convolutions("sequential_preset_a", 1, 0, dense_epsilon=0.1),
    "sequential_preset_a_flat": _convolutions(
        "sequential_preset_a_flat", 1, 0, first_flat=True, dense_epsilon=0.1
    ),
    "sequential_preset_b": _convolutions("sequential_preset_b", 2, 1, dense_epsilon=0.1),
    "sequential_preset_b_flat": _convolutions(
        "sequential_preset_b_flat", 2, 1, first_flat=True, dense_epsilon=0.1
    ),
    "zero_epsilon_gamma": _zero_epsilon_gamma,
    "zero_epsilon_alpha1_beta0": _zero_epsilon_alpha1_beta0,
    "deep_taylor": _deep_taylor,
    "excitation_backprop": _excitation_backprop,
    "attention": _attention,
    "attention_cp": _attention_cp,
    "deep_lift_rescale": _deep_lift_rescale,
    "deep_lift_reveal_cancel": _deep_lift_reveal_cancel,
}


def preset(name: str | os.PathLike[str] | Composite, **options: Any) -> Composite:
    """Return a composite by name, or from a file.

    Parameters
    ----------
    name
        A name of :data:`PRESETS`, the path of a ``.toml`` or ``.json`` file, or a composite, which is
        returned as it is.
    **options
        Of the preset.

    Raises
    ------
    MethodError
        If there is none of that name, it does not take an option, or the file says what makes no sense.
    """
    if isinstance(name, Composite):
        _refuse_options(f"composite '{name.name}' is complete", options)
        return name
    path = Path(name)
    if path.suffix.lower() in (".toml", ".json"):
        _refuse_options(f"'{path}' is complete", options)
        return composite_file.read(path, preset)
    make = PRESETS.get(str(name))
    if make is None:
        raise MethodError(
            f"there is no composite '{name}'; choose one of {', '.join(PRESETS)}, or give a .toml or .json "
            "file"
        )
    takes = inspect.signature(make).parameters
    for key in options:
        if key not in takes:
            raise MethodError(
                f"composite '{name}' does not take '{key}'; it takes {', '.join(takes) or 'no options'}"
            )
    return make(**options)


def _refuse_options(why: str, options: dict[str, Any]) -> None:
    if options:
        raise MethodError(f"{why} and takes no {', '.join(options)}; change it where it is written")
