"""Small models, written in ONNX's text form, for all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; threads of BLAS would spin against them
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import onnx
import pytest

HERE = Path(__file__).parent
HELPERS = HERE / "helpers"  # modules that several test files import
if str(HELPERS) not in sys.path:
    sys.path.insert(0, str(HELPERS))
pytest.register_assert_rewrite(*(path.stem for path in HELPERS.glob("*.py")))


#: Markers of tests that only run when ``-m`` asks for them.
ASKED_FOR = ("fuzz", "large", "sanitizers")
#: Where the tests with a marker lie: who asks for it alone does not wait until all others are collected.
FOLDERS = {"models": ("benchmarks", "openvino", "real"), "torch": ("benchmarks", "conformance")}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders that hold nothing with the only marker that is asked for."""
    folders = FOLDERS.get(config.option.markexpr)
    at_top = collection_path.parent == HERE and collection_path.name != "conftest.py"
    return True if folders is not None and at_top and collection_path.name not in folders else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long or much memory, unless ``-m`` asks for it."""
    for item in items:
        for mark, folders in FOLDERS.items():
            if item.get_closest_marker(mark) and item.path.relative_to(HERE).parts[0] not in folders:
                raise pytest.UsageError(f"{item.nodeid} is marked {mark}; add its folder to FOLDERS")
    unasked = [mark for mark in ASKED_FOR if mark not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in unasked)]
    if left_out:
        gone = set(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in gone]


def make(
    graph: str, *, opset: int = 18, ir_version: int = 8, domain: str = "", **weights: Any
) -> onnx.ModelProto:
    """Parse a graph, and add the weights that it names (lists become float32)."""
    imports = f'"" : {opset}' + (f', "{domain}" : 1' if domain else "")
    proto = onnx.parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{imports}]>\n{graph}")
    for name, content in weights.items():
        array = content if isinstance(content, np.ndarray) else np.asarray(content, np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return proto


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Normal numbers, float32."""
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


class Models:
    """The zoo.  Inputs are called x, outputs y, and the batch axis N, unless said otherwise."""

    make = staticmethod(make)
    random = staticmethod(random)

    def linear(self, weights: Any, bias: Any = None, batch: str = "N") -> onnx.ModelProto:
        """(N, F) to (N, C): ``y = W x + b``, W (C, F)."""
        w = np.asarray(weights, np.float32)
        c, f = w.shape
        bias = [0.0] * c if bias is None else bias
        return make(
            f"m (float[{batch}, {f}] x) => (float[{batch}, {c}] y) {{ y = Gemm<transB = 1>(x, w, b) }}",
            w=w, b=bias,
        )  # fmt: skip

    def mlp(self, *, bias: bool = True, softmax: bool = False, batch: str = "N") -> onnx.ModelProto:
        """(N, 5) to (N, 3), one hidden ReLU layer h of 8."""
        last = "z = Gemm(h, v, c) y = Softmax(z)" if softmax else "y = Gemm(h, v, c)"
        return make(
            f"""m (float[{batch}, 5] x) => (float[{batch}, 3] y) {{
              a = Gemm(x, w, b)
              h = Relu(a)
              {last}
            }}""",
            w=random(5, 8, seed=1), v=random(8, 3, seed=2),
            b=random(8, seed=3) * bias, c=random(3, seed=4) * bias,
        )  # fmt: skip

    def tanh(self) -> onnx.ModelProto:
        """(N, 5) to (N, 3), smooth."""
        return make(
            """m (float[N, 5] x) => (float[N, 3] y) { a = Gemm(x, w, b) h = Tanh(a) y = MatMul(h, v) }""",
            w=random(5, 8, seed=1), v=random(8, 3, seed=2), b=random(8, seed=3),
        )  # fmt: skip

    def conv(self, *, bias: bool = True, batch: str = "N", softmax: bool = False) -> onnx.ModelProto:
        """(N, 2, 8, 8) to (N, 4): convolutions with a residual branch, pooling, a dense end."""
        last = "z = Gemm(f, v, c) y = Softmax(z)" if softmax else "y = Gemm(f, v, c)"
        return make(
            f"""m (float[{batch}, 2, 8, 8] x) => (float[{batch}, 4] y) {{
              c1 = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)
              r1 = Relu(c1)
              p1 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r1)
              c2 = Conv<pads = [1, 1, 1, 1]>(p1, w2, b2)
              r2 = Relu(c2)
              s = Add(r2, p1)
              c3 = Conv<strides = [2, 2], group = 2>(s, w3, b3)
              r3 = Relu(c3)
              g = GlobalAveragePool(r3)
              f = Flatten(g)
              {last}
            }}""",
            w1=random(6, 2, 3, 3, seed=1), b1=random(6, seed=2) * bias,
            w2=random(6, 6, 3, 3, seed=3, scale=0.3), b2=random(6, seed=4) * bias,
            w3=random(8, 3, 2, 2, seed=5), b3=random(8, seed=6) * bias,
            v=random(8, 4, seed=7), c=random(4, seed=8) * bias,
        )  # fmt: skip

    def vgg(self, *, bias: bool = True) -> onnx.ModelProto:
        """(N, 3, 8, 8) to (N, 4): three convolutions with pooling, two dense layers."""
        return make(
            """m (float[N, 3, 8, 8] x) => (float[N, 4] y) {
              conv1 = Conv<pads = [1, 1, 1, 1]>(x, w1, b1) relu1 = Relu(conv1)
              pool1 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(relu1)
              conv2 = Conv<pads = [1, 1, 1, 1]>(pool1, w2, b2) relu2 = Relu(conv2)
              conv3 = Conv(relu2, w3, b3) relu3 = Relu(conv3)
              pool2 = MaxPool<kernel_shape = [2, 2]>(relu3)
              flat = Flatten(pool2)
              fc1 = Gemm(flat, w4, b4) relu4 = Relu(fc1)
              y = Gemm(relu4, w5, b5)
            }""",
            w1=random(5, 3, 3, 3, seed=1), b1=random(5, seed=2) * bias,
            w2=random(6, 5, 3, 3, seed=3), b2=random(6, seed=4) * bias,
            w3=random(6, 6, 3, 3, seed=5), b3=random(6, seed=6) * bias,
            w4=random(6, 7, seed=7) + 0.5, b4=random(7, seed=8) * bias,
            w5=random(7, 4, seed=9), b5=random(4, seed=10) * bias,
        )  # fmt: skip

    def channels_last(self) -> onnx.ModelProto:
        """(N, 8, 8, 2) to (N, 4): :meth:`conv` behind a Transpose."""
        proto = self.conv()
        dims = proto.graph.input[0].type.tensor_type.shape.dim
        dims[1].dim_value, dims[3].dim_value = 8, 2
        proto.graph.node[0].input[0] = "moved"
        first = onnx.helper.make_node("Transpose", ["x"], ["moved"], perm=[0, 3, 1, 2])
        proto.graph.node.insert(0, first)
        return proto

    def batch_last(self) -> onnx.ModelProto:
        """x (N, 5) and aside (5, N), whose batch axis is its last, to (N, 3)."""
        return make(
            """m (float[N, 5] x, float[5, N] aside) => (float[N, 3] y) {
              turned = Transpose(aside)
              both = Concat<axis = 1>(x, turned)
              a = MatMul(both, w)
              h = Relu(a)
              y = MatMul(h, v)
            }""",
            w=random(10, 8, seed=1), v=random(8, 3, seed=2),
        )  # fmt: skip

    def two_inputs(self) -> onnx.ModelProto:
        """image (N, 2, 4) and table (N, 3) to (N, 2)."""
        return make(
            """m (float[N, 2, 4] image, float[N, 3] table) => (float[N, 2] y) {
              flat = Flatten(image)
              all = Concat<axis = 1>(flat, table)
              a = MatMul(all, w)
              h = Relu(a)
              y = MatMul(h, v)
            }""",
            w=random(11, 6, seed=1), v=random(6, 2, seed=2),
        )  # fmt: skip

    def maps(self) -> onnx.ModelProto:
        """(N, 2, 5, 5) to (N, 3, 5, 5): a score per place."""
        return make(
            """m (float[N, 2, 5, 5] x) => (float[N, 3, 5, 5] y) {
              c = Conv<pads = [1, 1, 1, 1]>(x, w)
              y = Relu(c)
            }""",
            w=random(3, 2, 3, 3, seed=1),
        )

    def single(self) -> onnx.ModelProto:
        """(N, 4) to (N, 1)."""
        return make(
            "m (float[N, 4] x) => (float[N, 1] y) { h = Sigmoid(x) y = MatMul(h, w) }", w=random(4, 1, seed=1)
        )

    def tokens(self, batch: str = "N", length: str = "L") -> onnx.ModelProto:
        """ids (N, L), mask (N, L) to (N, 3): an embedding, a masked mean, a dense end."""
        return make(
            f"""m (int64[{batch}, {length}] ids, int64[{batch}, {length}] mask) => (float[{batch}, 3] y) {{
              e = Gather(table, ids)
              keep = Cast<to = 1>(mask)
              last = Constant<value_ints = [2]>()
              wide = Unsqueeze(keep, last)
              masked = Mul(e, wide)
              one = Constant<value_ints = [1]>()
              pooled = ReduceMean<keepdims = 0>(masked, one)
              a = MatMul(pooled, w)
              h = Tanh(a)
              y = MatMul(h, v)
            }}""",
            table=random(20, 6, seed=1), w=random(6, 8, seed=2), v=random(8, 3, seed=3),
        )  # fmt: skip

    def lrp_layers(self, w00: float = 2.0) -> onnx.ModelProto:
        """(N, 3) to (N, 1): W = 2 (3, 3) but for w00, ReLU, V = 3 (1, 3), no bias."""
        w = np.full((3, 3), 2, np.float32)
        w[0, 0] = w00
        return make(
            """m (float[N, 3] x) => (float[N, 1] y) {
              a = Gemm<transB = 1>(x, w)
              h = Relu(a)
              y = Gemm<transB = 1>(h, v)
            }""",
            w=w, v=np.full((1, 3), 3, np.float32),
        )  # fmt: skip


@pytest.fixture(scope="session")
def models() -> Models:
    """The zoo of small models."""
    return Models()


@pytest.fixture(scope="session")
def npm(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Return a function that gives the folder of an npm package of onnxruntime, installed once."""
    from runtimes import MissingRuntimeError, npm_package

    def get(name: str) -> Path:
        try:
            return npm_package(name, Path(request.config.cache.mkdir("onnxruntime-node")))
        except MissingRuntimeError as missing:
            pytest.skip(str(missing))

    return get


@pytest.fixture(autouse=True)
def _portable_files_are_portable(monkeypatch) -> None:
    """Hold every portable file that a test writes to what the form promises."""
    from onnxplain.exported_file import OWN_LIMIT

    module = sys.modules["onnxplain.export"]
    limits_of = module.limits_of

    def checked(model: Any, source: Any) -> tuple[str, ...]:
        limits = limits_of(model, source)
        if '"form": "portable"' in model.metadata_props[module.KEY]:
            new = [line for line in limits if not line.endswith(OWN_LIMIT) and "Scan" not in line]
            assert not new, f"no portable file: {new}"
        return limits

    monkeypatch.setattr(module, "limits_of", checked)


@pytest.fixture(scope="session")
def host_launchers(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The launchers of CUDA kernels, compiled for the host once for all workers."""
    from host_gpu import built

    return built(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def host_gpu(host_launchers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A GPU that is on the host, which the package finds."""
    from host_gpu import install

    install(host_launchers, monkeypatch)
    return host_launchers
