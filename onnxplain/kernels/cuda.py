"""The first GPU: its streams, and what comes down from its memory.

Work is put on a stream, and the functions that do so return at once.  What is read later, by work on the same
stream, by a copy down, or after `Stream.synchronize`, is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain.kernels._native import core

if TYPE_CHECKING:
    from types import ModuleType

    from onnxplain._types import Array

__all__ = ["Stream", "download", "launchers", "synchronize"]


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
        self._launchers = launchers()
        #: What CUDA and onnxruntime (``user_compute_stream``) know it by.
        self.address: int = self._launchers.stream_create()
        self._staging: Any = None
        #: What went up to stay: arrays of the host by identity, each with what is there.
        self.constants: dict[int, tuple[Array, Any]] = {}

    def upload(self, array: Array, address: int) -> None:
        """Copy a contiguous array, which may be changed at once, into memory of the device.

        The host waits for large arrays only, or where it is several copies ahead of the device.

        Raises
        ------
        RuntimeError
            If the copy, or earlier work, failed.
        """
        if self._staging is None:
            self._staging = self._launchers.Staging()
        self._staging.upload(array, address, self.address)

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
            self.constants.clear()
            self._staging = None
            self._launchers.stream_destroy(self.address)


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
    on_device = launchers()
    on_device.synchronize()
    on_device.to_host(address, to)


def synchronize() -> None:
    """Wait until all work on the device is done.

    Raises
    ------
    RuntimeError
        If there are no CUDA kernels, or earlier work failed.
    """
    launchers().synchronize()


def launchers() -> ModuleType:
    """Return the compiled launchers.

    Raises
    ------
    RuntimeError
        If there are none.
    """
    if core is None or not core.built_with_cuda:
        raise RuntimeError(
            "onnxplain was built without CUDA: install the CUDA toolkit and reinstall with "
            "`pip install --no-binary onnxplain onnxplain -C cmake.define.ONNXPLAIN_CUDA=ON`"
        )
    found: ModuleType = core.cuda
    return found
