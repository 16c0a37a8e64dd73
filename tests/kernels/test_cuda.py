"""What the CUDA kernels say where there is no GPU."""

from __future__ import annotations

import pytest

from onnxplain.kernels import built_with_cuda, cuda, cuda_device_count


class HostTensor:
    """Looks like an OrtValue that lies in the memory of the CPU."""

    def data_ptr(self):
        return 0

    def shape(self):
        return [2, 3]

    def data_type(self):
        return "tensor(float)"

    def device_name(self):
        return "cpu"


def test_the_gpu_kernels_refuse_memory_of_the_cpu():
    tensor = HostTensor()
    with pytest.raises(ValueError, match="start must lie in GPU memory, not on cpu"):
        cuda.interpolate(tensor, tensor, tensor, tensor)


def test_a_machine_without_a_gpu_counts_none():
    assert cuda_device_count() >= 0
    assert built_with_cuda() or cuda_device_count() == 0
