"""Whether onnxruntime takes our own operators here, and how a session gets them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from onnxplain.errors import RuntimeUnavailableError
from onnxplain.forking import quiet
from onnxplain.graph.passes.lower import DOMAIN
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
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        where = resolve(device)
        if where != "cpu":  # else what has no form for the device would silently run on the CPU
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        with quiet:
            register(options)
            session = ort.InferenceSession(_probe(where), options, providers=providers(where))
            must_run_on(session, where)
            given = {"x": np.array([1.5, -2.0], np.float32), "n": np.array([2], np.int64)}
            made = session.run(None, given)
    except RuntimeUnavailableError as error:
        return str(error)
    except Exception as error:  # onnxruntime raises many kinds
        reason = str(error).split("\n")[0]
        return f"onnxruntime {ort.__version__} does not take the library of operators on {device}: {reason}"
    return None if made[0].tolist() == [3.0, -4.0] else "the library of operators computes something else"


def _probe(device: str) -> bytes:
    """Return a model that has all operators for a device; its first output is x + x."""
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    given: list[tuple[str, str, dict[str, Any]]] = [
        ("Elementwise", "x", {"program": [0, 0, 0, -1], "constants": [0.0]}),
        ("GiveAll", "xx", {"above": [0], "below": [0]}),
        ("NormBackward", "xx", {"axes": [1], "centred": [1], "constant": [0], "epsilon": [1.0]}),
        ("SoftmaxBackward", "xx", {}),
        ("SumCopies", "xn", {}),
    ]
    given = given if device == "cpu" else given[:1]
    nodes = [
        onnx.helper.make_node(kind, list(takes), [kind], domain=DOMAIN, **attributes)
        for kind, takes, attributes in given
    ]
    inputs = [
        onnx.helper.make_tensor_value_info(n, t, [k]) for n, t, k in (("x", float32, 2), ("n", int64, 1))
    ]
    outputs = [onnx.helper.make_tensor_value_info(kind, float32, [2]) for kind, _, _ in given]
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(DOMAIN, 1)]
    graph = onnx.helper.make_graph(nodes, "probe", inputs, outputs)
    content: bytes = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return content
