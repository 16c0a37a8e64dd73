"""Arrays in the memory of the first GPU, and the way there and back.

The functions of `path_batches`, `masked_batches` and `moments` take them in place of NumPy arrays: what they
are given decides where they work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import DTypeLike

from onnxplain.kernels.cuda import Stream, launchers

if TYPE_CHECKING:
    from onnxplain._types import Array, FloatArray, Shape

__all__ = [
    "DeviceArray",
    "DeviceTensor",
    "constant",
    "empty",
    "on_device",
    "on_host",
    "put",
    "viewed",
    "zeros",
]

_DTYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}  # fmt: skip


class DeviceTensor(Protocol):
    """What a tensor must answer; ``onnxruntime.OrtValue`` does."""

    def data_ptr(self) -> int:
        """Return the address of the first element, in GPU memory."""

    def shape(self) -> Sequence[int]:
        """Return the shape."""

    def data_type(self) -> str:
        """Return the element type as ONNX writes it, such as ``tensor(float)``."""

    def device_name(self) -> str:
        """Return the kind of device: ``cuda``."""


class _Memory:
    """Memory that is given back, in the order of its stream's work, when nobody refers to it."""

    def __init__(self, n_bytes: int, stream: Stream) -> None:
        self._stream, self._launchers = stream, launchers()
        self.address: int = self._launchers.allocate(n_bytes, stream.address)

    def __del__(self) -> None:
        if "address" in self.__dict__:
            self._launchers.release(self.address, self._stream.address)


class DeviceArray:
    """A contiguous array on the first GPU.

    Parameters
    ----------
    address
        Of its first element.
    shape, dtype
        As of a NumPy array.
    stream
        Whose work it is part of.
    owner
        Whatever keeps its memory.
    host
        The array that was copied there, if one was.
    """

    def __init__(
        self,
        address: int,
        shape: Shape,
        dtype: DTypeLike,
        stream: Stream,
        owner: object,
        host: Array | None = None,
    ) -> None:
        self.address = address
        self.shape = tuple(int(d) for d in shape)
        self.dtype = np.dtype(dtype)
        self.stream = stream
        self.owner = owner
        self.host = host

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, entries: slice) -> DeviceArray:
        """Return some entries of the first axis, one after the other, in the same memory."""
        first, stop, step = entries.indices(len(self))
        if step != 1:
            raise ValueError("entries of an array on a GPU are taken one after the other")
        each = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = (max(stop - first, 0), *self.shape[1:])
        return DeviceArray(self.address + first * each, shape, self.dtype, self.stream, self.owner)

    def reshape(self, *lengths: int | Shape) -> DeviceArray:
        """Return the same memory in another shape, of which one length may be -1.

        Raises
        ------
        ValueError
            If it has another number of elements.
        """
        first = lengths[0] if lengths else ()
        shape: Any = first if isinstance(first, tuple) else lengths
        known = math.prod(d for d in shape if d != -1)
        made = tuple(self.size // max(known, 1) if d == -1 else d for d in shape)
        if math.prod(made) != self.size:
            raise ValueError(f"an array of the shape {self.shape} cannot have the shape {shape}")
        return DeviceArray(self.address, made, self.dtype, self.stream, self.owner)

    def copy_from(self, other: DeviceArray) -> None:
        """Copy the bytes of another array of as many.

        Raises
        ------
        ValueError
            If it has more or fewer.
        """
        if other.nbytes != self.nbytes:
            raise ValueError(f"{other.nbytes} bytes do not fit {self.nbytes}")
        if self.nbytes:
            launchers().copy(self.address, other.address, self.nbytes, self.stream.address)

    def numpy(self) -> Array:
        """Copy it to the host: by the default stream, which waits for the work before."""
        made = np.empty(self.shape, self.dtype)
        if made.size:
            launchers().to_host(self.address, made)
        return made


def on_device(array: object) -> bool:
    """Tell whether something is a `DeviceArray`."""
    return isinstance(array, DeviceArray)


def empty(shape: Shape, dtype: DTypeLike, stream: Stream) -> DeviceArray:
    """Return an array of which nothing was written yet."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    memory = _Memory(n_bytes, stream)
    return DeviceArray(memory.address, shape, dtype, stream, memory)


def put(array: Array, stream: Stream) -> DeviceArray:
    """Copy an array of numbers to the GPU."""
    contiguous = np.ascontiguousarray(array).reshape(np.shape(array))
    made = empty(contiguous.shape, contiguous.dtype, stream)
    if made.nbytes:
        stream.upload(contiguous, made.address)
    made.host = array
    return made


def constant(array: Array, stream: Stream, dtype: DTypeLike) -> DeviceArray:
    """Copy an array that will not change to the GPU, as this type; once for each stream.

    What is there stays until the stream's ``constants`` are cleared.
    """
    held, there = stream.constants.get(id(array), (None, None))
    if held is not array or there is None or there.dtype != np.dtype(dtype):
        there = put(np.asarray(array, dtype), stream)
        stream.constants[id(array)] = array, there
    assert isinstance(there, DeviceArray)
    return there


def viewed(tensor: DeviceTensor, stream: Stream) -> DeviceArray:
    """Return a tensor of somebody else, over the same memory.

    Raises
    ------
    ValueError
        If it does not lie in GPU memory, or elements are of another type than numbers of the usual sizes.
    """
    if not tensor.device_name().lower().startswith("cuda"):
        raise ValueError(f"the tensor must lie in GPU memory, not on {tensor.device_name()}")
    if tensor.data_type() not in _DTYPES:
        raise ValueError(f"elements of a tensor on the GPU cannot be {tensor.data_type()} here")
    shape = tuple(tensor.shape())
    return DeviceArray(tensor.data_ptr(), shape, _DTYPES[tensor.data_type()], stream, tensor)


def zeros(shape: Shape, like: Any) -> FloatArray:
    """Return zeros of float64 where another array is; they are a `DeviceArray` beside such."""
    if not isinstance(like, DeviceArray):
        return np.zeros(shape, np.float64)
    made = empty(shape, np.float64, like.stream)
    launchers().clear(made.address, made.nbytes, like.stream.address)
    return cast("FloatArray", made)


def on_host(array: Any) -> Array:
    """Return an array of the host: that which was copied up, if there is one, or else a copy."""
    if not isinstance(array, DeviceArray):
        return cast("Array", array)
    return array.numpy() if array.host is None else array.host
