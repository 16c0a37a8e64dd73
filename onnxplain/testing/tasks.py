"""Tasks whose truth is known: models of a few nodes, of which it is provable what they look at.

A feature *matters* to a score if taking it away (a 0 in its place; for tokens, at the embedding) ever changes
the score, whatever else is gone: it is no null player.  Of all others the score does not depend that way, so
that an explanation has nothing to find there, however much it looks like what matters.

>>> from onnxplain.testing.tasks import tasks
>>> for task in tasks(n=8):
...     found = explainer(task.inputs, task.target, "integrated_gradients")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnxplain._types import Array, Arrays

__all__ = ["TASKS", "Task", "tasks"]

_OPSET, _IR_VERSION = 18, 8
_SIDE, _PATCH = 24, 5
#: Patterns of 5x5, a class each.
_PATTERNS = (
    ("..#..", "..#..", "#####", "..#..", "..#.."),
    ("#####", "#...#", "#...#", "#...#", "#####"),
    ("#...#", ".#.#.", "..#..", ".#.#.", "#...#"),
    ("#####", "..#..", "..#..", "..#..", "..#.."),
)
_GREY = (0.5, 0.3, 0.2)
#: A pattern must be there by this share.  Whatever is taken away, others are by 7 / 9 at most, also halves of
#: two of them, and the noise.
_FIRES = 0.85


@dataclass(frozen=True, eq=False)
class Task:
    """A model, samples, and what of them matters.

    Attributes
    ----------
    name, about
        What it is called, and what the score depends on.
    model
        The graph.
    inputs
        (N, ...), or such by input name.
    target
        What is explained, for each sample; None where there is one score.
    masks
        Bool, (N, ...), which features matter to the score of the target; images have one channel of them.
    """

    name: str
    about: str
    model: onnx.ModelProto
    inputs: Array | Arrays
    target: list[int] | None
    masks: Array


def tasks(n: int = 16, seed: int = 0) -> list[Task]:
    """Return all tasks.

    Parameters
    ----------
    n
        Samples of each.
    seed
        Same seed, same samples.
    """
    return [make(n, np.random.default_rng([seed, k])) for k, make in enumerate(TASKS.values())]


def patch(n: int, draw: np.random.Generator) -> Task:
    """Make images with four patterns somewhere, each the class of its own score."""
    shapes = np.array([[[c == "#" for c in row] for row in p] for p in _PATTERNS], np.float32)
    weights = np.where(shapes > 0, 1, -1) / shapes.sum((1, 2), keepdims=True)
    model = _model(
        f"""m (float[N, 3, {_SIDE}, {_SIDE}] x) => (float[N, 4] y) {{
          grey = Conv(x, mixed)
          like = Conv(grey, patterns, least)
          fires = Relu(like)
          often = ReduceSum<keepdims = 0>(fires, space)
          twice = Mul(often, often)
          y = Mul(twice, hundred)
        }}""",
        mixed=np.reshape(_GREY, (1, 3, 1, 1)), patterns=weights[:, None], least=[-_FIRES] * 4,
        space=np.array([2, 3]), hundred=100.0,
    )  # fmt: skip
    x = draw.uniform(0, 0.02, (n, 3, _SIDE, _SIDE)).astype(np.float32)
    masks = np.zeros((n, 1, _SIDE, _SIDE), bool)
    target = draw.integers(0, 4, n).tolist()
    cells = _SIDE // 2
    for row in range(n):
        for quarter, kind in enumerate(draw.permutation(4)):  # one pattern in each quarter: three are others
            top, left = draw.integers(1, cells - _PATCH, 2) + cells * np.array(divmod(quarter, 2))
            place = row, slice(None), slice(top, top + _PATCH), slice(left, left + _PATCH)
            on = shapes[kind] > 0
            x[place] = np.where(on, draw.uniform(0.97, 1, (3, _PATCH, _PATCH)), x[place])
            if kind == target[row]:
                masks[place] = True
    about = "a pattern of 5x5 in a noisy image, through a threshold and a square; three others beside it"
    return Task("patch", about, model, x, target, masks)


def xor(n: int, draw: np.random.Generator) -> Task:
    """Make a table of signs, of which the score says whether two differ."""
    model = _model(
        """m (float[N, 20] x) => (float[N, 1] y) {
          d = MatMul(x, difference)
          up = Relu(d)
          e = Neg(d)
          down = Relu(e)
          y = Add(up, down)
        }""",
        difference=_column(20, {3: 1, 12: -1}),
    )
    x = draw.choice([-1.0, 1.0], (n, 20)).astype(np.float32)
    return Task("xor", "whether two of 20 signs differ: abs(a - b)", model, x, None, _columns(n, 20, 3, 12))


def product(n: int, draw: np.random.Generator) -> Task:
    """Make a table of signs, of which the score is the product of two."""
    model = _model(
        """m (float[N, 20] x) => (float[N, 1] y) {
          a = MatMul(x, first)
          b = MatMul(x, second)
          y = Mul(a, b)
        }""",
        first=_column(20, {7: 1}), second=_column(20, {15: 1}),
    )  # fmt: skip
    x = draw.choice([-1.0, 1.0], (n, 20)).astype(np.float32)
    return Task("product", "the product of two of 20 signs", model, x, None, _columns(n, 20, 7, 15))


def saturated(n: int, draw: np.random.Generator) -> Task:
    """Make a table of which two columns are each enough for the highest score: no gradient."""
    model = _model(
        """m (float[N, 10] x) => (float[N, 1] y) {
          left = Gemm(x, away, one)
          missing = Relu(left)
          y = Sub(one, missing)
        }""",
        away=_column(10, {1: -1, 6: -1}), one=[1.0],
    )  # fmt: skip
    x = draw.uniform(1.1, 2, (n, 10)).astype(np.float32)
    about = "min(a + b, 1) of two of 10 columns, both above 1: the gradient is 0"
    return Task("saturated", about, model, x, None, _columns(n, 10, 1, 6))


def interactions(n: int, draw: np.random.Generator) -> Task:
    """Make a table with interactions, and columns that are near copies of what matters, but unread."""
    model = _model(
        """m (float[N, 12] x) => (float[N, 1] y) {
          a = MatMul(x, c0)
          b = MatMul(x, c1)
          ab = Mul(a, b)
          d = MatMul(x, c2)
          dd = Mul(d, d)
          e = MatMul(x, c3)
          positive = Relu(e)
          f = MatMul(x, c4)
          bent = Tanh(f)
          g = Mul(bent, positive)
          y = Sum(ab, dd, g)
        }""",
        **{f"c{k}": _column(12, {k: 1}) for k in range(5)},
    )
    x = (draw.uniform(0.5, 2, (n, 12)) * draw.choice([-1, 1], (n, 12))).astype(np.float32)
    x[:, 3] = np.abs(x[:, 3])
    x[:, 5:10] = x[:, :5] + draw.normal(0, 0.1, (n, 5))
    about = "x0 x1 + x2^2 + tanh(x4) relu(x3) of 12 columns; five others are near copies of these, and unread"
    return Task("interactions", about, model, x, None, _columns(n, 12, *range(5)))


def negation(n: int, draw: np.random.Generator) -> Task:
    """Make sentences of 12 words: opinions, which a negation right before them turns round."""
    words, length, width = 40, 12, 6
    table = draw.normal(0, 1, (words, width)).astype(np.float32)
    table[:, :2] = 0  # most words say nothing of what is read
    table[1:5, 0] = 1, 2, -1, -2  # opinions
    table[5:7, 1] = 1  # negations
    model = _model(
        f"""m (int64[N, {length}] ids) => (float[N, 1] y) {{
          e = Gather(table, ids)
          opinion = MatMul(e, first)
          negating = MatMul(e, second)
          cut = Slice(negating, zero, end, axis)
          before = Pad(cut, pads)
          turned = Mul(before, two)
          sign = Sub(one, turned)
          said = Mul(opinion, sign)
          y = ReduceSum<keepdims = 0>(said, axis)
        }}""",
        table=table, first=_column(width, {0: 1}), second=_column(width, {1: 1}),
        zero=np.array([0]), end=np.array([length - 1]), axis=np.array([1]), pads=np.array([0, 1, 0, 0, 0, 0]),
        two=2.0, one=1.0,
    )  # fmt: skip
    ids = draw.integers(7, words, (n, length))
    masks = np.zeros((n, length), bool)
    for row in range(n):
        first, second, idle = draw.permutation(np.arange(1, length, 3))[:3]
        ids[row, first] = draw.integers(1, 5)
        ids[row, second - 1 : second + 1] = draw.integers(5, 7), draw.integers(1, 5)
        ids[row, idle - 1] = draw.integers(5, 7)  # it negates a word without opinion
        masks[row, [first, second - 1, second]] = True
    about = "opinions, turned round by a negation right before; another negation has nothing to turn round"
    return Task("negation", about, model, ids, None, masks)


#: All tasks, by name: from a number of samples and a generator to a task.
TASKS: dict[str, Callable[[int, np.random.Generator], Task]] = {
    "patch": patch,
    "xor": xor,
    "product": product,
    "saturated": saturated,
    "interactions": interactions,
    "negation": negation,
}


def _model(graph: str, **weights: Any) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(f'<ir_version: {_IR_VERSION}, opset_import: ["" : {_OPSET}]>\n{graph}')
    for name, content in weights.items():
        held = np.asarray(content)
        array = held.astype(
            np.int64 if held.dtype.kind == "i" and isinstance(content, np.ndarray) else np.float32
        )
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _column(width: int, weights: dict[int, float]) -> Array:
    made = np.zeros((width, 1), np.float32)
    for k, weight in weights.items():
        made[k] = weight
    return made


def _columns(n: int, width: int, *chosen: int) -> Array:
    made = np.zeros((n, width), bool)
    made[:, list(chosen)] = True
    return made
