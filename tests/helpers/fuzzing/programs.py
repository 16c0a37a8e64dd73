"""Random elementwise programs, and graphs of them, whose results may take the places of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from planes import blocked, unblocked

from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.passes.lower.steps import FIRST, KINDS

from .own_runs import F, H, Rng, any_shape, hard, opened, part_of, pick, run_own, same

__all__ = ["elementwise", "graph", "in_blocks"]


class _Program:
    """A program in the making: what each number is, and a twin that runs it."""

    def __init__(self, inputs: int, constants: np.ndarray) -> None:
        self.inputs, self.constants = inputs, constants
        self.encoded: list[int] = []
        self.count = inputs + len(constants)

    def step(self, kind: str, *operands: int) -> int:
        self.encoded += [KINDS[kind], *operands, *[-1] * (FIRST - 1 - len(operands))]
        self.count += 1
        return self.count - 1

    def run(self, given: Sequence[np.ndarray]) -> np.ndarray:
        """Run it in float32."""
        made: list[np.ndarray] = [v.astype(F) for v in given] + list(self.constants)
        names = list(KINDS)
        with np.errstate(all="ignore"):
            for k in range(0, len(self.encoded), FIRST):
                kind, *places = self.encoded[k : k + FIRST]
                made.append(np.asarray(_STEPS[names[kind]](*(made[p] for p in places if p >= 0)), F))
            shape = np.broadcast_shapes(*(v.shape for v in given))
            return np.array(np.broadcast_to(made[-1], shape))


def _larger(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), x, np.where(np.isnan(y), y, np.where(x > y, x, y)))


def _smaller(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(x), x, np.where(np.isnan(y), y, np.where(x < y, x, y)))


_STEPS: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Neg": np.negative,
    "Abs": np.abs, "Sqrt": np.sqrt, "Reciprocal": lambda x: F(1) / x, "Max": _larger, "Min": _smaller,
    "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "Equal": np.equal, "Not": lambda x: x == 0,
    "And": lambda x, y: (x != 0) & (y != 0), "Or": lambda x, y: (x != 0) | (y != 0),
    "Where": lambda c, x, y: np.where(c != 0, x, y),
}  # fmt: skip
_TRUTH = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "Not", "And", "Or")


def _programmed(rng: Rng, inputs: int) -> _Program:
    """Draw a program out of what rules write, some of it changed, and of single steps."""
    pool = [0.0, 1e-6, -1e-6, 1.0, 6.0, -0.0, 0.5, float("inf"), float("nan"), 1e-40]
    made = _Program(inputs, rng.choice(pool, int(rng.integers(1, 6))).astype(F))
    numbers, truths = list(range(inputs)), [-1]

    def leaf() -> int:
        given = inputs + int(rng.integers(len(made.constants)))
        return int(rng.choice(numbers)) if rng.random() < 0.6 else given

    def constant() -> int:
        return inputs + int(rng.integers(len(made.constants))) if rng.random() < 0.9 else leaf()

    def turned(kind: str, a: int, b: int) -> int:
        return made.step(kind, *((a, b) if rng.random() < 0.6 else (b, a)))

    for _ in range(int(rng.integers(1, 7))):
        a, b, c, n, m = leaf(), leaf(), leaf(), constant(), constant()
        kind = int(rng.integers(9))
        if kind == 0:  # a mask
            value = made.step("Max", constant(), b) if rng.random() < 0.4 else b
            numbers.append(made.step("Where", made.step(pick(rng, "Greater", "Less"), value, n), a, m))
        elif kind == 1:  # clipped
            numbers.append(turned("Min", n, turned("Max", m, a)))
        elif kind == 2:  # stabilised
            side = made.step("Where", made.step("Less", b, n), m, constant())
            numbers.append(made.step("Div", turned("Mul", a, c), turned("Add", b, side)))
        elif kind == 3:  # rescaled
            dx = made.step("Sub", b, c)
            size = made.step("Abs", dx)
            far = made.step("Greater", size, n)
            again = made.step("Greater", made.step("Abs", dx), n) if rng.random() < 0.5 else far
            safe = made.step("Where", again, dx, m)
            numbers.append(made.step("Where", far, made.step("Div", a, safe), leaf()))
        elif kind == 4:  # shares
            numbers.append(turned("Add", turned("Mul", a, b), turned("Mul", a, c)))
        elif kind == 5:  # a quotient
            numbers.append(made.step("Div", a, turned("Add", b, n)))
        elif kind == 6:  # a choice by what was compared before
            if truths == [-1]:
                truths = [made.step("Greater", a, b)]
            truths.append(made.step(pick(rng, "And", "Or"), int(rng.choice(truths)), made.step("Less", b, c)))
            numbers.append(made.step("Where", truths[-1], a, c))
        else:
            name = str(rng.choice([k for k in _STEPS if k not in (*_TRUTH, "Where")]))
            arity = 1 if name in ("Neg", "Abs", "Sqrt", "Reciprocal") else 2
            numbers.append(made.step(name, *(leaf() for _ in range(arity))))
    if numbers[-1] != made.count - 1 or rng.random() < 0.3:
        made.step("Add", numbers[-1], int(rng.choice(numbers)))
    return made


def elementwise(rng: Rng) -> None:
    inputs = int(rng.integers(1, 5))
    program, shape = _programmed(rng, inputs), any_shape(rng)
    shapes = [shape if k == 0 or rng.random() < 0.5 else part_of(rng, shape) for k in range(inputs)]
    share = float(rng.choice([0, 0.1, 0.5]))
    half = bool(rng.random() < 0.3)
    with np.errstate(over="ignore"):
        given = [hard(rng, s, share).astype(H if half else F) for s in shapes]
    about = {"program": program.encoded, "constants": [float(c) for c in program.constants]}
    found = run_own("ElementwiseFloat16" if half else "Elementwise", given, rng, **about)
    with np.errstate(over="ignore"):
        same(found, program.run(given).astype(H if half else F))


def in_blocks(rng: Rng) -> None:
    """Programs on values in blocks, some of which are one number for each channel."""
    block, inputs = int(rng.choice([8, 16])), int(rng.integers(1, 4))
    program = _programmed(rng, inputs)
    n, c, h, w = int(rng.integers(1, 3)), block * int(rng.integers(1, 3)), *map(int, rng.integers(1, 9, 2))
    shapes = [(n, c, h, w), *(pick(rng, (n, c, h, w), (1, c, 1, 1), (1, 1, 1, 1), (n, c, 1, 1), (1, c, h, w),
                                    (c, 1, 1), (), (1, 1, h, w)) for _ in range(inputs - 1))]  # fmt: skip
    given = [hard(rng, s, 0.1) for s in shapes]
    laid = [blocked(v, block) if v.ndim == 4 and v.shape[1] == c else v for v in given]
    about = {"program": program.encoded, "constants": [float(v) for v in program.constants], "block": block}
    if program.run(given).shape == shapes[0]:
        same(unblocked(run_own("Elementwise", laid, rng, **about), block), program.run(given))


def graph(rng: Rng) -> None:
    """A graph whose results may take the places of values, which others read later, or from a branch."""
    width = int(rng.choice([3, 17, 600]))
    names, twins, nodes = ["x", "row", "one"], {}, []
    for k in range(int(rng.integers(3, 12))):
        name, kind = f"v{k}", int(rng.integers(10))
        if kind < 5:
            program = _programmed(rng, int(rng.integers(1, 4)))
            takes = [
                str(rng.choice(names[-5:] if rng.random() < 0.7 else names)) for _ in range(program.inputs)
            ]
            about = {"program": program.encoded, "constants": [float(c) for c in program.constants]}
            nodes.append(helper.make_node("Elementwise", takes, [name], domain=DOMAIN, **about))
            twins[name] = takes, program.run
        elif kind == 5:
            take, other = (str(rng.choice(names)) for _ in range(2))
            nodes.append(_branch(name, take, other))
            twins[name] = [take, other, "flag"], lambda v: np.negative(v[0]) if v[2] else v[1]
        elif kind == 6:
            take = str(rng.choice(names))
            nodes.append(_loop(name, take))
            twins[name] = [take], lambda v: v[0] + v[0] + v[0]
        else:
            op, of = pick(
                rng, ("Identity", lambda v: v[0]), ("Neg", lambda v: -v[0]), ("Abs", lambda v: np.abs(v[0]))
            )
            take = str(rng.choice(names))
            nodes.append(helper.make_node(op, [take], [name]))
            twins[name] = [take], of
        names.append(name)
    made = [names[-1], *(str(n) for n in rng.choice(names[3:], 2))]
    made = list(dict.fromkeys(made))
    shapes = pick(
        rng, None, {"x": ["N", width], "row": [width], "one": [1, 1]}, {"x": ["N", "W"], "row": ["W"]}
    )
    given = {
        "x": hard(rng, (2, width), 0.05), "row": hard(rng, (width,), 0.05), "one": hard(rng, (1, 1), 0),
        "flag": np.array(True), "times": np.array(2, np.int64),
    }  # fmt: skip
    session = opened(nodes, given, made, shapes=shapes and {**shapes, "flag": [], "times": []},
                     optimised=bool(rng.random() < 0.7), threads=int(rng.choice([1, 2])))  # fmt: skip
    taken = {i.name for i in session.get_inputs()}
    for n in (2, 5, 1, 0, 70, 2):
        given["x"], given["flag"] = hard(rng, (n, width), 0.05), np.array(bool(rng.random() < 0.5))
        before = {k: v.copy() for k, v in given.items()}
        found = session.run(made, {k: v for k, v in given.items() if k in taken})
        values: dict[str, Any] = dict(given)
        with np.errstate(all="ignore"):
            for name in names[3:]:
                takes, of = twins[name]
                values[name] = np.asarray(of([values[t] for t in takes]))
        for name, array in zip(made, found, strict=True):
            same(array, values[name])
        for name, array in before.items():
            np.testing.assert_array_equal(given[name], array)


def _branch(name: str, take: str, other: str) -> onnx.NodeProto:
    """A choice whose branches read values from outside."""
    bodies = []
    for op, of, inner in (("Neg", take, f"{name}_a"), ("Identity", other, f"{name}_b")):
        gives = [helper.make_tensor_value_info(inner, onnx.TensorProto.FLOAT, None)]
        bodies.append(helper.make_graph([helper.make_node(op, [of], [inner])], op, [], gives))
    return helper.make_node("If", ["flag"], [name], then_branch=bodies[0], else_branch=bodies[1])


def _loop(name: str, take: str) -> onnx.NodeProto:
    """A loop that adds a value from outside up, by our own operator, to the value itself."""
    info = helper.make_tensor_value_info
    add = {"program": [KINDS["Add"], 0, 1, -1], "constants": [0.0]}
    body = helper.make_graph(
        [
            helper.make_node("Identity", [f"{name}_c"], [f"{name}_d"]),
            helper.make_node("Elementwise", [f"{name}_s", take], [f"{name}_t"], domain=DOMAIN, **add),
        ],
        "body",
        [info(f"{name}_i", onnx.TensorProto.INT64, []), info(f"{name}_c", onnx.TensorProto.BOOL, []),
         info(f"{name}_s", onnx.TensorProto.FLOAT, None)],
        [info(f"{name}_d", onnx.TensorProto.BOOL, []), info(f"{name}_t", onnx.TensorProto.FLOAT, None)],
    )  # fmt: skip
    return helper.make_node("Loop", ["times", "", take], [name], body=body)
