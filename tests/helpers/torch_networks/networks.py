"""Small PyTorch networks with seeded random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
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


NETWORKS: dict[str, Any] = {
    "vgg": Vgg, "normed": Normed, "resnet": ResNet, "transformer": Transformer, "text": Text,
    "mobile": Mobile, "unet": UNet, "mobile_by_middle": MobileByMiddle, "gated": Gated, "dense": Dense,
    "signal": Signal,
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
