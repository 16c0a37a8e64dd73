"""Which execution provider of onnxruntime runs a graph, and whether it really does.

onnxruntime falls back to the CPU without an error where CUDA or cuDNN cannot be loaded.  So a device is taken
only if a small program runs on it, and every session is asked where it ended up.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import onnx
import onnxruntime as ort

from onnxplain.errors import RuntimeUnavailableError
from onnxplain.forking import quiet
from onnxplain.kernels.cuda import Stream

__all__ = ["must_run_on", "own_stream", "providers", "resolve"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def resolve(device: str) -> Literal["cpu", "cuda"]:
    """Turn ``"auto"`` into the best device there is, and refuse what is missing.

    Raises
    ------
    RuntimeUnavailableError
        If the device is unknown, this onnxruntime has no provider for it, or no such device answers.
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
    if device == "cuda" and not _has_gpu():
        raise RuntimeUnavailableError(_no_answer())
    return "cuda" if device == "cuda" else "cpu"


def providers(
    device: Literal["cpu", "cuda"], *, allow_tf32: bool = False, stream: Stream | None = None
) -> list[Any]:
    """Return onnxruntime's providers for a device, with their options, in order of preference.

    Parameters
    ----------
    device
        Where to run.
    allow_tf32
        Whether a GPU may compute products of float32 with 10 bits of mantissa (onnxruntime's own default).
    stream
        On which a GPU is to work; None: onnxruntime makes one of its own.
    """
    if device == "cpu":
        return [_PROVIDERS["cpu"]]
    options: dict[str, Any] = {"use_tf32": int(allow_tf32)}
    if stream is not None:
        options["user_compute_stream"] = str(stream.address)
    return [(_PROVIDERS["cuda"], options), _PROVIDERS["cpu"]]


def own_stream(device: Literal["cpu", "cuda"]) -> Stream | None:
    """Return a stream on which a session and our kernels can work by turns; None where there are no such."""
    from onnxplain import kernels

    on_gpu = device == "cuda" and kernels.built_with_cuda() and kernels.cuda_device_count() > 0
    return Stream() if on_gpu else None


def must_run_on(session: Any, device: Literal["cpu", "cuda"]) -> None:
    """Refuse a session that onnxruntime put elsewhere.

    Raises
    ------
    RuntimeUnavailableError
        If the session does not have the device's provider.
    """
    if _PROVIDERS[device] not in session.get_providers():
        raise RuntimeUnavailableError(_no_answer())


def _no_answer() -> str:
    return (
        f"onnxruntime {ort.__version__} has the CUDAExecutionProvider, but runs on the CPU instead: no GPU "
        "answers, or its versions of CUDA and cuDNN cannot be loaded; install those that onnxruntime-gpu "
        "asks for (see onnxruntime.preload_dlls), or use device='cpu'"
    )


@functools.lru_cache(maxsize=1)
def _has_gpu() -> bool:
    """Tell whether a program runs on the GPU."""
    from onnxplain import kernels

    if kernels.built_with_cuda() and kernels.cuda_device_count() == 0:
        return False
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "probe", [value], [made])
    imports = [onnx.helper.make_opsetid("", 18)]
    content = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        with quiet:
            session = ort.InferenceSession(content, options, providers=providers("cuda"))
    except Exception:  # onnxruntime raises many kinds
        return False
    return _PROVIDERS["cuda"] in session.get_providers()
