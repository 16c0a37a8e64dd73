"""The kernels on GPU memory that somebody else owns, such as an ``onnxruntime.OrtValue``.

Nothing is copied and nothing comes back to the host. The work is put on a CUDA stream (the default one, or a
`Stream`), and the functions return at once: read the results after work on the same stream, after a copy by
the default stream, which waits for all of ours, or after `Stream.synchronize`.
Arrays are contiguous, float32 or float64; shapes and equations are those of `path_batches`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Protocol

from onnxplain.kernels._native import core

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from onnxplain._types import Array

__all__ = [
    "DeviceTensor",
    "Stream",
    "accumulate",
    "download",
    "interpolate",
    "synchronize",
]

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class DeviceTensor(Protocol):
    """What a tensor must answer; ``onnxruntime.OrtValue`` does."""

    def data_ptr(self) -> int:
        """Return the address of the first element, in GPU memory."""

    def shape(self) -> Sequence[int]:
        """Return the shape."""

    def data_type(self) -> str:
        """Return the element type as ONNX writes it: ``tensor(float)`` or ``tensor(double)``."""

    def device_name(self) -> str:
        """Return the kind of device: ``cuda``."""


class Stream:
    """A CUDA stream on the first GPU, which lives as long as this object.

    It waits for the default stream, and the default stream for it, so that plain copies (those of
    ``onnxruntime.OrtValue``) find what was computed before them.  Work of different streams runs side by
    side; none of it stops the host.

    Raises
    ------
    RuntimeError
        If there are no CUDA kernels, or no GPU.
    """

    def __init__(self) -> None:
        self._launchers = _launchers()
        #: What CUDA and onnxruntime (``user_compute_stream``) know it by.
        self.address: int = self._launchers.stream_create()

    def synchronize(self) -> None:
        """Wait until its work is done.

        Raises
        ------
        RuntimeError
            If work failed.
        """
        self._launchers.stream_synchronize(self.address)

    def __del__(self) -> None:
        if "address" in self.__dict__:
            self._launchers.stream_destroy(self.address)


def interpolate(
    start: DeviceTensor,
    end: DeviceTensor,
    alphas: DeviceTensor,
    out: DeviceTensor,
    stream: Stream | None = None,
) -> None:
    """Write the points of a straight path; see `path_batches.interpolate`.

    Parameters
    ----------
    start : DeviceTensor, shape (N, ...) or (1, ...)
    end : DeviceTensor, shape (N, ...)
    alphas : DeviceTensor, shape (S,)
    out : DeviceTensor, shape (S * N, ...)
        Written to. All four have one dtype.
    stream
        Where the work goes; None: the default stream.

    Raises
    ------
    ValueError
        If shapes, dtypes or devices are not as above.
    RuntimeError
        If there are no CUDA kernels, or the launch fails.
    """
    dtype = _one_dtype(start=start, end=end, alphas=alphas, out=out)
    shape, steps = tuple(end.shape()), _vector("alphas", alphas)
    start_rows = start.shape()[0] if len(start.shape()) else 0
    _expect("start", start, (1 if start_rows == 1 else shape[0], *shape[1:]))
    _expect("out", out, (steps * shape[0], *shape[1:]))
    _launchers().interpolate(
        start.data_ptr(),
        start_rows,
        end.data_ptr(),
        alphas.data_ptr(),
        out.data_ptr(),
        shape[0],
        prod(shape[1:]),
        steps,
        dtype,
        _address(stream),
    )


def accumulate(
    acc: DeviceTensor, grads: DeviceTensor, weights: DeviceTensor, stream: Stream | None = None
) -> None:
    """Add the weighted sum of a batch of steps in place; see `path_batches.accumulate`.

    Parameters
    ----------
    acc : DeviceTensor, shape (N, ...), float64 or the dtype of ``grads``
    grads : DeviceTensor, shape (S * N, ...)
    weights : DeviceTensor, shape (S,), dtype of ``acc``
    stream
        Where the work goes; None: the default stream.

    Raises
    ------
    ValueError
        If shapes, dtypes or devices are not as above.
    RuntimeError
        If there are no CUDA kernels, or the launch fails.
    """
    acc_dtype = _one_dtype(acc=acc, weights=weights)
    dtype = _one_dtype(grads=grads)
    shape, steps = tuple(acc.shape()), _vector("weights", weights)
    _expect("grads", grads, (steps * shape[0], *shape[1:]))
    _launchers().accumulate(
        acc.data_ptr(),
        grads.data_ptr(),
        weights.data_ptr(),
        shape[0],
        prod(shape[1:]),
        steps,
        acc_dtype,
        dtype,
        _address(stream),
    )


def download(address: int, to: Array) -> None:
    """Copy memory of the first GPU into an array, after all work there is done.

    Parameters
    ----------
    address
        Of the first byte, in GPU memory.
    to
        Contiguous; its bytes are what is copied.

    Raises
    ------
    RuntimeError
        If there are no CUDA kernels, or the copy fails.
    """
    launchers = _launchers()
    launchers.synchronize()
    launchers.to_host(address, to)


def synchronize() -> None:
    """Wait until all work on the device is done.

    Raises
    ------
    RuntimeError
        If there are no CUDA kernels, or earlier work failed.
    """
    _launchers().synchronize()


def _launchers() -> ModuleType:
    """Return the compiled launchers, or raise RuntimeError where there are none."""
    if core is None or not core.built_with_cuda:
        raise RuntimeError(
            "onnxplain was built without CUDA: install the CUDA toolkit and reinstall with "
            "`pip install --no-binary onnxplain onnxplain -C cmake.define.ONNXPLAIN_CUDA=ON`"
        )
    launchers: ModuleType = core.cuda
    return launchers


def _address(stream: Stream | None) -> int:
    return 0 if stream is None else stream.address


def _one_dtype(**tensors: DeviceTensor) -> str:
    """Return the dtype that all tensors share, having checked that they lie on a GPU."""
    found = set()
    for name, tensor in tensors.items():
        if not tensor.device_name().lower().startswith("cuda"):
            raise ValueError(f"{name} must lie in GPU memory, not on {tensor.device_name()}")
        if tensor.data_type() not in _DTYPES:
            raise ValueError(f"{name} must be float32 or float64, not {tensor.data_type()}")
        found.add(_DTYPES[tensor.data_type()])
    if len(found) != 1:
        raise ValueError(f"{', '.join(tensors)} must have the same dtype, not {sorted(found)}")
    return str(found.pop())


def _vector(name: str, tensor: DeviceTensor) -> int:
    """Return the number of elements of a vector."""
    if len(tensor.shape()) != 1:
        raise ValueError(f"{name} must have one axis, not {len(tensor.shape())}")
    return int(tensor.shape()[0])


def _expect(name: str, tensor: DeviceTensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape()) != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {tuple(tensor.shape())}")
