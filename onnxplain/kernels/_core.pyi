"""Types of the compiled module; ``csrc/bindings.cpp`` makes it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.floating[Any]]

built_with_cuda: bool

def num_threads() -> int: ...
def cuda_device_count() -> int: ...
def philox4x32(c0: int, c1: int, c2: int, c3: int, seed: int, /) -> tuple[int, int, int, int]: ...
def interpolate(start: _Floats, end: _Floats, alphas: _Floats, out: _Floats) -> None: ...
def accumulate(acc: _Floats, grads: _Floats, weights: _Floats) -> None: ...
def noise(
    x: _Floats,
    stdev: _Floats,
    seed: int,
    first_sample: int,
    first_row: int,
    substream: int,
    alike: bool,
    out: _Floats,
) -> None: ...

class Trees:
    def __init__(
        self,
        feature: NDArray[np.int32],
        mode: NDArray[np.int32],
        threshold: NDArray[np.float64],
        true_child: NDArray[np.int32],
        false_child: NDArray[np.int32],
        missing_true: NDArray[np.bool_],
        member_start: NDArray[np.int32],
        members: NDArray[np.float64],
        leaf_start: NDArray[np.int32],
        leaf_target: NDArray[np.int32],
        leaf_weight: NDArray[np.float64],
        roots: NDArray[np.int32],
        scores: int,
    ) -> None: ...

def tree_scores(trees: Trees, aggregate: str, x: NDArray[np.float64], out: _Floats) -> None: ...
def tree_counts(trees: Trees, x: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
def tree_values(
    trees: Trees,
    x: NDArray[np.float64],
    background: NDArray[np.float64],
    covers: NDArray[np.float64],
    players: NDArray[np.int32],
    n_players: int,
    order: int,
    weights: NDArray[np.float64],
    rule_points: NDArray[np.float64],
    rule_weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...

class cuda:  # noqa: N801 -- a submodule at run time, there only if built_with_cuda
    """Launchers of ``csrc/cuda_bindings.cpp``, which :mod:`onnxplain.kernels.cuda_batches` calls."""

    @staticmethod
    def to_device(array: NDArray[Any]) -> int: ...
    @staticmethod
    def to_host(pointer: int, out: NDArray[Any]) -> None: ...
    @staticmethod
    def free(pointer: int) -> None: ...
    @staticmethod
    def synchronize() -> None: ...
