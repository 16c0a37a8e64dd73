"""The PyTorch twins of ``models.py``, and the peers' ways to explain them; imported only where torch is."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import torch
from models import MOBILENET_V2, RESNET50, VGG16, weights_of
from torch import nn

if TYPE_CHECKING:
    import onnx

__all__ = ["TWINS", "has", "twin"]


class Add(nn.Module):
    """A sum of two as a module, so that hooks see it."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Add."""
        return x + y


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions; every ReLU is a module of its own, as hooks need it."""

    def __init__(self, into: int, width: int, stride: int, side: bool, add: type[nn.Module]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(into, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.add = add()
        self.downsample = (
            nn.Sequential(nn.Conv2d(into, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            if side
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        return self.relu3(self.add(self.bn3(self.conv3(y)), self.downsample(x)))


class ResNet50(nn.Module):
    """ResNet-50."""

    def __init__(self, add: type[nn.Module] = Add) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        into = 64
        for stage, (width, blocks, first) in enumerate(RESNET50, 1):
            made = []
            for k in range(blocks):
                made.append(Bottleneck(into, width, first if k == 0 else 1, k == 0, add))
                into = 4 * width
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.pool, self.flatten, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(into, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.flatten(self.pool(x)))


class VGG16Net(nn.Module):
    """VGG-16."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        into = 3
        for item in VGG16:
            if isinstance(item, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(into, item, 3, padding=1), nn.ReLU()]
                into = item
        self.features = nn.Sequential(*layers)
        dense = [nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
        self.classifier = nn.Sequential(*dense)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.classifier(self.features(x).flatten(1))  # Captum's LRP knows no nn.Flatten


def _layer(into: int, out: int, kernel: int, stride: int = 1, group: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=group, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class InvertedResidual(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, into: int, out: int, stride: int, expansion: int, add: type[nn.Module]) -> None:
        super().__init__()
        wide = into * expansion
        self.expand = nn.Identity() if expansion == 1 else _layer(into, wide, 1)
        self.depthwise = _layer(wide, wide, 3, stride, wide)
        self.project = nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.add = add() if stride == 1 and into == out else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block."""
        y = self.project(self.depthwise(self.expand(x)))
        return y if self.add is None else self.add(x, y)


class MobileNetV2(nn.Module):
    """MobileNetV2."""

    def __init__(self, add: type[nn.Module] = Add) -> None:
        super().__init__()
        layers: list[nn.Module] = [_layer(3, 32, 3, 2)]
        into = 32
        for expansion, out, repeats, first in MOBILENET_V2:
            for k in range(repeats):
                layers.append(InvertedResidual(into, out, first if k == 0 else 1, expansion, add))
                into = out
        self.features = nn.Sequential(*layers, _layer(into, 1280, 1))
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


TWINS: dict[str, Any] = {"resnet50": ResNet50, "vgg16": VGG16Net, "mobilenet_v2": MobileNetV2}


def twin(name: str, model: onnx.ModelProto, **options: Any) -> nn.Module:
    """Return the PyTorch twin of a model, with the same weights."""
    made = TWINS[name](**options).eval()
    state = {k: torch.from_numpy(v.copy()) for k, v in weights_of(model).items()}
    wanted = {k for k in made.state_dict() if not k.endswith("num_batches_tracked")}
    missing = wanted - set(state)
    if missing:
        raise ValueError(f"{name}: the ONNX graph has no weights {sorted(missing)}")
    made.load_state_dict({k: state[k] for k in wanted}, strict=False)
    return made.requires_grad_(False)


def has(module: str) -> bool:
    """Tell whether a peer is installed."""
    return importlib.util.find_spec(module) is not None
