"""Networks of well-known shapes with random weights, written with ``onnx.helper`` alone.

``compare/twins.py`` makes PyTorch networks of them, with the same weights, so that all tools explain the same
function.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["MODELS", "chain", "mobilenet_v2", "resnet50", "vgg16", "weights_of"]

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
#: MobileNetV2's stages: expansion, channels, repeats, stride of the first.
MOBILENET_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class Writer:
    """Appends layers to a graph; each method takes and returns names of values."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, array: Any) -> str:
        """Store a weight."""
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], **attrs: Any) -> str:
        """Append a node with one output."""
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def conv(
        self,
        x: str,
        name: str,
        shape: tuple[int, int, int],
        stride: int = 1,
        group: int = 1,
        bias: bool = False,
    ) -> str:
        """Append a square convolution, (out, in, kernel), padded by half the kernel."""
        out, into, k = shape
        spread = math.sqrt(2 / (into // group * k * k))
        inputs = [x, self.weight(f"{name}.weight", self._normal(spread, out, into // group, k, k))]
        if bias:
            inputs.append(self.weight(f"{name}.bias", self._normal(0.05, out)))
        return self.node(
            "Conv", inputs, kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4, group=group
        )

    def norm(self, x: str, name: str, channels: int, scale: float = 1.0) -> str:
        """Append a batch normalisation."""
        arrays = {
            "weight": scale * self.rng.uniform(0.8, 1.2, channels).astype(np.float32),
            "bias": self._normal(0.05, channels),
            "running_mean": self._normal(0.05, channels),
            "running_var": self.rng.uniform(0.8, 1.2, channels).astype(np.float32),
        }
        return self.node(
            "BatchNormalization", [x, *(self.weight(f"{name}.{k}", a) for k, a in arrays.items())]
        )

    def dense(self, x: str, name: str, out: int, into: int) -> str:
        """Append a fully connected layer."""
        w = self.weight(f"{name}.weight", self._normal(math.sqrt(2 / into), out, into))
        return self.node("Gemm", [x, w, self.weight(f"{name}.bias", self._normal(0.05, out))], transB=1)

    def relu(self, x: str) -> str:
        """Append a rectifier."""
        return self.node("Relu", [x])

    def max_pool(self, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Append a max pooling."""
        return self.node("MaxPool", [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def finish(self, y: str, shape: tuple[int, ...], classes: int) -> onnx.ModelProto:
        """Return the model, from ``input`` (N, ...) to ``output`` (N, classes)."""
        self.node("Identity", [y])
        self.nodes[-1].output[0] = "output"
        graph = helper.make_graph(
            self.nodes,
            "benchmark",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", classes])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _normal(self, spread: float, *shape: int) -> Any:
        return (spread * self.rng.standard_normal(shape)).astype(np.float32)


def vgg16() -> onnx.ModelProto:
    """VGG-16 (configuration D), 224 x 224."""
    w = Writer()
    x, channels, index = "input", 3, 0
    for item in VGG16:
        if isinstance(item, str):
            x = w.max_pool(x, 2, 2)
            index += 1
            continue
        x = w.relu(w.conv(x, f"features.{index}", (item, channels, 3), bias=True))
        channels, index = item, index + 2
    x = w.node("Flatten", [x])
    for name, out, into in (("classifier.0", 4096, 25088), ("classifier.2", 4096, 4096)):
        x = w.relu(w.dense(x, name, out, into))
    return w.finish(w.dense(x, "classifier.4", 1000, 4096), (3, 224, 224), 1000)


def resnet50() -> onnx.ModelProto:
    """ResNet-50 (the stride in the 3 x 3 convolutions), 224 x 224."""
    w = Writer()
    x = w.relu(w.norm(w.conv("input", "conv1", (64, 3, 7), 2), "bn1", 64))
    x = w.max_pool(x, 3, 2, 1)
    channels = 64
    for stage, (width, blocks, first) in enumerate(RESNET50, 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", first if block == 0 else 1
            y = w.relu(w.norm(w.conv(x, f"{name}.conv1", (width, channels, 1)), f"{name}.bn1", width))
            y = w.relu(w.norm(w.conv(y, f"{name}.conv2", (width, width, 3), stride), f"{name}.bn2", width))
            y = w.norm(w.conv(y, f"{name}.conv3", (4 * width, width, 1)), f"{name}.bn3", 4 * width, 0.3)
            if block == 0:
                side = w.conv(x, f"{name}.downsample.0", (4 * width, channels, 1), stride)
                x = w.norm(side, f"{name}.downsample.1", 4 * width)
            x, channels = w.relu(w.node("Add", [y, x])), 4 * width
    x = w.node("Flatten", [w.node("GlobalAveragePool", [x])])
    return w.finish(w.dense(x, "fc", 1000, channels), (3, 224, 224), 1000)


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2, 224 x 224."""
    w = Writer()
    limits = [w.weight("zero", np.float32(0)), w.weight("six", np.float32(6))]

    def layer(x: str, name: str, shape: tuple[int, int, int], stride: int = 1, group: int = 1) -> str:
        y = w.norm(w.conv(x, f"{name}.0", shape, stride, group), f"{name}.1", shape[0])
        return w.node("Clip", [y, *limits])

    x, channels, index = layer("input", "features.0", (32, 3, 3), 2), 32, 1
    for expansion, out, repeats, first in MOBILENET_V2:
        for k in range(repeats):
            name, stride, wide = f"features.{index}", first if k == 0 else 1, channels * expansion
            y = x if expansion == 1 else layer(x, f"{name}.expand", (wide, channels, 1))
            y = layer(y, f"{name}.depthwise", (wide, wide, 3), stride, wide)
            y = w.norm(w.conv(y, f"{name}.project.0", (out, wide, 1)), f"{name}.project.1", out, 0.5)
            x = w.node("Add", [x, y]) if stride == 1 and channels == out else y
            channels, index = out, index + 1
    x = layer(x, f"features.{index}", (1280, channels, 1))
    x = w.node("Flatten", [w.node("GlobalAveragePool", [x])])
    return w.finish(w.dense(x, "classifier", 1000, 1280), (3, 224, 224), 1000)


def chain(nodes: int, width: int = 16) -> onnx.ModelProto:
    """Build a synthetic graph of about ``nodes`` nodes: residual blocks of dense layers (4 nodes each)."""
    w = Writer()
    x = "input"
    for k in range(nodes // 4):
        y = w.relu(w.dense(x, f"block{k}", width, width))
        x = w.node("Add", [x, w.node("Mul", [y, w.weight(f"scale{k}", np.full(1, 0.01, np.float32))])])
    return w.finish(w.dense(x, "last", 10, width), (width,), 10)


def weights_of(model: onnx.ModelProto) -> dict[str, Any]:
    """Return a model's weights by name."""
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


MODELS = {"resnet50": resnet50, "vgg16": vgg16, "mobilenet_v2": mobilenet_v2}
