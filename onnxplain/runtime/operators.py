"""Whether onnxruntime takes our own operators here, and how a session gets them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort

from onnxplain._types import Array
from onnxplain.errors import RuntimeUnavailableError
from onnxplain.forking import quiet
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.steps import KINDS
from onnxplain.kernels import built_with_cuda, operators_library
from onnxplain.runtime.device import must_run_on, providers, resolve

__all__ = ["accelerated", "note_on", "register", "why_not"]


def accelerated(asked: bool | str, device: str) -> bool:
    """Tell whether programs are written with our own operators.

    Parameters
    ----------
    asked
        True, False, or ``"auto"``: where they run.
    device
        Where programs run.

    Raises
    ------
    RuntimeUnavailableError
        If they are asked for and do not run.
    """
    if asked is False:
        return False
    reason = why_not(device)
    if asked is True and reason is not None:
        raise RuntimeUnavailableError(f"accelerate=True: {reason}; leave accelerate out, or mend that")
    return reason is None


def note_on(asked: bool | str, device: str) -> Iterator[str]:
    """Say so if programs do without the operators that they might have."""
    reason = why_not(device) if asked == "auto" else None
    if reason is not None:
        yield f"walks back have operators of the standard alone: {reason}"


def register(options: Any) -> None:
    """Give a session the operators, by its options."""
    options.register_custom_ops_library(str(operators_library()))


def why_not(device: str = "cpu") -> str | None:
    """Say why onnxruntime does not run our operators on a device; None where it does."""
    return _tried(device)


@functools.lru_cache(maxsize=2)
def _tried(device: str = "cpu") -> str | None:
    """Run each operator once, and say what went wrong."""
    if operators_library() is None:
        return "onnxplain was installed without its library of operators (onnxplain_ops)"
    if device == "cuda" and not built_with_cuda():
        return "onnxplain and its library of operators were built without CUDA"
    try:
        made = _made(resolve(device))
        right = np.array_equal(made["Elementwise"], _X + _X)
        if device != "cpu":
            expected = _made("cpu")
            right = right and all(np.allclose(v, expected[k], rtol=1e-3, atol=1e-5) for k, v in made.items())
    except RuntimeUnavailableError as error:
        return str(error)
    except Exception as error:  # onnxruntime raises many kinds
        reason = str(error).split("\n")[0]
        return f"onnxruntime {ort.__version__} does not take the library of operators on {device}: {reason}"
    return None if right else f"the library of operators computes something else on {device}"


#: What operators are tried on: positive numbers, more to a row than are added up at once.
_X = np.linspace(0.5, 2, 2100, dtype=np.float32).reshape(3, 700)
_LENGTHS = np.array(_X.shape, np.int64)
_HALVES = {"x": "half", "row": "half_row", "plane": "half_plane"}


def _made(device: Literal["cpu", "cuda"]) -> dict[str, Array]:
    """Run all operators that there are for a device."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if device != "cpu":  # else what has no form for the device would silently run on the CPU
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with quiet:
        register(options)
        session = ort.InferenceSession(_probe(device), options, providers=providers(device))
        must_run_on(session, device)
        names = [o.name for o in session.get_outputs()]
        feeds = {"x": _X, "row": _X[1], "plane": _X[None, None], "lengths": _LENGTHS, "ones": _LENGTHS**0}
        feeds["place"] = _LENGTHS[None] * 0
        return dict(zip(names, session.run(names, feeds), strict=True))


def _probe(device: str) -> bytes:
    """Return a model that has all operators for a device, by the names of its outputs."""
    float32, float16, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64
    twice = {"program": [0, 0, 0, -1], "constants": [0.0]}
    # Each kind of step, of x and the row; then their sum, begun with the constant.
    steps = [n for kind in KINDS.values() for n in (kind, 0, 1, 0)]
    before = [2, *(3 + len(KINDS) + k for k in range(len(KINDS)))]
    steps += [n for k in range(len(KINDS)) for n in (KINDS["Add"], before[k], 3 + k, -1)]
    norm = {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1.0]}
    pool = {"kernel_shape": [1, 1], "strides": [1, 1], "dilations": [1, 1], "begins": [0, 0]}
    one = {"channels": 1, "kernel_shape": [1, 1], "strides": [1, 1], "begins": [0, 0], "ends": [0, 0]}
    given: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Elementwise", "Elementwise", "x", twice),
        ("Steps", "Elementwise", "x row", {"program": steps, "constants": [0.25]}),
        (
            "ElementwiseFloat16",
            "ElementwiseFloat16",
            "half half_row",
            {"program": steps, "constants": [0.25]},
        ),
        ("GeluBackward", "GeluBackward", "x row", {"factor": [1.0]}),
        ("GiveAll", "GiveAll", "x x", {"above": [0], "below": [0]}),
        ("Interleave", "Interleave", "plane", {"strides": [1, 1], "begins": [0, 0], "ends": [0, 0]}),
        ("MaxPoolGrad", "MaxPoolGrad", "plane plane plane", pool),
        ("NormBackward", "NormBackward", "x row", norm),
        ("SoftmaxBackward", "SoftmaxBackward", "x row", {}),
        ("SumCopies", "SumCopies", "x lengths", {}),
        ("SumCopies of one", "SumCopies", "x ones", {}),
    ]
    given += [
        (f"{made}Float16", f"{kind}Float16", " ".join(_HALVES.get(v, v) for v in takes.split()), attributes)
        for made, kind, takes, attributes in given
        if "Elementwise" not in kind
    ]
    given.append(("Surround", "Surround", "plane plane place place", {"size": [2, 2], "fill": [0.0]}))
    if device == "cpu":  # no program for a GPU has these: cuDNN's transposed convolutions do well
        given.append(("SparseConvTranspose", "SparseConvTranspose", "plane kernel", one))
        tiles = {"channels": 16, "begins": [1, 1], "ends": [1, 1]}
        given.append(("WinogradConv", "WinogradConv", "planes kernels", tiles))
        thin = {"strides": [1, 1], "begins": [0, 0], "ends": [0, 0], "more": [0, 0]}
        given.append(("ThinConvTranspose", "ThinConvTranspose", "plane plane", thin))
    nodes = [onnx.helper.make_node("Cast", [n], [half], to=float16) for n, half in _HALVES.items()]
    nodes += [
        onnx.helper.make_node(kind, takes.split(), [made], domain=DOMAIN, **attributes)
        for made, kind, takes, attributes in given
    ]
    inputs = [
        onnx.helper.make_tensor_value_info("x", float32, _X.shape),
        onnx.helper.make_tensor_value_info("row", float32, _X.shape[1:]),
        onnx.helper.make_tensor_value_info("plane", float32, [1, 1, *_X.shape]),
        *(onnx.helper.make_tensor_value_info(n, int64, [_X.ndim]) for n in ("lengths", "ones")),
        onnx.helper.make_tensor_value_info("place", int64, [1, _X.ndim]),
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(made, float16 if "16" in made else float32, None)
        for made, *_ in given
    ]
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(DOMAIN, 1)]
    held = {"kernel": [1, 1, 16], "kernels": [1, 16, 9, 16], "planes": [1, 16, 2, 3]}
    kernels = [onnx.helper.make_tensor(k, float32, s, [2.0] * math.prod(s)) for k, s in held.items()]
    graph = onnx.helper.make_graph(nodes, "probe", inputs, outputs, kernels)
    content: bytes = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return content
