"""Products of one-hot values and constants become rows, where it is proven that they are."""

from __future__ import annotations

import numpy as np
import pytest
from one_pass import apply, ops

from onnxplain.graph.passes.lower import PickRows

#: As walks back begin: the entry with the highest score of each row, or the one that is named.
PICKED = """
    rows = Reshape(y, flat)
    top = ArgMax<axis = 1, keepdims = 0>(rows)
    below = Less(target, zero)
    place = Where(below, top, target)
    index = Unsqueeze(place, one)
    size = Shape(y)
    empty = ConstantOfShape(size)
    count = Shape(target)
"""
ONES = "ones = ConstantOfShape<value = float[1] {1.0}>(count) start = Unsqueeze(ones, one)"
SCORES = "start = GatherElements<axis = 1>(y, index)"
SPREAD = "spread = ScatterElements<axis = 1>(empty, index, start)"
PRODUCTS = {
    "Gemm": ("Gemm(spread, w)", (7, 4)),
    "transposed": ("Gemm<transB = 1>(spread, w)", (4, 7)),
    "MatMul": ("MatMul(spread, w)", (7, 4)),
}


def model(models, product: str, shape: tuple[int, ...], start: str, **changed: str):
    body = f"{PICKED} {start} {SPREAD} g = {product}"
    for old, new in changed.items():
        assert old in body
        body = body.replace(old, new)
    text = "m (float[N, 7] y, int64[B] target) => (float[C, D] g) { " + body + " }"
    constants = {
        "flat": np.array([0, -1]), "zero": np.array(0), "one": np.array([1]),
    }  # fmt: skip
    return models.make(text, w=models.random(*shape), **constants)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("start", [ONES, SCORES], ids=["ones", "scores"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_rows_are_picked(name, start, rows, models) -> None:
    y, target = models.random(rows, 7, seed=2), np.array([-1, 6, 0][:rows])
    made = apply(PickRows(), model(models, *PRODUCTS[name], start), written=True, y=y, target=target)
    assert "Gather" in ops(made)
    assert not {"Gemm", "MatMul", "ScatterElements", "ConstantOfShape"} & set(ops(made))


def test_one_target_for_all_rows(models) -> None:
    y = models.random(3, 7, seed=2)
    proto = model(models, *PRODUCTS["Gemm"], SCORES)
    apply(PickRows(), proto, written=True, y=y, target=np.array([-1]))


REFUSED = {
    "the model's own": {},
    "infinite": {"infinite": "yes"},
    "not zeros": {"ConstantOfShape(size)": "ConstantOfShape<value = float[1] {0.5}>(size)"},
    "added up": {"ScatterElements<axis": 'ScatterElements<reduction = "add", axis'},
    "scaled": {"Gemm(spread": "Gemm<alpha = 2.0>(spread"},
    "as many as targets alone": {"Where(below, top, target)": "Identity(target)"},
    "highest of something else": {
        "ArgMax<axis = 1, keepdims = 0>(rows)": "ArgMax<axis = 1, keepdims = 0>(y)"
    },
    "zeros of another shape": {"size = Shape(y)": "again = Abs(y) size = Shape(again)"},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_not_proven_stays(why, models) -> None:
    changed = dict(REFUSED[why])
    infinite = changed.pop("infinite", None) is not None
    proto = model(models, *PRODUCTS["Gemm"], SCORES, **changed)
    if infinite:
        for tensor in proto.graph.initializer:
            if tensor.name == "w":
                tensor.ClearField("raw_data")
                tensor.float_data[:] = [np.inf] * 28
    written = why != "the model's own"
    y = models.random(7, 7, seed=2)
    apply(PickRows(), proto, changed=False, written=written, y=y, target=np.zeros(7, np.int64))
