"""Small PyTorch networks with seeded random weights, and their ONNX export; imported only where torch is."""

from __future__ import annotations

import copy
import io
import logging
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn


class Add(nn.Module):
    """A sum as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Vgg(nn.Module):
    """(N, 3, 16, 16) to (N, 5): convolutions, max pooling, dense layers; all with biases."""

    shape = (3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.flatten(self.features(x)))


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, into: int, out: int, stride: int, add: type[nn.Module]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        side = [nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)]
        self.side = nn.Sequential(*side) if stride > 1 or into != out else nn.Identity()
        self.add = add()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(self.add(y, self.side(x)))


class ResNet(nn.Module):
    """(N, 3, 17, 17) to (N, 5): residual blocks with batch normalisation, odd sizes, global average."""

    shape = (3, 17, 17)

    def __init__(self, add: type[nn.Module] = Add) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(Block(8, 8, 1, add), Block(8, 16, 2, add))
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.blocks(self.pool(self.stem(x))))


class Transformer(nn.Module):
    """(N, 6, 16) to (N, 5): one encoder layer with four heads and GELU."""

    shape = (6, 16)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True)
        self.end = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.layer(x).mean(1))


class Text(nn.Module):
    """Token ids (N, 9) to (N, 5): embedding, convolution over the words, the best place of each filter."""

    shape = (9,)
    words = 30

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(self.words, 8)
        self.conv = nn.Conv1d(8, 12, 3, padding=1)
        self.end = nn.Linear(12, 5)

    def after_embedding(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(torch.relu(self.conv(x.transpose(1, 2))).amax(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.after_embedding(self.embedding(ids))


class Mobile(nn.Module):
    """(N, 3, 16, 16) to (N, 5): depthwise-separable convolutions, hard swish, squeeze and excitation."""

    shape = (3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.wide = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
            nn.Conv2d(16, 16, 5, 2, 2, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        )  # fmt: skip
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Hardsigmoid()
        )
        self.narrow = nn.Sequential(nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.end = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.wide(self.stem(x))
        return self.end(self.narrow(x * self.squeeze(x)).mean((2, 3)))


class UNet(nn.Module):
    """(N, 3, 16, 16) to maps (N, 2, 16, 16): a transposed convolution, two ways of upsampling, a skip."""

    shape = (3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.up1 = nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)
        self.up2 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.up3 = nn.Upsample(scale_factor=2, mode="nearest")
        self.end = nn.Conv2d(6 + 8 + 8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.down1(x))
        b = torch.relu(self.down2(self.pool(a)))
        return self.end(torch.cat([torch.relu(self.up1(b)) + a, self.up2(b), self.up3(b)], 1))


class Normed(nn.Sequential):
    """(N, 3, 10, 10) to (N, 5): a batch normalisation that no layer takes up."""

    shape = (3, 10, 10)

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(72, 5),
        )  # fmt: skip


NETWORKS: dict[str, Any] = {
    "vgg": Vgg, "normed": Normed, "resnet": ResNet, "transformer": Transformer, "text": Text,
    "mobile": Mobile, "unet": UNet,
}  # fmt: skip


def network(name: str, seed: int = 0, **options: Any) -> nn.Module:
    """A network for inference, with random weights and statistics."""
    torch.manual_seed(seed)
    net = NETWORKS[name](**options).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net.requires_grad_(False)


def sample(net: nn.Module, n: int = 3, seed: int = 1) -> Any:
    """Inputs, (n, ...): normal numbers, or token ids."""
    rng = np.random.default_rng(seed)
    shape: Any = (n, *net.shape)
    if isinstance(net, Text):
        return rng.integers(0, net.words, shape)
    return rng.standard_normal(shape).astype(np.float32)


def export(net: nn.Module, x: Any, opset: int = 17) -> onnx.ModelProto:
    """The network as ONNX, from ``x`` to ``y``, the batch axis symbolic."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    content = io.BytesIO()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused operator that cannot be exported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net, (torch.from_numpy(x),), content, input_names=["x"], output_names=["y"], dynamo=False,
                dynamic_axes={"x": {0: "N"}, "y": {0: "N"}}, opset_version=opset,
            )  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return onnx.load_from_string(content.getvalue())


def autograd(net: nn.Module, x: Any, targets: Any) -> Any:
    """The gradient of each row's target score: (n,) classes, or (n, k) index tuples."""
    leaf = torch.from_numpy(x).requires_grad_()
    y = net(leaf)
    index = np.asarray(targets).reshape(len(x), -1)
    rows = torch.arange(len(x))
    picked = y[(rows, *(torch.from_numpy(index[:, k].copy()) for k in range(index.shape[1])))]
    return torch.autograd.grad(picked.sum(), leaf)[0].numpy()


def relative(found: Any, wanted: Any) -> float:
    """The largest difference over the largest value."""
    found, wanted = (a.detach().numpy() if isinstance(a, torch.Tensor) else a for a in (found, wanted))
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


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


def import_zennit() -> Any:
    """Import zennit, with a stand-in for torchvision (it needs its names alone) where that does not load."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, AttributeError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("torchvision", "torchvision.models", "torchvision.models.resnet"):
            sys.modules[name] = types.ModuleType(name)
        resnet: Any = sys.modules["torchvision.models.resnet"]
        resnet.Bottleneck, resnet.BasicBlock = type("Bottleneck", (), {}), type("BasicBlock", (), {})
    import zennit.canonizers
    import zennit.composites
    import zennit.core
    import zennit.layer
    import zennit.rules
    import zennit.types

    return zennit


def zennit_sum(zennit: Any) -> type[nn.Module]:
    """A sum of two as the layer that zennit's composites give the rule Norm: relevance in proportion."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sum = zennit.layer.Sum()

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.sum(torch.stack([x, y], dim=-1))

    return Sum


class Shortcut(nn.Module):
    """A block of an EfficientNet whose residual sum is a layer."""

    def __init__(self, block: Any, add: type[nn.Module]) -> None:
        super().__init__()
        self.block, self.add = block, add()
        block.id_skip = False

    def forward(self, x: torch.Tensor, drop_connect_rate: float | None = None) -> torch.Tensor:
        return self.add(self.block(x), x)


def with_sums(net: Any, add: type[nn.Module]) -> list[tuple[tuple[str], str]]:
    """Make the residual sums of an EfficientNet layers; return what is merged into what, by name."""
    for k, block in enumerate(net._blocks):
        args = block._block_args
        if block.id_skip and args.stride == 1 and args.input_filters == args.output_filters:
            net._blocks[k] = Shortcut(block, add)
    after = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
    after |= {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    names = (name.rpartition(".") for name, _ in net.named_modules())
    return [((f"{a}{dot}{b}",), f"{a}{dot}{after[b]}") for a, dot, b in names if b in after]


def zennit_composite(zennit: Any, name: str, merged: Any = (), **options: Any) -> Any:
    """A composite of zennit's, batch normalisations merged before; tuples are one value per channel.

    ``merged`` pairs names of layers and normalisations, where these are not neighbours in a ``Sequential``.
    """
    options = {
        k: torch.tensor(v).reshape(1, -1, 1, 1) if isinstance(v, tuple) else v for k, v in options.items()
    }
    made = zennit.canonizers
    canonizers = [made.NamedMergeBatchNorm(merged) if merged else made.SequentialMergeBatchNorm()]
    return zennit.composites.COMPOSITES[name](canonizers=canonizers, **options)


def zennit_walk(net: nn.Module, composite: Any, x: Any, targets: Any, *, relevance: bool) -> Any:
    """What zennit attributes, one row at a time; relevance starts from the score, gradients from one.

    A batch normalisation that zennit merged still divides by ``sqrt(1 + eps)``; here it is left as nothing.
    """
    net = copy.deepcopy(net)
    rows = []
    with composite.context(net) as hooked:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and (module.running_var == 1).all():
                module.eps = 0.0
        for row, target in zip(torch.from_numpy(x), targets, strict=True):
            leaf = row[None].requires_grad_()
            y = hooked(leaf)
            seed = torch.zeros_like(y)
            seed[0, target] = y[0, target].detach() if relevance else 1.0
            rows.append(torch.autograd.grad(y, leaf, seed)[0].numpy())
    return np.concatenate(rows)


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


class Copy(nn.Module):
    """What it is given, as a new tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone()


def apart(net: nn.Module) -> nn.Module:
    """The network, with a copy in front of every max pooling."""
    net = copy.deepcopy(net)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
                setattr(module, name, nn.Sequential(Copy(), child))
    return net


def adding_unpool(
    values: torch.Tensor, indices: torch.Tensor, size: Any, stride: Any, padding: Any, shape: Any
) -> torch.Tensor:
    """``max_unpool`` that adds up what several windows hand to one place, where PyTorch's keeps the last."""
    made = values.new_zeros(tuple(shape)).flatten(2)
    return made.scatter_add(2, indices.flatten(2), values.flatten(2)).reshape(tuple(shape))


class Words(nn.Module):
    """The network ``Text`` after its embedding, (N, 9, 8) to (N, 5), made of modules."""

    shape = (9, 8)

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.conv, self.end = text.conv, text.end
        self.relu, self.pool = nn.ReLU(), nn.MaxPool1d(*text.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.pool(self.relu(self.conv(x.transpose(1, 2)))).squeeze(2))


class AfterEmbedding(nn.Module):
    """The same as ``Text`` writes it, with functions."""

    shape = (9, 8)

    def __init__(self, text: Text) -> None:
        super().__init__()
        self.text = text

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.text.after_embedding(x)


class MiddleProduct(nn.Module):
    """A product of two that hold inputs and, behind them, references; its gradient is at their middle."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        def middle(v: torch.Tensor) -> torch.Tensor:
            here, there = v.detach().chunk(2)
            return ((here + there) / 2).repeat(2, *[1] * (v.dim() - 1))

        straight = x * middle(y) + middle(x) * y
        return straight + (x * y - straight).detach()


class MobileByMiddle(Mobile):
    """``Mobile``, whose product has its gradient at the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.product = MiddleProduct()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.wide(self.stem(x))
        return self.end(self.narrow(self.product(x, self.squeeze(x))).mean((2, 3)))


class Multiply(nn.Module):
    """A product as a module."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y


class Gated(nn.Module):
    """(N, 7) to (N, 5): a dense layer times a gate that the input moves widely."""

    shape = (7,)

    def __init__(self, multiply: type[nn.Module] = Multiply) -> None:
        super().__init__()
        self.signal, self.gate, self.end = nn.Linear(7, 8), nn.Linear(7, 8), nn.Linear(8, 5)
        self.sigmoid, self.multiply = nn.Sigmoid(), multiply()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.multiply(self.signal(x), self.sigmoid(3 * self.gate(x))))


NETWORKS |= {"mobile_by_middle": MobileByMiddle, "gated": Gated}


class Dense(nn.Sequential):
    """(N, 7) to (N, 5): dense layers, and a smooth function after each but the last."""

    shape = (7,)

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(7, 16), nn.GELU(), nn.Linear(16, 16), nn.Tanh(),
            nn.Linear(16, 16), nn.SELU(), nn.Linear(16, 5),
        )  # fmt: skip


class Signal(nn.Sequential):
    """(N, 3, 20) to (N, 5): convolutions along one axis, normalised, with pooling of both kinds."""

    shape = (3, 20)

    def __init__(self) -> None:
        super().__init__(
            nn.Conv1d(3, 6, 3, padding=1), nn.BatchNorm1d(6), nn.LeakyReLU(0.2), nn.MaxPool1d(2),
            nn.Conv1d(6, 8, 3), nn.ELU(), nn.AvgPool1d(2), nn.ConvTranspose1d(8, 4, 3, 2), nn.Sigmoid(),
            nn.Flatten(), nn.Linear(36, 5),
        )  # fmt: skip


NETWORKS |= {"dense": Dense, "signal": Signal}


def captum_deep_lift(
    attr: Any, net: nn.Module, x: Any, baselines: Any, targets: Any, *, copies: bool = True
) -> Any:
    """What Captum's ``DeepLift`` attributes in float64, one row at a time.

    Two hooks on one tensor are called in the wrong order there: a nonlinearity directly in front of a max
    pooling gets the pooling's gradient, not what its rule makes of that.  So there is a copy between the two.
    """
    peer = attr.DeepLift((apart(net) if copies else copy.deepcopy(net)).double())
    starts = np.broadcast_to(np.asarray(baselines, np.float64), x.shape)
    rows = []
    for row, start, target in zip(x.astype(np.float64), starts, targets, strict=True):
        leaf, there = torch.from_numpy(row)[None], torch.from_numpy(start.copy())[None]
        rows.append(peer.attribute(leaf, there, int(target)).detach().numpy())
    return np.concatenate(rows)


def captum_deep_lift_shap(attr: Any, net: nn.Module, x: Any, references: Any, targets: Any) -> Any:
    """What Captum's ``DeepLiftShap`` attributes in float64."""
    leaf, there = (torch.from_numpy(a.astype(np.float64)) for a in (x, references))
    peer = attr.DeepLiftShap(apart(net).double())
    return peer.attribute(leaf, there, torch.as_tensor(targets)).detach().numpy()


def shap_deep_explainer(shap: Any, net: nn.Module, x: Any, references: Any) -> tuple[Any, Any]:
    """What shap's ``DeepExplainer`` attributes in float64, (n, ..., outputs), and its expected values."""
    leaf, there = (torch.from_numpy(a.astype(np.float64)) for a in (x, references))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modules it does not know: it keeps their gradients
        peer = shap.DeepExplainer(copy.deepcopy(net).double(), there)
        return peer.shap_values(leaf, check_additivity=False), peer.expected_value


def scores(net: nn.Module, x: Any, targets: Any) -> Any:
    """Each row's target score, in float64."""
    y = copy.deepcopy(net).double()(torch.from_numpy(x.astype(np.float64))).detach().numpy()
    return y[np.arange(len(x)), targets]
