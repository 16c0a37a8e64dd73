"""Activation maps: what the channels of one layer say, place by place."""

from __future__ import annotations

from onnxplain.methods.cams.gradients import GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam

__all__ = ["GradCam", "GradCamPlusPlus", "HiResCam", "LayerCam", "XGradCam"]
