"""Which methods are for which kinds of models."""

from __future__ import annotations

import onnxplain as ox

#: Methods that explain one kind of model only: what to look for in the message elsewhere.
PARTICULAR = {
    "visual_backprop": "Conv",
    "attention_rollout": "attention",
    "tree_shap": "trees",
    "linear_shap": "linear",
}
#: For models of any kind, and for convolutional networks.
GENERAL = tuple(n for n in ox.METHODS if n not in PARTICULAR)
ON_IMAGES = (*GENERAL, "visual_backprop")
