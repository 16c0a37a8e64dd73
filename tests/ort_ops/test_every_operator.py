"""What holds for every operator of the library."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from operator_cases import operator_cases, registered

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime import operators

CASES = list(operator_cases())


#: What has no CUDA form, and so may be in no program for a GPU: types that passes for it leave alone, and
#: what no pass for it writes.
CPU_ALONE = {name for name in registered() if name.endswith("Float16")} - {"ElementwiseFloat16"}
CPU_ALONE |= {"SparseConvTranspose", "Surround", "ThinConvTranspose"}


def test_each_has_cases_and_is_tried_before_it_is_used() -> None:
    assert {case.operator for case in CASES} == set(registered())
    probe = onnx.load_from_string(operators._probe("cpu"))
    assert {node.op_type for node in probe.graph.node if node.domain == DOMAIN} == set(registered())


def test_each_has_a_form_for_gpus() -> None:
    assert {name for name, devices in registered().items() if devices != {"cpu", "cuda"}} == CPU_ALONE


@pytest.mark.parametrize("case", CASES, ids=str)
def test_threads_change_no_bits(case) -> None:
    once, thrice = (run(case, threads) for threads in (1, 3))
    assert once.dtype == case.arrays[0].dtype
    np.testing.assert_array_equal(once, thrice)


def run(case, threads: int) -> np.ndarray:
    names = [f"x{k}" for k in range(len(case.arrays))]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip([*names, "made"], [*case.arrays, case.arrays[0]], strict=True)
    ]
    made = helper.make_tensor_value_info("made", infos[0].type.tensor_type.elem_type, None)
    node = helper.make_node(case.operator, names, ["made"], domain=DOMAIN, **case.attributes)
    graph = helper.make_graph([node], "g", infos[:-1], [made])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    operators.register(options)
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, case.arrays, strict=True)))[0]
