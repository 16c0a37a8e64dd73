"""onnxplain: why an ONNX model says what it says.

>>> import onnxplain as ox
>>> explainer = ox.Explainer("resnet50.onnx")  # doctest: +SKIP
>>> result = explainer(image, target=281, method=ox.IntegratedGradients(n_steps=50))  # doctest: +SKIP
"""

from importlib.util import find_spec as _find_spec

if _find_spec("onnxruntime") is None:  # both packages, for CPU and for GPU, install this module
    raise ImportError(
        "onnxplain needs onnxruntime, which is not installed. Choose one:  pip install 'onnxplain[cpu]'  or, "
        "with an NVIDIA GPU,  pip install 'onnxplain[gpu]'"
    )

from onnxplain import errors, metrics
from onnxplain.attribution import Attribution
from onnxplain.backward.asks import Probe, Scores, Walk
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.rules.catalogue import make_rule as rule
from onnxplain.concepts import ConceptScore, TCAVResult, tcav
from onnxplain.evaluation import Comparison, Evaluation, compare, evaluate
from onnxplain.explainer import Explainer, explain
from onnxplain.export import export
from onnxplain.features.removal import Background, Blur, Mean, Uniform
from onnxplain.features.segments import Segments
from onnxplain.features.words import Words
from onnxplain.inspection import inspect
from onnxplain.methods import (
    DRISE,
    IDGI,
    LRP,
    METHODS,
    RISE,
    XRAI,
    AblationCam,
    AttentionRollout,
    BetaSmooth,
    BlurIG,
    Cam,
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    EigenCam,
    ExactShapley,
    ExcitationBackprop,
    ExpectedGradients,
    FeatureAblation,
    FeaturePermutation,
    GradCam,
    GradCamPlusPlus,
    GradientShap,
    GuidedBackprop,
    GuidedGradCam,
    GuidedIG,
    HiResCam,
    HSICIndices,
    InputXGradient,
    IntegratedGradients,
    InternalInfluence,
    KernelShap,
    LayerActivation,
    LayerCam,
    LayerConductance,
    LayerGradientXActivation,
    Lime,
    LinearShap,
    MeaningfulPerturbation,
    Method,
    NeuronConductance,
    NeuronGradient,
    Occlusion,
    PartitionShap,
    PermutationShapley,
    PredictionDifference,
    RegressionAdjustedShapley,
    Saliency,
    ScoreCam,
    ShapleyCam,
    ShapleyInteractions,
    ShapleyValueSampling,
    SmoothGrad,
    SobolIndices,
    TreeShap,
    VisualBackProp,
    XGradCam,
    method,
)
from onnxplain.methods.maximisation import ActivationMaximisation
from onnxplain.preprocessing import Preprocessing
from onnxplain.rebatching import rebatch
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.problem import Problem
from onnxplain.targets.detection import Detection
from onnxplain.targets.region import Region
from onnxplain.targets.unit import Unit
from onnxplain.targets.weights import Weights
from onnxplain.verifying import Verified, verify
from onnxplain.versions import VERSION as _VERSION
from onnxplain.visualising import Visualisation, visualise

__version__ = _VERSION

__all__ = [
    "DRISE",
    "IDGI",
    "LRP",
    "METHODS",
    "RISE",
    "XRAI",
    "AblationCam",
    "ActivationMaximisation",
    "AttentionRollout",
    "Attribution",
    "Background",
    "BetaSmooth",
    "Blur",
    "BlurIG",
    "Cam",
    "Comparison",
    "Composite",
    "ConceptScore",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "Detection",
    "EigenCam",
    "Evaluation",
    "ExactShapley",
    "ExcitationBackprop",
    "ExpectedGradients",
    "Explainer",
    "FeatureAblation",
    "FeaturePermutation",
    "Found",
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
    "Match",
    "Mean",
    "MeaningfulPerturbation",
    "Method",
    "NeuronConductance",
    "NeuronGradient",
    "Occlusion",
    "PartitionShap",
    "PermutationShapley",
    "Plan",
    "PredictionDifference",
    "Preprocessing",
    "Probe",
    "Problem",
    "Region",
    "RegressionAdjustedShapley",
    "Saliency",
    "ScoreCam",
    "Scores",
    "Segments",
    "ShapleyCam",
    "ShapleyInteractions",
    "ShapleyValueSampling",
    "SmoothGrad",
    "SobolIndices",
    "TCAVResult",
    "TreeShap",
    "Uniform",
    "Unit",
    "Verified",
    "VisualBackProp",
    "Visualisation",
    "Walk",
    "Weights",
    "Words",
    "XGradCam",
    "compare",
    "errors",
    "evaluate",
    "explain",
    "export",
    "inspect",
    "method",
    "metrics",
    "rebatch",
    "rule",
    "tcav",
    "verify",
    "visualise",
]
