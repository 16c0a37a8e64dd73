"""Which execution provider of onnxruntime runs a graph."""

from __future__ import annotations

from typing import Literal

import onnxruntime as ort

from onnxplain.errors import RuntimeUnavailableError

__all__ = ["Device", "resolve"]

Device = Literal["auto", "cpu", "cuda"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def resolve(device: str) -> Literal["cpu", "cuda"]:
    """Turn ``"auto"`` into the best device there is, and refuse what is missing.

    Raises
    ------
    RuntimeUnavailableError
        If the device is unknown, or this onnxruntime has no provider for it.
    """
    available = ort.get_available_providers()
    if not isinstance(device, str) or (device != "auto" and device not in _PROVIDERS):
        raise RuntimeUnavailableError(f"device {device!a} is unknown; use 'auto', 'cpu' or 'cuda'")
    if device == "auto":
        return "cuda" if _PROVIDERS["cuda"] in available and _has_gpu() else "cpu"
    if _PROVIDERS[device] not in available:
        raise RuntimeUnavailableError(
            f"this onnxruntime has no {_PROVIDERS[device]}; install onnxruntime-gpu in place of "
            "onnxruntime, or use device='cpu'"
        )
    return "cuda" if device == "cuda" else "cpu"


def providers(device: Literal["cpu", "cuda"]) -> list[str]:
    """Return onnxruntime's providers for a device, in order of preference."""
    return [_PROVIDERS["cuda"], _PROVIDERS["cpu"]] if device == "cuda" else [_PROVIDERS["cpu"]]


def _has_gpu() -> bool:
    from onnxplain import kernels

    return kernels.cuda_device_count() > 0 or not kernels.built_with_cuda()
