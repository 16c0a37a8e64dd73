"""What the CUDA kernels say where there is no GPU."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.kernels import built_with_cuda, cuda, cuda_device_count
from onnxplain.kernels.device_array import viewed


class HostTensor:
    """Looks like an OrtValue that lies in the memory of the CPU."""

    name, kind = "cpu", "tensor(float)"

    def data_ptr(self):
        return 0

    def shape(self):
        return [2, 3]

    def data_type(self):
        return self.kind

    def device_name(self):
        return self.name


def test_memory_of_the_cpu_is_no_array_of_the_gpu():
    with pytest.raises(ValueError, match="must lie in GPU memory, not on cpu"):
        viewed(HostTensor(), None)


def test_what_the_kernels_cannot_read_is_refused():
    tensor = HostTensor()
    tensor.name = "cuda"
    array = viewed(tensor, None)
    assert (array.shape, array.dtype, array.nbytes) == ((2, 3), np.float32, 24)
    tensor.kind = "tensor(string)"
    with pytest.raises(ValueError, match=r"cannot be tensor\(string\)"):
        viewed(tensor, None)


def test_a_machine_without_a_gpu_counts_none():
    assert cuda_device_count() >= 0
    assert built_with_cuda() or cuda_device_count() == 0


@pytest.mark.skipif(built_with_cuda(), reason="what a build without CUDA says")
def test_without_cuda_there_is_no_stream():
    with pytest.raises(RuntimeError, match="built without CUDA"):
        cuda.Stream()
