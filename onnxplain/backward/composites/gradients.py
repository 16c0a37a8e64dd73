"""Composites that walk back with gradients, multipliers or a mask, instead of relevance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import onnx_ir as ir

from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.places import Place
from onnxplain.backward.composites.relevance import is_no_piece, is_no_softmax
from onnxplain.backward.difference import deeplift, jumps, reveal_cancel
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import guided, smoothing, visual
from onnxplain.backward.rules.base import GRADIENT, Pass, Product, Rule
from onnxplain.graph import facts
from onnxplain.options import Positive

__all__ = [
    "beta_smooth",
    "deep_lift_rescale",
    "deep_lift_reveal_cancel",
    "guided_composite",
    "visual_backprop",
]

_Pairs: TypeAlias = Sequence[tuple[Match, Rule]]


def guided_composite(name: str, rule: Rule) -> Composite:
    """Gradients, with a rule at rectifiers."""
    pairs: _Pairs = (
        (Match(ops=guided.RECTIFIERS, predicate=_stands_alone), rule),
        (Match(predicate=_is_rectifier), rule),
        (Match(ops=("Max", "Min"), predicate=_bends), rule),
        (Match(), GRADIENT),
    )
    return Composite(name, tuple(pairs), seed="one", changes=(rule.name,))


def _stands_alone(place: Place) -> bool:
    """Tell an activation from a piece of one, and from a range of quantised values that does not cut at 0."""
    return is_no_piece(place) and (
        facts.GRADIENT_KEY not in place.node.metadata_props or guided.cuts_at_zero(place.node)
    )


def _is_rectifier(place: Place) -> bool:
    return place.source is not None and guided.is_rectifier(place.node, place.source)


def beta_smooth(beta_smooth: Positive = 10.0) -> Composite:
    """Gradients, with the derivative of softplus at rectifiers that bend."""
    rule = smoothing.BetaSmooth(beta_smooth)
    pairs: _Pairs = ((Match(predicate=_bends), rule), (Match(), GRADIENT))
    return Composite("beta_smooth", tuple(pairs), seed="one", regions=False, changes=(rule.name,))


def _bends(place: Place) -> bool:
    return smoothing.bends(place.node)


def visual_backprop() -> Composite:
    """VisualBackProp: a mask goes down through convolutions."""
    pairs: _Pairs = (
        (Match(predicate=_leaves_the_image), visual.VisualStart()),
        (Match(predicate=_is_flat), GRADIENT),
        (Match(ops=("Conv",), first=True), visual.VisualLayer(weigh=False)),
        (Match(ops=("Conv",)), visual.VisualLayer()),
        (Match(ops=("MaxPool", "AveragePool")), visual.VisualLayer(weigh=False)),
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        (Match(ops=("Mul", "Div")), Product()),
        (Match(categories=(Category.SUM, Category.ELEMENTWISE)), visual.AllPass()),
        (Match(categories=(Category.NORMALIZATION,), predicate=is_no_softmax), Pass()),
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


def deep_lift_rescale(eps: float | None = None) -> Composite:
    """DeepLIFT, Rescale."""
    pairs: tuple[tuple[Match, Rule], ...] = (
        (Match(ops=("Where",), categories=(Category.STRUCTURAL,)), jumps.Choice()),
        (Match(categories=(Category.STRUCTURAL, Category.SUM), predicate=_is_fixed), GRADIENT),
        (Match(categories=(Category.LINEAR,)), deeplift.Linear()),
        (Match(ops=("Mul", "STFT"), categories=(Category.BILINEAR,)), deeplift.Linear()),
        (Match(), deeplift.Rescale(eps)),
    )
    return Composite(
        "deep_lift_rescale", pairs, seed="one", preparation=("differences",), reference=True, holds=3
    )


def deep_lift_reveal_cancel(eps: float | None = None) -> Composite:
    """DeepLIFT, RevealCancel."""
    rescale = deep_lift_rescale(eps)
    norms = reveal_cancel.WholeNorm(rescale, reveal_cancel.Signed(deeplift.Rescale(eps)))
    pairs: _Pairs = (
        (Match(categories=(Category.NORMALIZATION,)), norms),
        (Match(categories=(Category.ELEMENTWISE,)), reveal_cancel.RevealCancel(eps)),
        (Match(ops=("Clip", "Round"), predicate=_is_quantized), reveal_cancel.RevealCancel(eps)),
        *((match, reveal_cancel.Signed(rule)) for match, rule in rescale.rules),
    )
    before = ("relevance", *rescale.preparation)
    return replace(rescale, name="deep_lift_reveal_cancel", rules=tuple(pairs), preparation=before, holds=5)


def _is_quantized(place: Place) -> bool:
    """Tell rounding and saturation of quantised values, which gradients go straight through."""
    return facts.GRADIENT_KEY in place.node.metadata_props


def _is_fixed(place: Place) -> bool:
    return deeplift.is_fixed(place.node)
