"""What holds for every operator of the library."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from operator_cases import operator_cases, registered

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.runtime import operators

CASES = list(operator_cases())


#: What has no CUDA form, and so may be in no program for a GPU: no pass for it writes these.
CPU_ALONE = {"SparseConvTranspose", "ThinConvTranspose", "WinogradConv"}


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
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    operators.register(options)
    return case.run(options)
