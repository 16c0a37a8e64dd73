"""Every gradient against the ONNX standard's own node test cases.

Each case of ``onnx.backend.test`` whose operator has a differentiable float input is checked twice in
float64 on ONNX's reference evaluator (backward graph against central differences, with static and with
symbolic shapes), and once in float32 on onnxruntime (against the float64 gradient). What cannot be
checked is listed with its reason in ``skips.toml``; an entry that is no longer needed fails.
"""

from __future__ import annotations

import fnmatch
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from gradient_cases import CASES, SKIPS
from onnx.backend.test.case.node import collect_testcases

from onnxplain.testing import TOLERANCES
from onnxplain.testing.reference import CORRECTED

ort = pytest.importorskip("onnxruntime")


def parametrize(kind: str):
    """All cases; those that the table names must fail."""
    params = []
    for case in CASES:
        reason = next((r for p, r in SKIPS[kind].items() if fnmatch.fnmatchcase(case.name, p)), None)
        marks = () if reason is None else pytest.mark.xfail(reason=reason, strict=True)
        params.append(pytest.param(case, id=case.name.removeprefix("test_"), marks=marks))
    return pytest.mark.parametrize("case", params)


@parametrize("float64")
def test_gradient_is_the_central_difference(case):
    result = case.check(case.problem())
    assert result.relative_error < TOLERANCES["float64"]


@parametrize("float64")
def test_gradient_is_the_central_difference_with_symbolic_shapes(case):
    result = case.check(case.problem(symbolic=True))
    assert result.relative_error < TOLERANCES["float64"]


@parametrize("onnxruntime")
def test_float32_on_onnxruntime_gives_the_float64_gradient(case):
    single = case.problem(dtype="float32")
    if single.adjoint is None:
        pytest.skip("no gradient flows, as the other tests confirm")
    session = _session(single.adjoint)
    result = case.check(case.problem())
    types = {v.name: v.dtype.numpy() for v in single.adjoint.graph.inputs}
    feeds = {**result.point, **{f"seed/{k}": w for k, w in result.weights.items()}}
    made = session.run(None, {k: feeds[k].astype(t) for k, t in types.items()})[len(single.outputs) :]
    for name, gradient in zip(single.wrt, made, strict=True):
        expected = result.gradients[name]
        error = np.abs(gradient - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-3)
        assert error <= case.tolerance, f"gradient of {name}"


def _session(model: ir.Model):
    newest = 26  # that onnxruntime has kernels for
    opset = model.graph.opset_imports[""]
    if opset > newest:
        for node in model.graph.all_nodes():
            since = onnx.defs.get_schema(node.op_type, opset).since_version
            if since > newest:
                pytest.skip(f"onnxruntime has no {node.op_type} of opset {since}")
        model.graph.opset_imports[""] = newest
    model.ir_version = min(model.ir_version, 10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("kind", SKIPS)
def test_every_skip_names_a_case(kind):
    unused = [p for p in SKIPS[kind] if not fnmatch.filter([c.name for c in CASES], p)]
    assert not unused


@pytest.mark.parametrize("case", [c for c in CASES if c.name.startswith("test_own")], ids=lambda c: c.name)
def test_reference_operators_agree_with_onnxruntime(case):
    if case.op_type == "Scatter":
        pytest.skip("deprecated")
    expected = _session(ir.from_proto(case.model)).run(None, case.feeds)[0]
    got = onnx.reference.ReferenceEvaluator(case.model, new_ops=CORRECTED).run(None, case.feeds)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


MISSING = ("GlobalLpPool", "MaxRoiPool")  # compared with onnxruntime above
# onnxruntime counts in whole elements of the result where the standard's cases count in fractions.
OTHERWISE = (
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
)


@pytest.mark.parametrize("op_type", [c.__name__ for c in CORRECTED if c.__name__ not in MISSING])
def test_corrected_reference_operators_give_what_the_standard_expects(op_type):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [c for c in collect_testcases(op_type) if c.model.graph.node[0].op_type == op_type]
    assert cases
    for case in cases:
        inputs, expected = case.data_sets[0]
        node = case.model.graph.node[0]
        if "" in node.input[:1] or inputs[0].dtype.kind != "f" or len(case.model.graph.node) > 1:
            continue
        feeds = dict(zip([i.name for i in case.model.graph.input], inputs, strict=True))
        if case.name in OTHERWISE:
            expected = _session(ir.from_proto(case.model)).run(None, feeds)
        session = onnx.reference.ReferenceEvaluator(case.model, new_ops=CORRECTED)
        for got, want in zip(session.run(None, feeds), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4, err_msg=case.name)
