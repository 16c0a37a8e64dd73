"""Where gradients end: operators that are constant almost everywhere, and those with discrete outputs.

Walks that follow differences go on through some of them (:mod:`onnxplain.graph.passes.prepare.mark_steps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient, nondifferentiable, zero
from onnxplain.backward.view import NodeView
from onnxplain.graph.facts import GRADIENT_KEY
from onnxplain.graph.patterns.measured import MEASURED

zero("Floor", "Ceil", "Round", "Sign", "Hardmax")

nondifferentiable(
    "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not", "IsNaN", "IsInf",
    reason="its output is a truth value",
)  # fmt: skip
nondifferentiable("ArgMax", "ArgMin", "NonZero", "NonMaxSuppression", reason="its output is an index")
nondifferentiable("Shape", "Size", reason="its output is a shape")
nondifferentiable(
    "ConstantOfShape", "EyeLike", "Range", "OneHot", "Constant", "BlackmanWindow", "HammingWindow",
    "HannWindow", "MelWeightMatrix", "RandomNormalLike", "RandomUniformLike",
    "Bernoulli", "Multinomial", "RandomNormal", "RandomUniform",
    reason="its output does not depend on the values of its inputs, or not smoothly",
)  # fmt: skip
nondifferentiable(
    "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BitCast", reason="it works on bits"
)
nondifferentiable(
    "StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "TfIdfVectorizer",
    reason="its input is text",
)  # fmt: skip

_CLASSIC = "ai.onnx.ml"
zero("Binarizer", domain=_CLASSIC)
nondifferentiable(
    "TreeEnsemble", "TreeEnsembleRegressor", "TreeEnsembleClassifier",
    reason="trees are constant between their thresholds",
    domain=_CLASSIC,
)  # fmt: skip
nondifferentiable(
    "LabelEncoder", "OneHotEncoder", "CategoryMapper", "DictVectorizer",
    reason="it looks up categories",
    domain=_CLASSIC,
)  # fmt: skip
nondifferentiable("CastMap", "ZipMap", reason="a map from keys to numbers is no tensor", domain=_CLASSIC)


@gradient("step", Category.ELEMENTWISE, domain=GRADIENT_KEY)
@gradient("hardmax", Category.NORMALIZATION, domain=GRADIENT_KEY)
@gradient("truth", Category.BILINEAR, domain=GRADIENT_KEY, broadcasts=True, any_type=True)
@gradient("switch", Category.CONTROL_FLOW, domain=GRADIENT_KEY, broadcasts=True, any_type=True)
@gradient(MEASURED, Category.NORMALIZATION, domain=GRADIENT_KEY)
@gradient("number", Category.STRUCTURAL, domain=GRADIENT_KEY, any_type=True)
def flat(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Give nothing: the derivative is 0 wherever there is one."""
    return [None] * len(node.inputs)
