"""Explanation methods: frozen dataclasses that compose, found by name."""

from __future__ import annotations

from onnxplain.methods.attention import AttentionRollout
from onnxplain.methods.base import Method, OnePass, attributions
from onnxplain.methods.cams import (
    AblationCam,
    Cam,
    EigenCam,
    GradCam,
    GradCamPlusPlus,
    GuidedGradCam,
    HiResCam,
    LayerCam,
    ScoreCam,
    ShapleyCam,
    XGradCam,
)
from onnxplain.methods.deeplift import DeepLift, DeepLiftShap
from onnxplain.methods.gradients import BetaSmooth, Deconvolution, GuidedBackprop, InputXGradient, Saliency
from onnxplain.methods.inner.layers import (
    InternalInfluence,
    LayerActivation,
    LayerConductance,
    LayerGradientXActivation,
)
from onnxplain.methods.inner.neurons import NeuronConductance, NeuronGradient
from onnxplain.methods.linear_shap import LinearShap
from onnxplain.methods.path import IDGI, BlurIG, GuidedIG, IntegratedGradients
from onnxplain.methods.perturbation.ablation import FeatureAblation
from onnxplain.methods.perturbation.d_rise import DRISE
from onnxplain.methods.perturbation.indices import HSICIndices, SobolIndices
from onnxplain.methods.perturbation.meaningful import MeaningfulPerturbation
from onnxplain.methods.perturbation.occlusion import Occlusion
from onnxplain.methods.perturbation.permutation import FeaturePermutation
from onnxplain.methods.perturbation.prediction_difference import PredictionDifference
from onnxplain.methods.perturbation.rise import RISE
from onnxplain.methods.random_paths import ExpectedGradients, GradientShap
from onnxplain.methods.registry import METHODS, method
from onnxplain.methods.relevance import LRP, ExcitationBackprop
from onnxplain.methods.shapley import (
    ExactShapley,
    KernelShap,
    PartitionShap,
    PermutationShapley,
    RegressionAdjustedShapley,
    ShapleyInteractions,
    ShapleyValueSampling,
)
from onnxplain.methods.smooth import SmoothGrad
from onnxplain.methods.surrogates.lime import Lime
from onnxplain.methods.tree_shap import TreeShap
from onnxplain.methods.visual import VisualBackProp
from onnxplain.methods.xrai import XRAI

__all__ = [
    "DRISE",
    "FAMILIES",
    "IDGI",
    "LRP",
    "METHODS",
    "RISE",
    "XRAI",
    "AblationCam",
    "AttentionRollout",
    "BetaSmooth",
    "BlurIG",
    "Cam",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "EigenCam",
    "ExactShapley",
    "ExcitationBackprop",
    "ExpectedGradients",
    "FeatureAblation",
    "FeaturePermutation",
    "GradCam",
    "GradCamPlusPlus",
    "GradientShap",
    "GuidedBackprop",
    "GuidedGradCam",
    "GuidedIG",
    "HSICIndices",
    "HiResCam",
    "InputXGradient",
    "IntegratedGradients",
    "InternalInfluence",
    "KernelShap",
    "LayerActivation",
    "LayerCam",
    "LayerConductance",
    "LayerGradientXActivation",
    "Lime",
    "LinearShap",
    "MeaningfulPerturbation",
    "Method",
    "NeuronConductance",
    "NeuronGradient",
    "Occlusion",
    "OnePass",
    "PartitionShap",
    "PermutationShapley",
    "PredictionDifference",
    "RegressionAdjustedShapley",
    "Saliency",
    "ScoreCam",
    "ShapleyCam",
    "ShapleyInteractions",
    "ShapleyValueSampling",
    "SmoothGrad",
    "SobolIndices",
    "TreeShap",
    "VisualBackProp",
    "XGradCam",
    "attributions",
    "method",
]

#: All methods, by family.
FAMILIES: dict[str, tuple[type[Method], ...]] = {
    "gradients": (Saliency, InputXGradient, GuidedBackprop, Deconvolution, BetaSmooth, SmoothGrad),
    "paths": (IntegratedGradients, IDGI, GuidedIG, BlurIG, ExpectedGradients, GradientShap, XRAI),
    "relevance": (LRP, ExcitationBackprop),
    "references": (DeepLift, DeepLiftShap),
    "activation maps": (
        Cam,
        GradCam,
        GradCamPlusPlus,
        HiResCam,
        LayerCam,
        XGradCam,
        EigenCam,
        ScoreCam,
        AblationCam,
        ShapleyCam,
        GuidedGradCam,
        VisualBackProp,
    ),
    "attention": (AttentionRollout,),
    "perturbation": (
        FeatureAblation,
        Occlusion,
        FeaturePermutation,
        PredictionDifference,
        RISE,
        DRISE,
        SobolIndices,
        HSICIndices,
        MeaningfulPerturbation,
    ),
    "shapley values": (
        ExactShapley,
        ShapleyValueSampling,
        PermutationShapley,
        KernelShap,
        RegressionAdjustedShapley,
        PartitionShap,
        ShapleyInteractions,
    ),
    "surrogates": (Lime,),
    "trees and linear models": (TreeShap, LinearShap),
    "inner units": (
        LayerActivation,
        LayerGradientXActivation,
        LayerConductance,
        InternalInfluence,
        NeuronConductance,
        NeuronGradient,
    ),
}

METHODS.update((m.name, m) for family in FAMILIES.values() for m in family)
