"""How to draw operators that move values, and leave the batch axis first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .sketch import Unfit

if TYPE_CHECKING:
    from .sketch import Sketch, Value


def _several(s: Sketch) -> Value:
    """Return a value of rank 2 or more."""
    x = s.value()
    return x if x.rank > 1 else s.ranked(2)


def _axis(s: Sketch, x: Value) -> int:
    axis = s.number(1, x.rank - 1)
    return s.pick(axis, axis - x.rank)


def concat(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    parts = [x]
    for _ in range(s.number(1, 2)):
        shape = list(x.sample)
        shape[axis - 1] = s.number(1, 3)
        parts.append(s.pick(x, s.sized(*shape)))
    return s.node(op, *parts, axis=s.pick(axis, axis - x.rank))


def split(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    length = x.array.shape[axis]
    if length < 2:
        raise Unfit("nothing to split")
    first = s.number(1, length - 1)
    parts = s.nodes_of(op, x, s.ints([first, length - first]), outputs=2, axis=axis)
    kept = s.pick(0, 1)
    if s.pick(True, False):
        s.pool.append(parts[1 - kept])
    return parts[kept]


def slice_(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    length = x.array.shape[axis]
    start, end, step = s.pick((0, 2, 1), (1, 9, 1), (-1, -99, -1), (0, 9, 2), (-2, 2**31 - 1, 1))
    given = [s.ints([start]), s.ints([end]), s.ints([s.pick(axis, axis - x.rank)])]
    made = s.node(op, x, *given, *([] if step == 1 else [s.ints([step])]))
    if not made.array.size or not length:
        raise Unfit("an empty slice")
    return made


def pad(s: Sketch, op: str) -> Value:
    x = _several(s)
    mode = s.pick("constant", "reflect", "edge", "wrap") if s.opset >= 19 else s.pick("constant", "edge")
    rank = x.rank
    pads = [0] * 2 * rank
    for axis in range(1, rank):
        room = x.array.shape[axis] - 1 if mode in ("reflect", "wrap") else 2
        pads[axis], pads[rank + axis] = s.number(0, min(room, 2)), s.number(0, min(room, 2))
    if mode == "constant" and s.pick(False, True):
        pads = [-1 if p == 1 and x.array.shape[k % rank] > 2 else p for k, p in enumerate(pads)]
    fill = [s.constant(s.pick(0.0, 0.7))] if mode == "constant" and s.pick(True, False) else []
    made = s.node(op, x, s.ints(pads), *fill, mode=mode)
    if not made.array.size:
        raise Unfit("nothing is left")
    return made


def gather(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    length = x.array.shape[axis]
    shape = s.pick((2,), (), (2, 2), (3,))
    places = s.rng.integers(-length, length, shape)
    return s.node(op, x, s.ints(places), axis=s.pick(axis, axis - x.rank))


def gather_elements(s: Sketch, op: str) -> Value:
    """By places that a TopK of another value gives, so that they differ from row to row."""
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    length = x.array.shape[axis]
    _, places = s.nodes_of("TopK", x, s.ints([s.number(1, length)]), outputs=2, axis=axis)
    return s.node(op, s.node(s.pick("Identity", "Tanh", "Neg"), x), places, axis=axis)


def gather_nd(s: Sketch, op: str) -> Value:
    x = _several(s)
    turned = s.node("Transpose", x, perm=[*range(1, x.rank), 0])
    count = s.number(1, x.rank - 1)
    places = np.stack([s.rng.integers(0, d, 2) for d in x.sample[:count]], -1)
    made = s.node(op, turned, s.ints(places))
    return s.node("Transpose", made, perm=[made.rank - 1, *range(made.rank - 1)])


def scatter_elements(s: Sketch, op: str) -> Value:
    """Into a constant number of places of each row."""
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    length = x.array.shape[axis]
    _, places = s.nodes_of("TopK", x, s.ints([s.number(1, length)]), outputs=2, axis=axis)
    updates = s.sized(*places.sample)
    reduction = s.pick("none", "add", "mul", *(("max", "min") if s.opset >= 18 else ()))
    return s.node(op, x, places, updates, axis=axis, reduction=reduction)


def scatter_nd(s: Sketch, op: str) -> Value:
    """Into places of the second axis, brought to the front and back."""
    x = _several(s)
    perm = [1, 0, *range(2, x.rank)]
    turned = s.node("Transpose", x, perm=perm)
    count = s.number(1, 2)
    reduction = s.pick("none", "add", "mul", *(("max", "min") if s.opset >= 18 else ()))
    length = x.sample[0]
    again = reduction != "none" and s.pick(False, True)
    places = s.rng.integers(0, length, count) if again else s.rng.permutation(length)[:count]
    updates = s.node("Transpose", s.sized(len(places), *x.sample[1:]), perm=perm)
    made = s.node(op, turned, s.ints(places[:, None]), updates, reduction=reduction)
    return s.node("Transpose", made, perm=perm)


def transpose(s: Sketch, op: str) -> Value:
    """Within a sample; or with the batch moved away, through something elementwise, and back."""
    x = s.ranked(s.pick(3, 4, 2, 5))
    if s.pick(True, False):
        return s.node(op, x, perm=[0, *(1 + s.rng.permutation(x.rank - 1))])
    perm = [int(p) for p in s.rng.permutation(x.rank)]
    inner = s.node(s.pick("Tanh", "Sigmoid", "Relu"), s.node(op, x, perm=perm))
    return s.node(op, inner, perm=[int(p) for p in np.argsort(perm)])


def reshape(s: Sketch, op: str) -> Value:
    x = s.value()
    sample = s._factors(int(np.prod(x.sample)), s.number(1, 3))
    return s.reshape(x, sample)


def flatten(s: Sketch, op: str) -> Value:
    return s.node(op, s.ranked(s.pick(3, 4, 2)))


def unsqueeze(s: Sketch, op: str) -> Value:
    x = s.value()
    if x.rank > 4:
        raise Unfit("enough axes")
    return s.node(op, x, s.ints([s.pick(s.number(1, x.rank), -1)]))


def squeeze(s: Sketch, op: str) -> Value:
    x = s.value()
    if x.rank > 4:
        raise Unfit("enough axes")
    axis = s.number(1, x.rank)
    inner = s.node("Neg", s.node("Unsqueeze", x, s.ints([axis])))
    return s.node(op, inner, s.ints([axis]))


def expand(s: Sketch, op: str) -> Value:
    x = s.ranked(s.pick(2, 3))
    wide = s.node("Unsqueeze", x, s.ints([1]))
    return s.node(op, wide, s.ints([1, s.pick(2, 3), *[1] * (x.rank - 1)]))


def tile(s: Sketch, op: str) -> Value:
    x = _several(s)
    return s.node(op, x, s.ints([1, *[s.pick(1, 2) for _ in x.sample]]))


def depth_to_space(s: Sketch, op: str) -> Value:
    return s.node(op, s.sized(s.pick(4, 8), 2, s.pick(1, 2)), blocksize=2, mode=s.pick("DCR", "CRD"))


def space_to_depth(s: Sketch, op: str) -> Value:
    return s.node(op, s.sized(s.pick(1, 2), 2, 4), blocksize=2)


def top_k(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    k = s.ints([s.number(1, x.array.shape[axis])])
    return s.nodes_of(op, x, k, outputs=2, axis=axis, largest=s.pick(1, 0))[0]


def trilu(s: Sketch, op: str) -> Value:
    x = s.ranked(s.pick(3, 4))
    k = [s.constant(np.int64(s.pick(1, -1, 0)))] if s.pick(True, False) else []
    return s.node(op, x, *k, upper=s.pick(1, 0))


def reverse_sequence(s: Sketch, op: str) -> Value:
    """Along the second axis, of constant lengths, where the first is no batch."""
    x = s.sized(s.pick(2, 3), s.pick(2, 3))
    turned = s.node("Transpose", x, perm=[1, 2, 0])
    lengths = s.ints(s.rng.integers(1, x.sample[1] + 1, x.sample[0]))
    made = s.node(op, turned, lengths, batch_axis=0, time_axis=1)
    return s.node("Transpose", made, perm=[2, 0, 1])


def compress(s: Sketch, op: str) -> Value:
    x = _several(s)
    axis = s.number(1, x.rank - 1)
    keep = s.rng.random(x.array.shape[axis]) < 0.6
    keep[s.number(0, len(keep) - 1)] = True
    return s.node(op, x, s.constant(keep), axis=axis)


def center_crop_pad(s: Sketch, op: str) -> Value:
    x = s.sized(s.pick(2, 3), s.pick(3, 4))
    return s.node(op, x, s.ints([s.number(1, 5), s.number(1, 5)]), axes=[1, 2])


def col2im(s: Sketch, op: str) -> Value:
    return s.node(op, s.sized(4 * s.pick(1, 2), 4), s.ints([3, 3]), s.ints([2, 2]))
