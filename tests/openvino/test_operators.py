"""The gradient of each operator is the same in OpenVINO as in onnxruntime, or OpenVINO refuses it at load."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from gradient_cases import CASES, Case

from onnxplain.exported_file import own_weights

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")
pytestmark = pytest.mark.models

_NEWEST = 26  # opset that onnxruntime has kernels for
_PLAIN = [case for case in CASES if "expanded" not in case.name]
#: What OpenVINO computes otherwise in the model itself, without any gradient; of axes without entries, too.
_OTHERS = ("dft", "stft", "l2normalization_axis_0", "lstm_with_peepholes", "empty_set")


def _runs(model: bytes) -> ort.InferenceSession | None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # no kernel of this type or version
        return None


@pytest.mark.parametrize("case", _PLAIN, ids=lambda c: c.name.removeprefix("test_"))
def test_right_or_refused(case: Case) -> None:
    if any(name in case.name for name in _OTHERS):
        pytest.skip("OpenVINO computes the operator itself otherwise")
    problem = case.problem(dtype="float32")
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
            feeds[info.name] = draw.standard_normal(info.shape).astype(dtype)
    try:
        expected = dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    except Exception:  # a kernel that takes no such shape
        pytest.skip("onnxruntime does not run it")
    ports = {name for i in compiled.inputs for name in i.get_names()}
    made = compiled({k: v for k, v in feeds.items() if k in ports})  # what changes nothing is left out
    found = {name: np.array(made[o]) for o in compiled.outputs for name in o.get_names()}
    for name, values in expected.items():
        assert found[name].shape == values.shape
        apart = np.abs(found[name].astype(np.float64) - values).max(initial=0)
        assert apart <= max(5 * case.tolerance, 5e-5) * max(np.abs(values).max(initial=0), 1e-3), name
