"""The gradient of each operator is the same in OpenVINO as in onnxruntime, or OpenVINO refuses it at load."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from gradient_cases import CASES, Case

from onnxplain.errors import UnsupportedOperatorError
from onnxplain.exported_file import own_weights

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")
pytestmark = pytest.mark.models

_NEWEST = 26  # opset that onnxruntime has kernels for


def _few() -> list[Case]:
    """Return the first three cases of each operator, as it is and not written out."""
    by_type: dict[str, list[Case]] = {}
    for case in CASES:
        if "expanded" not in case.name:
            by_type.setdefault(case.op_type, []).append(case)
    return [case for cases in by_type.values() for case in cases[:3]]


def _runs(model: bytes) -> ort.InferenceSession | None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # no kernel of this type or version
        return None


@pytest.mark.parametrize("case", _few(), ids=lambda c: c.name.removeprefix("test_"))
def test_right_or_refused(case: Case) -> None:
    try:
        problem = case.problem(dtype="float32")
    except UnsupportedOperatorError as error:
        pytest.skip(str(error))
    if problem.adjoint is None:
        pytest.skip("no gradient flows")
    own_weights(problem.adjoint)
    problem.adjoint.graph.opset_imports[""] = min(problem.adjoint.graph.opset_imports[""], _NEWEST)
    problem.adjoint.ir_version = min(problem.adjoint.ir_version, 10)
    model = ir.to_proto(problem.adjoint).SerializeToString()
    session = _runs(model)
    if session is None:
        pytest.skip("onnxruntime does not run it")
    core = openvino.Core()
    try:
        compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except Exception as error:  # of whatever part of OpenVINO
        pytest.skip(f"refused at load: {str(error).splitlines()[-1][:80]}")
    draw = np.random.default_rng(0)
    feeds = {}
    for info in session.get_inputs():
        dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}.get(info.type, np.float16)
        if info.name in case.feeds:
            given = case.feeds[info.name]
            feeds[info.name] = (given + 0.01 * draw.uniform(0.1, 1, given.shape)).astype(given.dtype)
        else:
            if not all(isinstance(d, int) for d in info.shape):
                pytest.skip("how long the output is depends on numbers")
            feeds[info.name] = draw.standard_normal(info.shape).astype(dtype)
    try:
        expected = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    except Exception:  # a kernel that takes no such shape
        pytest.skip("onnxruntime does not run it")
    ports = {name for i in compiled.inputs for name in i.get_names()}
    made = compiled({k: v for k, v in feeds.items() if k in ports})  # what changes nothing is left out
    found = {name: np.array(made[o]) for o in compiled.outputs for name in o.get_names()}
    for name, values in expected.items():
        apart = _apart(found[name], values)
        if name in problem.outputs and not apart <= 5e-5:
            pytest.skip("OpenVINO computes the operator itself otherwise")
        assert apart <= max(5 * case.tolerance, 5e-5), name


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest number; infinite numbers must be the same."""
    if found.shape != expected.shape or not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return np.inf
    a, b = (np.where(np.isfinite(v), v, 0).astype(np.float64) for v in (found, expected))
    return float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-3))
