"""A GPU that is not there: csrc's launchers, bindings and threads on the host, whose work waits in a queue.

What the package does with a GPU runs on it as it stands, but for the driver and the grid: memory is the
host's (``helpers/host_cuda``), and onnxruntime computes on the CPU.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from native import ROOT

from onnxplain import kernels
from onnxplain.kernels import cuda
from onnxplain.kernels.device_array import DeviceArray
from onnxplain.runtime import session
from onnxplain.runtime.plans import on_device

__all__ = ["built", "install", "operators"]

HERE = Path(__file__).with_name("host_cuda")
KERNELS, OPERATORS = ROOT / "csrc" / "kernels", ROOT / "csrc" / "ort_ops"


def built(folder: Path, *flags: str) -> ModuleType:
    """Compile the launchers for the host, or take what was compiled in this folder."""
    pybind11 = pytest.importorskip("pybind11")
    places = [f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}"]
    cuda = [KERNELS / f"{name}.cu" for name in ("masked_batches", "moments", "path_batches")]
    sources = [HERE / "module.cpp", ROOT / "csrc" / "cuda_bindings.cpp"]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    path = _compiled(folder, f"host_cuda{suffix}", sources, cuda, [*places, *flags])
    found = importlib.util.spec_from_file_location("host_cuda", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def operators(folder: Path) -> Path:
    """Compile the library of operators for a GPU, which onnxruntime takes for the CPU."""
    cuda = [path for path in sorted(KERNELS.glob("*.cu")) if path.stem not in NO_OPERATORS]
    plain = ("elementwise", "elementwise_threads", "half", "interleave", "interleave_threads")
    sources = [KERNELS / f"{name}.cpp" for name in (*plain, "sum_copies", "surround")]
    sources += [HERE / "operators.cpp", *sorted(OPERATORS.glob("*_cuda_op*.cpp"))]
    return _compiled(folder, "host_operators.so", sources, cuda, ["-Wextra"])


#: Kernels of Python's, and what has a stand-in.
NO_OPERATORS = {"elementwise", "masked_batches", "moments", "path_batches", "stream_memory", "trees"}


def _compiled(
    folder: Path, name: str, sources: Sequence[Path], cuda: Sequence[Path], flags: Sequence[str]
) -> Path:
    """Compile a library, unless that was done, of the same sources."""
    read = [*sorted((ROOT / "csrc").rglob("*.*p*")), *sorted((ROOT / "csrc").rglob("*.cu*"))]
    read += sorted(HERE.rglob("*.*"))
    words: list[object] = ["c++", "-std=c++20", "-O0", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall"]
    words += ["-Werror", "-DONNXPLAIN_WITH_CUDA", "-ffp-contract=off", *flags]
    words += [f"-I{place}" for place in (HERE, ROOT / "csrc", ROOT / "csrc" / "include")]
    words += [*sources, "-x", "c++", *cuda]
    state = hashlib.sha256(repr(words).encode() + b"".join(path.read_bytes() for path in read))
    path = folder / f"host_cuda-{state.hexdigest()[:16]}" / name
    path.parent.mkdir(exist_ok=True)
    with path.with_name("lock").open("w") as lock:  # given back when it is closed
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = path.with_name("half.so")
            command = [str(word) for word in (*words, "-o", made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
            assert done.returncode == 0, done.stderr
            made.rename(path)
    return path


def install(launchers: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """Let the package find the GPU; programs still run on the CPU, once what was queued before is done."""
    patch.setattr(cuda, "core", SimpleNamespace(built_with_cuda=True, cuda=launchers))
    patch.setattr(kernels, "built_with_cuda", lambda: True)
    patch.setattr(kernels, "cuda_device_count", lambda: 1)
    patch.setattr(session, "own_stream", lambda _: cuda.Stream())

    read_later: list[Any] = []
    turn = Lock()

    def viewed(tensor: Any, stream: cuda.Stream) -> DeviceArray:
        array = tensor.numpy()
        read_later.append(tensor)
        return DeviceArray(tensor.data_ptr(), array.shape, array.dtype, stream, tensor)

    patch.setattr(on_device, "viewed", viewed)
    plain = session.Executable.run_on_device

    def run_on_device(self: Any, feeds: dict[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        with turn:
            done = len(read_later)
            launchers.flush()
            del read_later[:done]
        return plain(self, feeds, outputs)

    patch.setattr(session.Executable, "run_on_device", run_on_device)
    usable = on_device.usable

    def on_gpu(plan: Any, problem: Any) -> bool:
        programs = SimpleNamespace(device="cuda")
        return usable(plan, SimpleNamespace(driver=SimpleNamespace(programs=programs)))

    patch.setattr(on_device, "usable", on_gpu)
