"""Our operators in onnxruntime's CUDA provider: what the CPU makes of the same inputs, bit by bit."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from kinds import ON_IMAGES
from onnx import helper
from operator_cases import operator_cases, registered

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.fuse_elementwise import KINDS
from onnxplain.kernels import cuda_device_count
from onnxplain.runtime import operators

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        cuda_device_count() == 0 or "CUDAExecutionProvider" not in ort.get_available_providers(),
        reason="no GPU, or onnxruntime or onnxplain was built without CUDA",
    ),
]

OPERATORS = {np.float32: "Elementwise", np.float16: "ElementwiseFloat16"}
types = pytest.mark.parametrize("dtype", OPERATORS)
SHAPES = [
    ((3, 4, 5), (4, 1), (1,)),
    ((2, 3, 1, 7), (1, 3, 5, 1), (7,)),
    ((1, 64, 1, 1), (3, 64, 33, 31), (31,)),
    ((1000, 1), (1, 1000), (1,)),
    ((4, 0, 3), (1, 3), (1,)),
    ((), (), ()),
    ((70001,), (70001,), (1,)),
    ((4, 64, 112, 112), (1, 64, 1, 1), (4, 64, 112, 112)),
]


def session(
    provider: str, operator: str, dtypes: Sequence[np.dtype], **attributes: object
) -> ort.InferenceSession:
    names = [f"x{k}" for k in range(len(dtypes))]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(d), None)
        for n, d in zip([*names, "made"], [*dtypes, dtypes[0]], strict=True)
    ]
    held = {"constants": [0.5, -2.0]} if "program" in attributes else {}
    node = helper.make_node(operator, names, ["made"], domain=DOMAIN, **held | attributes)
    graph = helper.make_graph([node], "g", infos[:-1], infos[-1:])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if provider != "CPUExecutionProvider":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    operators.register(options)
    return ort.InferenceSession(content, options, providers=[provider])


def both(arrays: list[np.ndarray], operator: str | None = None, **attributes: object) -> None:
    """Compare an operator on both devices; what is not a number may have other bits."""
    dtype = arrays[0].dtype
    given = (operator or OPERATORS[dtype.type], [a.dtype for a in arrays])
    feeds = {f"x{k}": v for k, v in enumerate(arrays)}
    cpu, gpu = (
        session(f"{where}ExecutionProvider", *given, **attributes).run(None, feeds)[0]
        for where in ("CPU", "CUDA")
    )
    assert gpu.dtype == dtype
    assert gpu.shape == cpu.shape
    bits = np.uint32 if dtype == np.float32 else np.uint16
    assert ((gpu.view(bits) == cpu.view(bits)) | (np.isnan(gpu) & np.isnan(cpu))).all()


@pytest.mark.parametrize("case", [c for c in operator_cases() if "cuda" in registered()[c.operator]], ids=str)
def test_every_operator(case) -> None:
    """Twice: memory that the first run gave back is used again."""
    for _ in range(2):
        both(case.arrays, case.operator, **case.attributes)


def test_sums_on_several_streams_at_once() -> None:
    """Sessions on threads of their own: memory for sums of pieces is not mixed up."""
    case = next(c for c in operator_cases() if c.operator == "GiveAll" and c.arrays[0].size > 60_000)
    given = (case.operator, [a.dtype for a in case.arrays])
    feeds = {f"x{k}": v for k, v in enumerate(case.arrays)}
    sessions = [session("CUDAExecutionProvider", *given, **case.attributes) for _ in range(4)]
    expected = sessions[0].run(None, feeds)[0]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda k: sessions[k % 4].run(None, feeds)[0], range(200)):
            np.testing.assert_array_equal(found, expected)


def numbers(shape: tuple[int, ...], dtype: type, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    special = np.array([0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 6e-8, -6e-8, 60000], dtype)
    if dtype == np.float32:
        special = np.append(special, np.array([1e-40, -1e-40, 3e38, -3e38, 1e-38], dtype))
    made = rng.normal(size=shape).astype(dtype)
    return np.where(rng.random(shape) < 0.2, rng.choice(special, shape), made).astype(dtype)


def test_they_run_there() -> None:
    assert operators.why_not("cuda") is None


@types
@pytest.mark.parametrize("kind", KINDS)
def test_every_step(kind, dtype) -> None:
    both([numbers((5000,), dtype, k) for k in range(3)], program=[KINDS[kind], 0, 1, 2])


@types
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_it_broadcasts(shapes, dtype) -> None:
    arrays = [numbers(shape, dtype, k) for k, shape in enumerate(shapes)]
    both(arrays, program=[KINDS["Mul"], 0, 1, -1, KINDS["Sub"], 5, 2, -1])


@types
@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed, dtype) -> None:
    """Up to 96 steps, of which many results may be needed at once."""
    rng = np.random.default_rng(seed)
    full = tuple(int(d) for d in rng.integers(1, 40, rng.integers(1, 5)))
    arrays = []
    for k in range(int(rng.integers(1, 6))):
        shape = tuple(d if rng.random() < 0.7 else 1 for d in full)[int(rng.integers(0, len(full))) :]
        arrays.append(numbers(shape, dtype, 100 * seed + k))
    given, program = len(arrays) + 2, []
    for step in range(int(rng.integers(1, 97))):
        operands = [int(rng.integers(0, given + step)) for _ in range(3)]
        program += [int(rng.integers(0, len(KINDS))), *operands]  # what a step does not take is not read
    both(arrays, program=program)


ROWS = [(5,), (1, 1), (3, 16), (3, 17), (2, 3, 100), (0, 4), (3, 0), (700, 130), (2, 70001), (100_001, 7)]


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_softmax_backward(shape, repeated) -> None:
    y, g = (np.random.default_rng(k).normal(size=shape).astype(np.float32) for k in range(2))
    both([y, g[..., :1] if repeated else g], "SoftmaxBackward")


@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("scaled", ["not", "one", "row"])
@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_norm_backward(shape, scaled, centred, constant) -> None:
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape).astype(np.float32) for _ in range(2)]
    if scaled != "not":
        arrays.append(rng.normal(size=shape[-1] if scaled == "row" else 1).astype(np.float32))
    both(arrays, "NormBackward", axes=[1], centred=[centred], constant=[constant], epsilon=[1e-5])


@pytest.mark.parametrize("given", [(3, 1), (7,), (1, 1), (1,), (2, 1, 7), ()], ids=str)
def test_what_arrives_is_repeated(given) -> None:
    x, g = (
        np.random.default_rng(k).normal(size=s).astype(np.float32) for k, s in enumerate([(2, 3, 7), given])
    )
    both([x, g], "NormBackward", axes=[2], centred=[1], constant=[0], epsilon=[1e-5])
    both([x, g], "SoftmaxBackward")


def test_tensors_past_2_to_the_31() -> None:
    """x - y where y is repeated, in float16: 4.3 GB each for x and the result, 13 GB on the way."""
    rows, columns = 33_000, 65_537
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    free = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    if free < 16_000:
        pytest.skip(f"16 GB of the GPU's memory are needed, {free} MB are free")
    x = np.ones((rows, columns), np.float16)
    y = (np.arange(columns) % 1024).astype(np.float16)
    x[-1] = y + np.float16(3)
    made = session(
        "CUDAExecutionProvider", "ElementwiseFloat16", [x.dtype] * 2, program=[KINDS["Sub"], 0, 1, -1]
    )
    found = made.run(None, {"x0": x, "x1": y})[0]
    assert math.prod(found.shape) > 1 << 31
    for row in (0, rows // 2, rows - 2):
        np.testing.assert_array_equal(found[row], 1 - y)
    np.testing.assert_array_equal(found[-1], np.full(columns, 3, np.float16))


def test_shapes_that_do_not_fit_are_a_named_error() -> None:
    made = session(
        "CUDAExecutionProvider", "Elementwise", [np.dtype(np.float32)] * 2, program=[KINDS["Add"], 0, 1, -1]
    )
    with pytest.raises(Exception, match=r"\(4\) does not broadcast to \(3\)"):
        made.run(None, {"x0": np.ones(3, np.float32), "x1": np.ones(4, np.float32)})


@pytest.mark.parametrize("name", sorted({*ON_IMAGES, "lrp", "deep_lift"}))
def test_methods_say_the_same_with_and_without(name) -> None:
    images, labels = digits_samples()
    own, standard = (
        ox.Explainer(digits_model_path(), device="cuda", accelerate=accelerate)(images, labels, name)
        for accelerate in (True, False)
    )
    scale = np.abs(standard.values).max()
    np.testing.assert_allclose(own.values, standard.values, rtol=0, atol=2e-4 * scale)
    np.testing.assert_allclose(own.score, standard.score, rtol=1e-4)


def test_a_file_for_a_gpu(tmp_path) -> None:
    images, labels = digits_samples()
    made = ox.export(
        digits_model_path(), tmp_path / "made.onnx", method="deep_lift", form="accelerated_cuda"
    ).path
    assert any(n.domain == DOMAIN for n in onnx.load(made).graph.node)
    options = ort.SessionOptions()
    operators.register(options)
    on_gpu = ort.InferenceSession(made, options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    name = on_gpu.get_inputs()[0].name
    found = on_gpu.run([f"attribution/{name}"], {name: images, "target": np.asarray(labels)})[0]
    expected = ox.Explainer(digits_model_path(), device="cpu")(images, labels, "deep_lift").values
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
