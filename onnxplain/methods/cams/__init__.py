"""Activation maps: what the channels of one layer say, place by place."""

from __future__ import annotations

from onnxplain.methods.cams.gradients import GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from onnxplain.methods.cams.others import EigenCam, GuidedGradCam, ShapleyCam
from onnxplain.methods.cams.pooled import Cam
from onnxplain.methods.cams.scores import AblationCam, ScoreCam

__all__ = [
    "AblationCam",
    "Cam",
    "EigenCam",
    "GradCam",
    "GradCamPlusPlus",
    "GuidedGradCam",
    "HiResCam",
    "LayerCam",
    "ScoreCam",
    "ShapleyCam",
    "XGradCam",
]
