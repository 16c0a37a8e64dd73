"""One layer, pooling or activation below a dense layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from torch_networks.networks import Add


class Single(nn.Module):
    """A layer, and above it a dense layer (N, ...) to (N, 4) that hands it relevance of either sign.

    Parameters
    ----------
    layer, shape
        The layer, and the shape of its input without the batch axis.
    rectified
        Whether a ReLU stands before the layer and another after it.
    """

    def __init__(self, layer: nn.Module, shape: tuple[int, ...], *, rectified: bool = False) -> None:
        super().__init__()
        self.shape, self.layer = shape, layer
        self.before, self.after = (nn.ReLU() if rectified else nn.Identity() for _ in range(2))
        self.flatten = nn.Flatten()
        self.end = nn.Linear(layer(torch.zeros(1, *shape)).numel(), 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.flatten(self.after(self.layer(self.before(x)))))


class WithTransposed(nn.Module):
    """(N, C, H, H): the sum of the maps and the maps transposed."""

    def __init__(self, add: type[nn.Module]) -> None:
        super().__init__()
        self.add = add()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.add(x, x.transpose(2, 3))


#: By name: what makes a layer with weights, given whether it has a bias, and the shape of its input.
LAYERS: dict[str, tuple[Callable[[bool], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda b: nn.Linear(7, 6, b), (7,)),
    "linear_rows": (lambda b: nn.Linear(7, 6, b), (3, 7)),
    "conv1d": (lambda b: nn.Conv1d(3, 4, 3, stride=2, padding=1, bias=b), (3, 9)),
    "conv1d_dilated": (lambda b: nn.Conv1d(3, 4, 3, dilation=2, bias=b), (3, 10)),
    "conv2d": (lambda b: nn.Conv2d(3, 4, 3, padding=1, bias=b), (3, 6, 6)),
    "conv2d_odd": (lambda b: nn.Conv2d(3, 4, (3, 2), (2, 1), (0, 1), (1, 2), bias=b), (3, 6, 7)),
    "conv2d_groups": (lambda b: nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=b), (4, 8, 8)),
    "conv2d_depthwise": (lambda b: nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=b), (4, 6, 6)),
    "conv3d": (lambda b: nn.Conv3d(2, 3, 2, stride=(1, 2, 1), padding=1, bias=b), (2, 3, 4, 5)),
    "transpose1d": (lambda b: nn.ConvTranspose1d(3, 4, 3, 2, bias=b), (3, 5)),
    "transpose2d": (lambda b: nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2, bias=b), (4, 4, 5)),
    "transpose2d_dilated": (lambda b: nn.ConvTranspose2d(3, 4, 2, dilation=2, bias=b), (3, 4, 4)),
    "transpose3d": (lambda b: nn.ConvTranspose3d(2, 2, 2, 2, bias=b), (2, 2, 3, 2)),
}


#: By name: what makes a pooling without weights, and the shape of its input.
POOLS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "average1d": (lambda: nn.AvgPool1d(3, 2), (3, 9)),
    "average2d": (lambda: nn.AvgPool2d(3, 2, 1), (3, 7, 7)),
    "average2d_without_pads": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (3, 7, 7)),
    "average3d": (lambda: nn.AvgPool3d(2), (2, 4, 4, 4)),
    "global": (lambda: nn.AdaptiveAvgPool2d(1), (3, 5, 5)),
}


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "prelu": nn.PReLU, "elu": nn.ELU,
    "gelu": nn.GELU, "silu": nn.SiLU, "hardswish": nn.Hardswish, "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
}  # fmt: skip


def single(
    name: str, *, bias: bool = True, rectified: bool = False, add: type[nn.Module] = Add, seed: int = 0
) -> Single:
    """One of ``LAYERS``, ``POOLS`` or ``ACTIVATIONS``, or ``"sum"``, below a dense layer; random weights."""
    torch.manual_seed(seed)
    if name == "sum":
        layer, shape = WithTransposed(add), (2, 5, 5)
    elif name in ACTIVATIONS:
        layer, shape = ACTIVATIONS[name](), (3, 5)
    elif name in POOLS:
        make_pool, shape = POOLS[name]
        layer = make_pool()
    else:
        make, shape = LAYERS[name]
        layer = make(bias)
    net = Single(layer, shape, rectified=rectified)
    return net.eval().requires_grad_(False)


#: By name: what makes a max pooling, and the shape of its input.  Its windows share places.
MAX_POOLS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "max1d": (lambda: nn.MaxPool1d(4, 3, 1), (3, 14)),
    "max2d": (lambda: nn.MaxPool2d(4, 3, 1), (2, 11, 14)),
    "max2d_odd": (lambda: nn.MaxPool2d((4, 3), (3, 2), (1, 0)), (2, 11, 9)),
    "max2d_dilated": (lambda: nn.MaxPool2d(3, 4, 1, dilation=2), (2, 12, 12)),
    "max2d_ceil": (lambda: nn.MaxPool2d(4, 3, 1, ceil_mode=True), (2, 10, 13)),
    "max3d": (lambda: nn.MaxPool3d((4, 3, 3), (3, 2, 2), 1), (2, 8, 7, 6)),
}


def max_pooled(name: str, seed: int = 0) -> Single:
    """One of ``MAX_POOLS`` below a dense layer; random weights."""
    torch.manual_seed(seed)
    make, shape = MAX_POOLS[name]
    return Single(make(), shape).eval().requires_grad_(False)


def winners(pool: Any, x: torch.Tensor) -> torch.Tensor:
    """Where the maxima of a pooling's windows are: rows by windows, places within each channel."""
    function = getattr(nn.functional, f"max_pool{x.dim() - 2}d")
    options = pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode
    return function(x, *options, return_indices=True)[1].flatten(2).flatten(0, 1)


def with_own_winners(pool: Any, x: Any) -> Any:
    """The inputs, raised where only one window looks, so that no two windows have the same maximum."""
    axes = x.ndim - 2
    size, stride, pads, dilation = (
        (v,) * axes if isinstance(v, int) else v
        for v in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    )
    windows = pool(torch.zeros(x.shape)).shape[2:]
    raised = np.full((1,) * axes, 10.0)
    for axis, (length, n, k, s, p, d) in enumerate(
        zip(x.shape[2:], windows, size, stride, pads, dilation, strict=True)
    ):
        places = (np.arange(n)[:, None] * s + np.arange(k) * d - p).ravel()
        looks = np.bincount(places[(places >= 0) & (places < length)], minlength=length)
        raised = raised * (looks == 1).reshape([-1 if a == axis else 1 for a in range(axes)])
    return (x + raised).astype(x.dtype)
