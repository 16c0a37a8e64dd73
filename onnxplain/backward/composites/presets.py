"""Composites by name.

=============================  =======================================================================
name                           rules for layers with weights
=============================  =======================================================================
``zero``, ``epsilon``          LRP-0 and LRP-eps everywhere
``zplus``                      z+ for every layer
``conserving``                 ``epsilon_plus``; the share of biases goes to the layer's inputs (default)
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

Unless told otherwise all of them hand the share of biases on (``bias="scale"``); with ``bias="keep"`` they
give what the toolbox of their name gives.  zennit's alpha-beta counts the positive part of a bias among the
positive contributions and the negative part among the negative ones, iNNvestigate's the whole bias in both.

Beside the layers, all of them do the same.  What moves values moves relevance, max pooling gives it to the
winner, sums and average pooling share by contribution (norm), elementwise functions pass it on,
normalisations share as linear layers with a constant deviation (detached), products give all to the signal
where the other factor is a gate and else half to each, and softmax is linearised.

``deep_lift_rescale`` and ``deep_lift_reveal_cancel`` walk back with DeepLIFT's multipliers, which compare
with a reference.

``gradient``, ``guided_backprop``, ``deconvnet`` and ``beta_smooth`` walk back with gradients and differ at
rectifiers only; ``visual_backprop`` carries a mask down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from onnxplain.backward.composites import composite_file
from onnxplain.backward.composites import gradients as gradients
from onnxplain.backward.composites import relevance as relevance
from onnxplain.backward.composites.bias import with_bias
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.same_code import same_code
from onnxplain.backward.rules import guided
from onnxplain.backward.rules.base import GRADIENT
from onnxplain.backward.rules.formula import Bias
from onnxplain.errors import MethodError
from onnxplain.options import make, nearest

__all__ = ["PRESETS", "preset"]

#: iNNvestigate's, with its eps, and its sums of alpha-beta, which hold the whole bias.
_sequential = partial(relevance.convolutions, dense_epsilon=0.1, whole_bias=True)

#: What makes each composite, by name; what they take are their options.
PRESETS: dict[str, Callable[..., Composite]] = {
    "gradient": lambda: Composite("gradient", ((Match(), GRADIENT),), seed="one", regions=False),
    "guided_backprop": lambda: gradients.guided_composite("guided_backprop", guided.Guided()),
    "deconvnet": lambda: gradients.guided_composite("deconvnet", guided.Deconvolution()),
    "beta_smooth": gradients.beta_smooth,
    "visual_backprop": gradients.visual_backprop,
    "zero": relevance.zero,
    "epsilon": relevance.epsilon,
    "zplus": relevance.zplus,
    "conserving": relevance.convolutions("conserving", beta=0),
    "epsilon_plus": relevance.convolutions("epsilon_plus", beta=0),
    "epsilon_plus_flat": relevance.convolutions("epsilon_plus_flat", beta=0, first_flat=True),
    "epsilon_alpha2_beta1": relevance.convolutions("epsilon_alpha2_beta1", beta=1),
    "epsilon_alpha2_beta1_flat": relevance.convolutions("epsilon_alpha2_beta1_flat", beta=1, first_flat=True),
    "epsilon_gamma_box": relevance.epsilon_gamma_box,
    "sequential_preset_a": _sequential("sequential_preset_a", beta=0),
    "sequential_preset_a_flat": _sequential("sequential_preset_a_flat", beta=0, first_flat=True),
    "sequential_preset_b": _sequential("sequential_preset_b", beta=1),
    "sequential_preset_b_flat": _sequential("sequential_preset_b_flat", beta=1, first_flat=True),
    "zero_epsilon_gamma": relevance.zero_epsilon_gamma,
    "zero_epsilon_alpha1_beta0": relevance.zero_epsilon_alpha1_beta0,
    "deep_taylor": relevance.deep_taylor,
    "excitation_backprop": relevance.excitation_backprop,
    "attention": relevance.attention,
    "attention_cp": relevance.attention_cp,
    "deep_lift_rescale": gradients.deep_lift_rescale,
    "deep_lift_reveal_cancel": gradients.deep_lift_reveal_cancel,
}


#: What presets do with biases that do not do with them what their makers do.
_BIAS: dict[str, Bias] = {"conserving": "scale"}


@cache
def _plain(name: str) -> Composite:
    """Return a preset with its defaults, made once."""
    return with_bias(PRESETS[name](), _BIAS.get(name))


def preset(name: str | os.PathLike[str] | Composite, **options: Any) -> Composite:
    """Return a composite by name, or from a file.

    Parameters
    ----------
    name
        A name of :data:`PRESETS`, the path of a ``.toml`` or ``.json`` file, or a composite, which is
        returned as it is.
    **options
        Of the preset; ``bias`` goes for all of them that have relevance rules, for files and composites too:
        what becomes of the share of biases (see :data:`~onnxplain.backward.rules.formula.Bias`).  Presets do
        what their makers do (keep it, or know no biases), but ``conserving``, which gives it to the inputs.

    Raises
    ------
    MethodError
        If there is none of that name, it does not take an option, or the file says what makes no sense.
    """
    if not options and isinstance(name, str) and name in PRESETS:
        return _plain(name)
    bias = options.pop("bias", None)
    if isinstance(name, Composite):
        _refuse_options(f"composite '{name.name}' is complete", options)
        return name if bias is None else with_bias(name, bias)
    path = Path(name)
    if path.suffix.lower() in (".toml", ".json"):
        _refuse_options(f"'{path}' is complete", options)
        read = composite_file.read(path, preset)
        return read if bias is None else with_bias(read, bias)
    factory = PRESETS.get(str(name))
    if factory is None:
        raise MethodError(
            f"there is no composite '{name}'; choose one of {', '.join(PRESETS)}, or give a .toml or .json "
            f"file{nearest(name, PRESETS)}"
        )
    zeroed = options.get("zero_params") or ()
    if bias not in (None, "drop") and "bias" in zeroed:
        raise MethodError(
            f"bias is {bias!r}, but zero_params leaves biases out (bias='drop'); give one of the two"
        )
    own = {key: same_code(value) for key, value in options.items()}
    made = make(factory, own, f"composite '{name}'")
    return with_bias(made, bias or (None if zeroed else _BIAS.get(str(name))))


def _refuse_options(why: str, options: dict[str, Any]) -> None:
    if options:
        raise MethodError(f"{why} and takes no {', '.join(options)}; change it where it is written")
