"""``ai.onnxplain::Elementwise`` against the same steps as operators of the standard, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper

from onnxplain.graph.passes.lower.steps import KINDS

F = np.float32
SPECIAL = np.array(
    [0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 1e-40, -1e-40, 3e38, -3e38, np.float32(1e-38)], F
)
COMPARISONS = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal")


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal numbers, and among them what is special."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=shape).astype(F)
    return np.where(rng.random(shape) < 0.2, rng.choice(SPECIAL, shape), made).astype(F)


def pairs() -> dict[str, np.ndarray]:
    x, y = (v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL))
    x, y = np.concatenate([x, numbers(3000, seed=1)]), np.concatenate([y, numbers(3000, seed=2)])
    return {"x": x, "y": y, "z": numbers(len(x), seed=3)}


def equal(a: np.ndarray, b: np.ndarray) -> None:
    """Check that all are the same numbers; a zero may have another sign."""
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)


def node(kind: str, takes: str, gives: str, **attributes: int):
    return helper.make_node(kind, takes.split(), [gives], **attributes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_its_operator(kind, graphs) -> None:
    feeds, number = pairs(), KINDS[kind]
    compare = [node("Greater", "x y", "a"), node("Less", "y z", "b")]
    cast = node("Cast", "c", "made", to=1)
    steps = [KINDS["Greater"], 0, 1, -1, KINDS["Less"], 1, 2, -1]  # the numbers 4 and 5
    if kind in COMPARISONS:
        plain, program = [node(kind, "x y", "c"), cast], [number, 0, 1, -1]
    elif kind in ("And", "Or"):
        plain, program = [*compare, node(kind, "a b", "c"), cast], [*steps, number, 4, 5, -1]
    elif kind == "Not":
        plain, program = [*compare, node(kind, "a", "c"), cast], [*steps, number, 4, -1, -1]
    elif kind == "Where":
        plain, program = [*compare, node(kind, "b x z", "made")], [*steps, number, 5, 0, 2]
    elif kind in ("Neg", "Abs", "Sqrt", "Reciprocal"):
        plain, program = [node(kind, "x", "made")], [number, 0, -1, -1]
    else:
        plain, program = [node(kind, "x y", "made")], [number, 0, 1, -1]
    equal(graphs.run(graphs.fused("xyz", program), feeds), graphs.run(plain, feeds))


SHAPES = [
    ((3, 4, 5), (4, 1), (1,)),
    ((2, 3, 1, 7), (1, 3, 5, 1), (7,)),
    ((1000, 1), (1, 1000), (1,)),
    ((2, 1, 3, 1, 5), (1, 4, 1, 6, 1), ()),
    ((1, 64, 1, 1), (3, 64, 33, 31), (31,)),
    ((4, 0, 3), (1, 3), (1,)),
    ((0,), (1,), (1, 1)),
    ((1,), (1, 1), ()),
    ((), (), ()),
    ((70001,), (70001,), (1,)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_it_broadcasts(shapes, graphs) -> None:
    feeds = {name: numbers(*shape, seed=k) for k, (name, shape) in enumerate(zip("xyz", shapes, strict=True))}
    plain = [node("Mul", "x y", "t"), node("Sub", "t z", "made")]
    fused = graphs.fused("xyz", [KINDS["Mul"], 0, 1, -1, KINDS["Sub"], 4, 2, -1])
    equal(graphs.run(fused, feeds), graphs.run(plain, feeds))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed, graphs) -> None:
    """Up to thirty steps that read inputs, constants, and each other."""
    rng = np.random.default_rng(seed)
    full = tuple(int(d) for d in rng.integers(1, 9, rng.integers(1, 5)))
    feeds = {}
    for k, name in enumerate("wxyz"):
        shape = tuple(d if rng.random() < 0.7 else 1 for d in full)[int(rng.integers(0, len(full))) :]
        feeds[name] = numbers(*shape, seed=100 * seed + k)
    constants = [float(F(c)) for c in rng.normal(size=3)]
    names = [(name, False) for name in [*feeds, "c0", "c1", "c2"]]  # and whether they hold truth values
    plain = [helper.make_node("Constant", [], [f"c{k}"], value_float=c) for k, c in enumerate(constants)]
    program: list[int] = []

    def pick(truth: bool) -> int:
        return int(rng.choice([k for k, (_, t) in enumerate(names) if t == truth]))

    for step in range(int(rng.integers(2, 31))):
        truths = any(t for _, t in names)
        kind = str(rng.choice([k for k in KINDS if truths or k not in ("Not", "And", "Or", "Where")]))
        takes = [True] * {"Not": 1, "And": 2, "Or": 2}.get(kind, 0)
        takes = takes or ([True, False, False] if kind == "Where" else [False, False])
        takes = takes[: 1 if kind in ("Neg", "Abs", "Sqrt", "Reciprocal") else 3]
        operands = [pick(t) for t in takes]
        plain.append(helper.make_node(kind, [names[o][0] for o in operands], [f"s{step}"]))
        program += [KINDS[kind], *operands, *[-1] * (3 - len(operands))]
        names.append((f"s{step}", kind in (*COMPARISONS, "Not", "And", "Or")))
    last = [pick(False), pick(False)]
    program += [KINDS["Add"], *last, -1]
    plain.append(helper.make_node("Add", [names[k][0] for k in last], ["made"]))
    found, expected = graphs.run(graphs.fused("wxyz", program, constants), feeds), graphs.run(plain, feeds)
    equal(found, np.broadcast_to(expected, found.shape))  # all inputs make the shape, read or not


def test_threads_at_once_find_the_same(graphs) -> None:
    feeds = {name: numbers(64, 1000, seed=k) for k, name in enumerate("xy")}
    program = [KINDS["Div"], 0, 1, -1, KINDS["Mul"], 3, 0, -1]
    session = graphs.session(graphs.fused("xy", program), "xy", "made")
    expected = session.run(None, feeds)[0]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: session.run(None, feeds)[0], range(40)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ([], "program"),
        ([0, 0, 1], "no whole steps"),
        ([99, 0, 1, -1], "no step of kind 99"),
        ([-1, 0, 1, -1], "no step of kind -1"),
        ([0, 0, 3, -1], "reads what is not there"),
        ([0, 0, -1, -1], "reads what is not there"),
        ([4, 7, -1, -1], "reads what is not there"),
    ],
)
def test_no_program_is_a_named_error(program, says, graphs) -> None:
    with pytest.raises(Exception, match=says):
        graphs.session(graphs.fused("xy", program), "xy", "made")


def test_shapes_that_do_not_fit_are_a_named_error(graphs) -> None:
    session = graphs.session(graphs.fused("xy", [0, 0, 1, -1]), "xy", "made")
    with pytest.raises(Exception, match=r"\(4\) does not broadcast to \(3\)"):
        session.run(None, {"x": numbers(3), "y": numbers(4)})
    equal(session.run(None, {"x": numbers(3), "y": numbers(1)})[0], numbers(3) + numbers(1))
