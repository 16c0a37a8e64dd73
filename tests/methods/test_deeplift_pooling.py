"""DeepLIFT of random networks of poolings: in a file and by the explainer, and what it must sum to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox

FUNCTIONS = ("Relu", "Tanh", "Sigmoid", "Abs", "Softplus", "Neg", "LeakyRelu", "Identity")


@dataclass
class Network:
    """Up to four random nodes on an image of one, two or three axes, and a dense layer."""

    rng: np.random.Generator
    lines: list[str] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        axes = int(self.rng.integers(1, 4))
        self.batch = str(self.rng.choice(["1", "3", "N"]))
        self.n = 1 if self.batch == "1" else 3
        self.channels = self.width = int(self.rng.choice([1, 2, 5]))
        self.sizes = self.left = [int(v) for v in self.rng.integers(5 - (axes == 3), 8, axes)]
        for _ in range(int(self.rng.integers(1, 5))):
            (self.convolve, self.bend, self.pool, self.pool)[int(self.rng.integers(4))]()
        self.close()

    @property
    def last(self) -> str:
        return f"v{len(self.lines)}" if self.lines else "x"

    def add(self, node: str) -> None:
        self.lines.append(f"v{len(self.lines) + 1} = {node}")

    def convolve(self) -> None:
        name = f"w{len(self.lines)}"
        kernel = [int(self.rng.choice([1, 3])) for _ in self.left]
        width = int(self.rng.integers(2, 5))
        shape = (width, self.width, *kernel)
        self.weights[name] = self.rng.standard_normal(shape).astype(np.float32)
        self.add(f'Conv<auto_pad = "SAME_UPPER">({self.last}, {name})')
        self.width = width

    def bend(self) -> None:
        self.add(f"{self.rng.choice(FUNCTIONS)}({self.last})")

    def pool(self) -> None:
        """Overlapping windows or not, with gaps, pads, and what is left over at the end."""
        kernel, strides, dilations = (self.rng.integers(1, 4, len(self.left)) for _ in range(3))
        dilations = np.minimum(dilations, 2) if self.rng.random() < 0.4 else np.ones_like(kernel)
        text = f"kernel_shape = {kernel.tolist()}, strides = {strides.tolist()}"
        kind, reach, sizes = self.rng.random(), dilations * (kernel - 1) + 1, np.array(self.left)
        if kind < 0.3:
            auto = str(self.rng.choice(["SAME_UPPER", "SAME_LOWER"]))
            strides = np.minimum(strides, kernel)  # a pad is never negative
            made = -(-sizes // strides)
            text = f'kernel_shape = {kernel.tolist()}, strides = {strides.tolist()}, auto_pad = "{auto}"'
        elif kind < 0.6:
            pads = np.concatenate([self.rng.integers(0, kernel) for _ in range(2)])
            made = (sizes + pads.reshape(2, -1).sum(0) - reach) // strides + 1
            text += f", pads = {pads.tolist()}, dilations = {dilations.tolist()}"
        else:
            strides = np.minimum(strides, kernel)
            made = -(-(sizes - reach) // strides) + 1
            text = f"kernel_shape = {kernel.tolist()}, strides = {strides.tolist()}, ceil_mode = 1"
            text += f", dilations = {dilations.tolist()}"
        if (made >= 1).all() and (reach <= sizes).all():
            self.add(f"MaxPool<{text}>({self.last})")
            self.left = [int(m) for m in made]

    def close(self) -> None:
        kind = self.rng.random()
        sizes = [self.width, *self.left]
        if kind < 0.35:
            self.add(f"GlobalMaxPool({self.last})")
            sizes = [self.width]
        elif kind < 0.6:
            axis = int(self.rng.integers(len(sizes)))
            self.weights["axis"] = np.array([axis + 1])
            self.add(f"{self.rng.choice(['ReduceMax', 'ReduceMin'])}<keepdims = 0>({self.last}, axis)")
            del sizes[axis]
        if self.rng.random() < 0.5:
            self.bend()
        self.weights["mix"] = self.rng.standard_normal((int(np.prod(sizes)), 2)).astype(np.float32)
        self.lines += [f"flat = Flatten({self.last})", "y = MatMul(flat, mix)"]

    def model(self, models: Any) -> Any:
        dims = ", ".join([self.batch, str(self.channels), *map(str, self.sizes)])
        graph = f"m (float[{dims}] x) => (float[{self.batch}, 2] y) {{ {' '.join(self.lines)} }}"
        return models.make(graph, **self.weights)

    def sample(self, n: int) -> np.ndarray:
        return self.rng.standard_normal((n, self.channels, *self.sizes)).astype(np.float32)


def in_a_file(model: Any, x: np.ndarray, path: Any, method: ox.DeepLift, start: Any) -> np.ndarray:
    made = ox.export(model, path, method=method, baselines=start)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["attribution/x"], {"x": x, "target": np.ones(len(x), np.int64)})[0]
    return found


def compare(model: Any, x: np.ndarray, start: Any, path: Any, rule: str = "rescale") -> np.ndarray:
    """Check the sum, and that a file gives the same; returns the attributions."""
    explainer, method = ox.Explainer(model), ox.DeepLift(rule)
    found = explainer(x, target=np.ones(len(x), np.int64), method=method, baselines=start)
    there = np.broadcast_to(0.0 if start is None else start, x.shape).astype(np.float32)
    change = explainer.predict(x)["y"][:, 1] - explainer.predict(there)["y"][:, 1]
    scale = max(float(np.abs(found.values).max()), float(np.abs(change).max()), 1e-3)
    np.testing.assert_allclose(found.values.reshape(len(x), -1).sum(1), change, atol=1e-4 * scale)
    np.testing.assert_allclose(in_a_file(model, x, path, method, start), found.values, atol=1e-4 * scale)
    return found.values


@pytest.mark.parametrize("seed", range(24))
def test_random_poolings(seed, models, tmp_path) -> None:
    made = Network(np.random.default_rng(seed))
    model, x = made.model(models), made.sample(made.n)
    starts = (None, 0.3, made.sample(1))
    rule = ("rescale", "reveal_cancel")[seed % 4 == 3]
    compare(model, x, starts[seed % 3], tmp_path / "made.onnx", rule)
    compare(model, x, starts[(seed + 1) % 3], tmp_path / "other.onnx")


@pytest.mark.parametrize("start", [None, 0.3])
def test_one_sample_whose_reference_is_computed_while_writing(start, models, tmp_path) -> None:
    graph = """m (float[1, 2, 9] x) => (float[1, 2] y) {
      c = Conv(x, w) r = Relu(c) g = GlobalMaxPool(r) f = Flatten(g) y = MatMul(f, v) }"""
    model = models.make(graph, w=models.random(3, 2, 3, seed=1), v=models.random(3, 2, seed=2))
    assert compare(model, models.random(1, 2, 9), start, tmp_path / "made.onnx").any()


@pytest.mark.parametrize("start", [None, 0.3])
def test_three_samples_whose_references_are_computed_while_writing(start, models, tmp_path) -> None:
    graph = """m (float[3, 5, 4, 4] x) => (float[3, 2] y) {
      t = Tanh(x) p = MaxPool<kernel_shape = [2, 2], strides = [1, 1]>(t) f = Flatten(p) y = MatMul(f, v) }"""
    model = models.make(graph, v=models.random(45, 2, seed=2))
    assert compare(model, models.random(3, 5, 4, 4), start, tmp_path / "made.onnx").any()
