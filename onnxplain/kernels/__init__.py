"""The numerical kernels: batches along a path, noise, and trees.

Each kernel exists three times, with the same numbers: in C++ (``csrc/kernels/*.cpp``, what the
functions of `path_batches` call), in CUDA (``csrc/kernels/*.cu``, called through `cuda` on
device memory), and in NumPy (`numpy_kernels`, the definition that the tests hold the others to, and
what runs in a source tree that was never built).

Trees (`trees`) go from NumPy arrays to NumPy arrays on the GPU too; numbers agree but for the order of sums.

What walks back through a model (relevance, masks, quotients) are operators that onnxruntime runs, in the
library that `operators_library` finds.
"""

from __future__ import annotations

from onnxplain.kernels import path_batches
from onnxplain.kernels._native import core
from onnxplain.kernels.operators import operators_library

__all__ = ["built_with_cuda", "cuda_device_count", "has_core", "operators_library", "path_batches"]


def has_core() -> bool:
    """Whether the compiled module is there; without it those in NumPy run."""
    return core is not None


def built_with_cuda() -> bool:
    """Whether the compiled module holds the CUDA kernels."""
    return core is not None and bool(core.built_with_cuda)


def cuda_device_count() -> int:
    """Return the number of GPUs that the CUDA kernels can use: 0 without a GPU or its driver."""
    return 0 if core is None else int(core.cuda_device_count())
