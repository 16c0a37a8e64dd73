"""Feature ablation of inputs of any type, generated: what is promised holds for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from word_models import texts

import onnxplain as ox

#: By name: ONNX's, and what entries may be.
TYPES: dict[str, tuple[str, np.dtype[Any], st.SearchStrategy[Any]]] = {
    "float32": ("float", np.dtype(np.float32), st.integers(-8, 8).map(lambda k: k / 4)),
    "float64": ("double", np.dtype(np.float64), st.integers(-8, 8).map(lambda k: k / 4)),
    "int32": ("int32", np.dtype(np.int32), st.integers(-9, 9)),
    "int64": ("int64", np.dtype(np.int64), st.integers(-9, 9)),
    "bool": ("bool", np.dtype(np.bool_), st.booleans()),
    "string": ("string", np.dtype(object), st.sampled_from(["red", "green", "blue", "", "unknown"])),
}
every_type = pytest.mark.parametrize("dtype", TYPES)
#: 1 + a b + |a|: what one player adds depends on the other.
GRAPH = """m ({}[N, 2] x) => (float[N, 1] y) {{
  f = Cast<to = 1>(x) p = ReduceProd<keepdims = 1>(f, one) a = Slice(f, zero, one, one) m = Abs(a)
  s = Add(p, m) y = Add(s, c)
}}"""
WORTH = {"red": 1.0, "green": 2.0, "blue": 4.0}
quick = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def score(x: np.ndarray) -> np.ndarray:
    """What the model of this type says."""
    if x.dtype == object:
        return np.array([WORTH.get(a, 0.0) + 10 * WORTH.get(b, 0.0) for a, b in x])
    a, b = x.astype(float).T
    return 1 + a * b + np.abs(a)


@pytest.fixture(scope="module")
def explainers(models) -> dict[str, ox.Explainer]:
    made: dict[str, onnx.ModelProto] = {"string": texts()}
    weights = {"one": np.array([1]), "zero": np.array([0]), "c": 1.0}
    for name, (spelled, *_) in TYPES.items():
        if name != "string":
            made[name] = models.make(GRAPH.format(spelled), **weights)
    return {name: ox.Explainer(model) for name, model in made.items()}


def rows(data: st.DataObject, dtype: str, n: int) -> np.ndarray:
    _, kind, entries = TYPES[dtype]
    return data.draw(arrays.arrays(kind, (n, 2), elements=entries))


@every_type
@quick
@given(data=st.data(), n=st.integers(1, 4))
def test_each_element_gets_what_is_lost_without_it(dtype, data, n, explainers) -> None:
    x, start = rows(data, dtype, n), rows(data, dtype, 1)[0]
    given = data.draw(st.sampled_from([None, start]))
    found = explainers[dtype](x, None, "feature_ablation", baselines=given)
    instead = np.array([""] * 2 if dtype == "string" else [0, 0], x.dtype) if given is None else start
    for k in range(2):
        without = x.copy()
        without[:, k] = instead[k]
        np.testing.assert_allclose(found.values[:, k], score(x) - score(without), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.score, score(x), rtol=1e-6)
    assert found.values.dtype.kind == "f"
    np.testing.assert_array_equal(found.inputs["x"], x)


@every_type
@quick
@given(data=st.data(), n=st.integers(2, 4), size=st.integers(1, 5))
def test_a_batch_is_its_samples_one_by_one(dtype, data, n, size, explainers) -> None:
    x, start = rows(data, dtype, n), rows(data, dtype, n)
    before = x.copy()
    x.flags.writeable = False
    explainer = explainers[dtype]
    found = explainer(x, None, "feature_ablation", baselines=start, internal_batch_size=size)
    for k in range(n):
        part = slice(k, k + 1)
        alone = explainer(x[part], None, "feature_ablation", baselines=start[part])
        np.testing.assert_array_equal(found.values[k], alone.values[0])
    np.testing.assert_array_equal(x, before)


@every_type
@quick
@given(data=st.data(), mask=st.lists(st.integers(-1, 2), min_size=2, max_size=2))
def test_what_has_one_number_leaves_together(dtype, data, mask, explainers) -> None:
    x, start = rows(data, dtype, 3), rows(data, dtype, 1)[0]
    mask = np.array(mask)
    if (mask < 0).all():
        with pytest.raises(ox.errors.DataInputError, match="nobody plays"):
            explainers[dtype](x, None, "feature_ablation", baselines=start, feature_mask=mask)
        return
    found = explainers[dtype](x, None, "feature_ablation", baselines=start, feature_mask=mask)
    for k in range(2):
        gone = (mask == mask[k]) & (mask >= 0)
        lost = score(x) - score(np.where(gone, start, x))
        np.testing.assert_allclose(found.values[:, k], lost, rtol=1e-5, atol=1e-5)


@every_type
@quick
@given(data=st.data())
def test_what_is_its_own_baseline_gets_nothing(dtype, data, explainers) -> None:
    x = rows(data, dtype, 3)
    assert not explainers[dtype](x, None, "feature_ablation", baselines=x).values.any()


@every_type
def test_results_of_any_type_are_saved(dtype, explainers, tmp_path) -> None:
    x = np.array([["red", "blue"]] if dtype == "string" else [[1, 0]], TYPES[dtype][1])
    found = explainers[dtype](x, None, "feature_ablation")
    for ending in ("npz", "json"):
        found.save(tmp_path / f"why.{ending}")
        again = ox.Attribution.load(tmp_path / f"why.{ending}")
        np.testing.assert_array_equal(again.inputs["x"], found.inputs["x"])
        np.testing.assert_array_equal(again.values, found.values)
