"""Functions as options: equal code is one program, but never where something may have changed."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.same_code import SameCode, same_code

LEVEL = 0.5
SETTINGS = SimpleNamespace(level=0.5)


def stabilised(op, z):
    return op.Add(z, 0.25)


def made(level, *, kind=0):
    kinds = {
        0: lambda op, z: op.Add(z, level),
        1: lambda op, z, by=level: op.Add(z, by),
        2: lambda op, z: op.Add(z, np.float32(level)),
        3: lambda op, z: op.Add(stabilised(op, z), level),
        4: lambda op, z: op.Add(z, max(abs(level), 1e-6)),
    }
    return kinds[kind]


@pytest.mark.parametrize("kind", range(5))
def test_the_same_lambda_made_again_is_equal(kind) -> None:
    one, other, third = (same_code(made(level, kind=kind)) for level in (0.5, 0.5, 0.25))
    assert isinstance(one, SameCode)
    assert one == other
    assert hash(one) == hash(other)
    assert one != third


def test_numbers_of_another_kind_are_others() -> None:
    assert same_code(made(1)) != same_code(made(1.0)) != same_code(made(True))
    assert same_code(made(0.0)) != same_code(made(-0.0))
    assert same_code(made((1, 2))) == same_code(made((1, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: made([0.5]),
        lambda: made(SETTINGS),
        lambda: lambda op, z: op.Add(z, SETTINGS.level),
        lambda: lambda op, z: op.Add(z, ox.anything),
        lambda: stabilised.__get__(None, object),
        lambda: len,
        lambda: 0.5,
    ],
)
def test_what_may_change_is_left_alone(make) -> None:
    value = make()
    assert same_code(value) is value or isinstance(same_code(value), SameCode)
    if callable(value) and value is not len and not hasattr(value, "__self__") and value is not stabilised:
        assert same_code(value) is value


def test_names_outside_are_looked_at(monkeypatch) -> None:
    def make():
        return lambda op, z: op.Add(z, LEVEL)

    before = same_code(make())
    assert before == same_code(make())
    monkeypatch.setitem(globals(), "LEVEL", 0.75)
    assert before != same_code(make())


def test_a_lambda_compiles_once(models) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    found = [explainer(x, 0, ox.LRP("epsilon", epsilon=lambda op, z: op.Add(z, 0.3))) for _ in range(5)]
    assert len(explainer._programs) == 1
    other = explainer(x, 0, ox.LRP("epsilon", epsilon=lambda op, z: op.Add(z, 0.4)))
    assert len(explainer._programs) == 2
    assert not np.allclose(other.values, found[0].values)
    for values in found[1:]:
        np.testing.assert_array_equal(values.values, found[0].values)


def test_a_function_travels_with_its_composite() -> None:
    composite = ox.LRP("epsilon", epsilon=stabilised).rules()
    for sent in (pickle.loads(pickle.dumps(composite)), copy.deepcopy(composite)):
        assert sent == composite


def test_a_function_that_calls_itself() -> None:
    def make():
        def deep(op, z, n=3):
            return z if n == 0 else deep(op, op.Add(z, 0.1), n - 1)

        return deep

    assert same_code(make()) == same_code(make())
