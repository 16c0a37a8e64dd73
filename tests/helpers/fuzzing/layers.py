"""How to draw layers with weights, products, pooling and resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .sketch import Unfit

if TYPE_CHECKING:
    from .elements import Draw
    from .sketch import Sketch, Value


def image(s: Sketch, least: int = 2, most: int = 5, dims: tuple[int, ...] = (2, 1, 3)) -> Value:
    """Return (N, C, ...) with a few channels."""
    n = s.pick(*dims)
    return s.sized(s.pick(2, 1, 4), *[s.number(least, most if n < 3 else 3) for _ in range(n)])


def gemm(s: Sketch, op: str) -> Value:
    x = s.flat(s.value())
    f, out, turned = x.sample[0], s.pick(3, 1, 4), s.pick(0, 1)
    w = s.floats(out, f, scale=f**-0.5) if turned else s.floats(f, out, scale=f**-0.5)
    bias = s.pick(None, (out,), (1, out), ())
    c = [] if bias is None else [s.floats(*bias)]
    if c and s.pick(False, True):
        c = [s.sized(out)]
    return s.node(op, x, w, *c, transB=turned, alpha=s.pick(1.0, 0.5), beta=s.pick(1.0, 2.0))


def matmul(s: Sketch, op: str) -> Value:
    kind = s.pick("right", "left", "vector", "both")
    x = s.ranked(s.pick(3, 2, 4) if kind in ("right", "vector") else s.pick(3, 4))
    *_, rows, columns = x.array.shape
    if kind == "right":
        return s.node(op, x, s.floats(columns, s.pick(3, 2), scale=columns**-0.5))
    if kind == "vector":
        return s.node(op, x, s.floats(columns, scale=columns**-0.5))
    if kind == "left":
        return s.node(op, s.floats(s.pick(2, 3), rows, scale=rows**-0.5), x)
    other = s.sized(*x.sample[:-2], columns, s.pick(2, 3))
    return s.node(op, x, other)


#: Equation, sample shapes of the operands: letters are lengths; upper case for weights.
_EQUATIONS = (
    ("nij,jk->nik", ("ij", "JK")),
    ("nij,nkj->nik", ("ij", "kj")),
    ("nij->nji", ("ij",)),
    ("nij,nij->n", ("ij", "ij")),
    ("...ij->...ji", ("ij",)),
    ("nii->ni", ("ii",)),
    ("ni,nj->nij", ("i", "j")),
    ("nij,j,nik->nk", ("ij", "J", "ik")),
    ("nij->nj", ("ij",)),
)


def einsum(s: Sketch, op: str) -> Value:
    equation, shapes = s.pick(*_EQUATIONS)
    length = {c: s.number(2, 4) for c in "ijk"}
    operands = []
    for letters in shapes:
        shape = [length[c] for c in letters.lower()]
        operands.append(s.floats(*shape) if letters.isupper() else s.sized(*shape))
    return s.node(op, *operands, equation=equation)


def conv(s: Sketch, op: str) -> Value:
    x = image(s, least=3)
    c, n = x.sample[0], x.rank - 2
    groups = s.pick(*[g for g in (1, c) if g])
    turned = op == "ConvTranspose"
    filters = s.pick(1, 2) * groups
    kernel = [s.pick(2, 3, 1) for _ in range(n)]
    shape = (c, filters // groups, *kernel) if turned else (filters, c // groups, *kernel)
    w = s.floats(*shape, scale=float(np.prod(shape[1:])) ** -0.5)
    bias = [s.floats(filters)] if s.pick(False, True) else []
    extra = _window(s, x.sample[1:], kernel)
    if turned and s.pick(False, True):
        extra["output_padding"] = [stride - 1 for stride in extra["strides"]]
    return s.node(op, x, w, *bias, group=groups, **extra)


def _window(s: Sketch, sizes: tuple[int, ...], kernel: list[int], *, dilate: bool = True) -> dict[str, Any]:
    """Return how a window slides; it has to fit into the image."""
    n = len(sizes)
    made: dict[str, Any] = {"strides": [s.pick(1, 2) for _ in range(n)]}
    auto = s.pick("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    if auto != "NOTSET":
        made["strides"] = [min(s_, k) for s_, k in zip(made["strides"], kernel, strict=True)]
        return {**made, "auto_pad": auto}
    if dilate and s.pick(False, True):
        made["dilations"] = [s.pick(1, 2) for _ in range(n)]
    if s.pick(False, True):
        made["pads"] = [s.number(0, k - 1) for k in (*kernel, *kernel)]
    for size, k, d in zip(sizes, kernel, made.get("dilations", [1] * n), strict=True):
        if d * (k - 1) + 1 > size:
            raise Unfit("the window is larger than the image")
    return made


def pool(**choices: Any) -> Draw:
    """A pooling over windows."""

    def draw(s: Sketch, op: str) -> Value:
        x = image(s, least=3)
        n = x.rank - 2
        kernel = [s.pick(2, 3, 1) for _ in range(n)]
        extra = _window(s, x.sample[1:], kernel, dilate=op == "MaxPool" or s.opset >= 19)
        if op == "LpPool" and s.opset < 18:
            extra.pop("dilations", None)
        made = s.node(op, x, kernel_shape=kernel, **extra, **s.attributes(choices))
        if not made.array.size:
            raise Unfit("no window")
        return made

    return draw


def whole(**choices: Any) -> Draw:
    """A pooling over whole images."""

    def draw(s: Sketch, op: str) -> Value:
        return s.node(op, image(s), **s.attributes(choices))

    return draw


def unpool(s: Sketch, op: str) -> Value:
    """Where MaxPool found its values; rounding errors would say where if two of a window were as large."""
    x = s.sized(s.pick(1, 2), 4, 4)
    windows = x.array.reshape(-1, 2, 2, 2, 2).swapaxes(2, 3).reshape(-1, 4)
    if np.diff(np.sort(windows)[:, -2:]).min() < 1e-4:
        raise Unfit("two values of a window are as large")
    size = {"kernel_shape": [2, 2], "strides": [2, 2]}
    values, places = s.nodes_of("MaxPool", x, outputs=2, **size)
    if s.batch > 1 or x.sample[0] > 1:
        return s.node(op, s.node("Tanh", values), places, **size)
    return s.node(op, values, places, **size)


def resize(s: Sketch, op: str) -> Value:
    x = image(s, dims=(2, 1))
    n = x.rank - 2
    mode = s.pick("nearest", "linear", "cubic") if n == 2 else s.pick("nearest", "linear")
    how = s.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    extra: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        extra["nearest_mode"] = s.pick("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
    scales = s.constant(np.array([1, 1, *[s.pick(2.0, 1.5, 0.5, 1.3, 2.25) for _ in range(n)]], np.float32))
    return s.node(op, x, None, scales, **extra)


def grid_sample(s: Sketch, op: str) -> Value:
    x = image(s, dims=(2,))
    places = s.sized(s.pick(2, 3), s.pick(2, 3), 2)
    places = s.node("Mul", s.node("Tanh", places), s.constant(s.pick(0.9, 1.3)))
    mode = s.pick("bilinear", "nearest") if s.opset < 20 else s.pick("linear", "nearest")
    padding = s.pick("zeros", "border", "reflection")
    return s.node(op, x, places, mode=mode, padding_mode=padding, align_corners=s.pick(0, 1))


def det(s: Sketch, op: str) -> Value:
    n = s.pick(2, 3)
    return s.node(op, s.sized(n, n))


def quantised(s: Sketch, op: str) -> Value:
    """A layer whose weights are stored as int8."""
    x = s.flat(s.value())
    f, out = x.sample[0], 3
    w = s.constant(np.clip(40 * s.numbers(f, out), -127, 127).astype(np.int8))
    wide = s.pick(True, False)
    scale = s.constant(np.full(out, 0.02, np.float32) if wide else np.float32(0.02))
    zero = s.constant(np.zeros(out, np.int8) if wide else np.int8(3))
    return s.node("MatMul", x, s.node(op, w, scale, zero, axis=1))
