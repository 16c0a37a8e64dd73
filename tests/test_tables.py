"""Tables as inputs: data frames of any library, matched to a model's inputs by name."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from table_models import ArrowTable, Frame, by_column, make, matrix, structured

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionalDependencyError
from onnxplain.tables import read_table

METHOD = "feature_ablation"
ROWS = {"income": [1.0, np.nan], "age": [30, 40], "city": ["Rome", "Oslo"], "children": [1, 2]}
FOUND = {"age": [30, 40], "income": [1, 10], "city": [5, 0], "children": [1, 2]}
NUMBERS = {"a": [1, 2], "b": [3.5, 4.0], "c": [True, False]}
IN_ORDER = [[1, 7, 3], [2, 8, 0]]


def pandas(columns: Any) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def polars(columns: Any) -> Any:
    return pytest.importorskip("polars").DataFrame(columns)


def arrow(columns: Any) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


def batch(columns: Any) -> Any:
    return arrow(columns).to_batches()[0]


def of_series(columns: Any) -> Any:
    series = pytest.importorskip("pandas").Series
    return {k: series(v) for k, v in columns.items()}


class Stream:
    """Hands itself on as an Arrow stream, and can do nothing else."""

    def __init__(self, columns: Any) -> None:
        self._table = arrow(columns)

    def __arrow_c_stream__(self, schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(schema)


class Exchange:
    """Hands itself on by the data frame interchange protocol, and can do nothing else."""

    def __init__(self, columns: Any) -> None:
        self._table = arrow(columns)

    def __dataframe__(self, **options: Any) -> Any:
        return self._table.__dataframe__(**options)


KINDS = (dict, Frame, ArrowTable, structured, pandas, polars, arrow, batch, of_series, Stream)


@pytest.fixture(scope="module")
def people() -> ox.Explainer:
    return ox.Explainer(by_column())


@pytest.fixture(scope="module")
def numbers() -> ox.Explainer:
    return ox.Explainer(matrix())


@pytest.mark.parametrize("kind", KINDS)
def test_each_column_is_the_input_of_its_name(kind, people) -> None:
    result = people(kind(ROWS), method=METHOD)
    for name, expected in FOUND.items():
        np.testing.assert_allclose(result.arrays[name][:, 0], expected)
        assert result.feature_names[name] == ((name,),)
    np.testing.assert_allclose(people.predict(kind(ROWS))["y"], result.predictions)


@pytest.mark.parametrize("kind", [*KINDS, Exchange])
@pytest.mark.parametrize("method", [METHOD, "integrated_gradients"])
def test_all_columns_are_one_input(kind, method, numbers) -> None:
    result = numbers(kind(NUMBERS), method=method)
    np.testing.assert_allclose(result.values, IN_ORDER, rtol=1e-6)
    assert result.feature_names == {"x": (("a", "b", "c"),)}


def test_single_values_are_one_row(people) -> None:
    result = people({"income": 1.0, "age": 3, "city": "Rome", "children": 2}, method=METHOD)
    assert [float(v[0, 0]) for v in result.arrays.values()] == [3, 1, 5, 2]


@pytest.mark.parametrize(
    "model", [matrix(), matrix(names='["c", "a", "b"]'), matrix(names='{"x": ["c", "a", "b"]}')]
)
def test_names_of_the_model_or_of_the_call_decide_the_order(model) -> None:
    explainer = ox.Explainer(model)
    given = {} if model.metadata_props else {"feature_names": ["c", "a", "b"]}
    result = explainer(Frame(NUMBERS), method=METHOD, **given)
    np.testing.assert_array_equal(result.inputs["x"], [[1, 1, 3.5], [0, 2, 4]])
    assert result.feature_names == {"x": (("c", "a", "b"),)}
    again = explainer(result.inputs["x"], method=METHOD, **given)
    assert again.feature_names == result.feature_names
    swapped = explainer(Frame(NUMBERS), method=METHOD, feature_names={"x": ["a", "b", "c"]})
    np.testing.assert_array_equal(swapped.values, IN_ORDER)


@pytest.mark.parametrize(
    "names", ["nonsense", '["a"]', "3", '{"z": ["a"]}', '["a", "a", "b"]', "[" * 100_000]
)
def test_metadata_that_makes_no_sense_counts_as_not_said(names) -> None:
    result = ox.explain(matrix(names=names), Frame(NUMBERS), method=METHOD)
    assert result.feature_names == {"x": (("a", "b", "c"),)}


def test_a_matrix_beside_columns() -> None:
    model = make(
        """m (float[N, 2] x, float[N, 1] age) => (float[N, 1] y) {
          s = ReduceSum(x, axes) y = Add(s, age) }""",
        axes=np.array([1]),
    )
    result = ox.explain(model, Frame({"p": [1.0], "age": [2.0], "q": [3.0]}), method=METHOD)
    np.testing.assert_array_equal(result.arrays["x"], [[1, 3]])
    assert result.feature_names == {"x": (("p", "q"),), "age": (("age",),)}


def test_an_input_of_one_axis() -> None:
    model = make("m (float[N] a, float[N] b) => (float[N] y) { y = Mul(a, b) }")
    result = ox.explain(model, Frame({"b": [3.0, 4.0], "a": [1.0, 2.0]}), method=METHOD)
    np.testing.assert_array_equal(result.arrays["b"], [3, 8])
    only = make("m (float[N] x) => (float[N] y) { y = Neg(x) }")
    np.testing.assert_array_equal(ox.explain(only, Frame({"b": [3.0]}), method=METHOD).values, [-3])


@pytest.mark.parametrize("kind", [dict, Frame, structured, pandas])
def test_baselines_and_backgrounds_are_tables_too(kind, people, numbers) -> None:
    result = people(kind(ROWS), method=METHOD, baselines=ox.Background(kind(ROWS)))
    np.testing.assert_allclose(result.arrays["age"][:, 0], [-5, 5])
    np.testing.assert_allclose(result.arrays["income"][:, 0], [-4.5, 4.5])  # NaN, which counts as 10, is kept
    np.testing.assert_allclose(result.arrays["city"][:, 0], [2.5, -2.5])
    found = numbers(
        kind(NUMBERS), method="deep_lift_shap", baselines=kind({"c": [1, 0], "b": [1, 1], "a": [0, 0]})
    )
    np.testing.assert_allclose(found.values, [[1, 5, 1.5], [2, 6, -1.5]])


def test_one_row_is_a_baseline(people, numbers) -> None:
    row = {"city": "Oslo", "age": 10, "children": 0, "income": 0}
    np.testing.assert_allclose(
        people(Frame(ROWS), method=METHOD, baselines=row).arrays["age"][:, 0], [20, 30]
    )
    part = people(Frame(ROWS), method=METHOD, baselines={"age": 10})
    np.testing.assert_allclose(part.arrays["age"][:, 0], [20, 30])
    found = numbers(Frame(NUMBERS), method="ig", baselines={"c": 1, "b": 1, "a": 0})
    np.testing.assert_allclose(found.values, [[1, 5, 0], [2, 6, -3]], atol=1e-6)
    with pytest.raises(DataInputError, match="lacks column 'b'"):
        numbers(Frame(NUMBERS), method="ig", baselines={"c": 1, "a": 0})


def test_columns_of_a_background_that_are_not_explained_are_left_out(people) -> None:
    result = people(Frame(ROWS), method=METHOD, wrt="age", baselines=ox.Background(Frame(ROWS)))
    assert list(result.arrays) == ["age"]
    np.testing.assert_allclose(result.values[:, 0], [-5, 5])


def test_groups_of_columns_are_one_player(people, numbers) -> None:
    result = people(Frame(ROWS), method=METHOD, feature_mask={"money": ["income", "children"]})
    np.testing.assert_allclose(result.arrays["income"][:, 0], [2, 12])
    np.testing.assert_allclose(result.arrays["children"], result.arrays["income"])
    np.testing.assert_allclose(result.arrays["age"][:, 0], [30, 40])
    assert {k: v.tolist() for k, v in result.extras["groups"].items()} == {
        "age": [""], "income": ["money"], "city": [""], "children": ["money"],
    }  # fmt: skip
    found = numbers(
        np.ones((1, 3)), method=METHOD, feature_names=["a", "b", "c"], feature_mask={"g": ["a", "c"]}
    )
    np.testing.assert_allclose(found.values, [[4, 2, 4]])
    alone = ox.explain(
        by_column(), Frame(ROWS), method=METHOD, feature_mask={"all": ["age", "income", "city", "children"]}
    )
    np.testing.assert_allclose(alone.arrays["city"], alone.score[:, None])


def test_groups_are_saved_with_the_result(people, tmp_path) -> None:
    result = people(Frame(ROWS), method=METHOD, feature_mask={"money": ["income", "children"]})
    for file in ("why.npz", "why.json"):
        result.save(tmp_path / file)
        held = ox.Attribution.load(tmp_path / file)
        assert held.feature_names == result.feature_names
        assert held.extras["groups"]["income"].tolist() == ["money"]


def test_what_cells_may_hold(people) -> None:
    rows = {
        "age": np.array([Decimal("1.5"), np.float32(2), 3, None, True], object),
        "income": np.array([1, 2, 3, 4, 5], np.uint8),
        "city": np.array(["a", "b", "c", "d", "Rome"], "S"),
        "children": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    }
    np.testing.assert_array_equal(people.predict(rows)["y"][:3, 0], [3.5, 6, 9])
    assert np.isnan(people.predict(rows)["y"][3, 0])
    assert people.predict(rows)["y"][4, 0] == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"agee": [1, 2]},
            r"no column 'agee' \(nearest: 'age'\); the model takes age, income, city, children",
        ),
        ({"age": None, "Age": [1, 2]}, r"lacks column 'age' \(nearest there: 'Age'\) and .* no column 'Age'"),
        ({"age": None, "city": None}, "lacks columns 'age', 'city'"),
        ({"city": ["x", None]}, r"row 1 of column 'city' is missing.*fillna"),
        ({"city": np.array(["x", np.nan], object)}, "row 1 of column 'city' is missing"),
        ({"city": [1, 2]}, r"row 0 of column 'city' holds 1, and .* texts .*astype\(str\)"),
        ({"age": ["2", "x"]}, "row 0 of column 'age' holds '2', and the model takes numbers"),
        ({"age": np.array([2, [3]], object)}, r"row 1 of column 'age' holds \[3\]"),
        ({"age": np.array([2, 3j])}, "column 'age' has dtype complex128"),
        ({"age": np.array(["2020", "2021"], "M8[Y]")}, "column 'age' has dtype datetime64"),
        ({"children": [1, 1.5]}, r"row 1 of column 'children' holds 1.5, .* whole numbers"),
        ({"children": [1, np.nan]}, "row 1 of column 'children' is missing, .* whole numbers"),
        ({"age": [[1], [2]]}, r"column 'age' has shape \(2, 1\)"),
        ({"age": [1]}, "column 'age' has 1 rows, and 'income' has 2|'income' has 2 rows, and 'age' has 1"),
        ({"age": np.ma.masked_equal([1, 2], 2)}, "column 'age' is a masked array"),
    ],
)
def test_what_does_not_fit_is_named(change, message, people) -> None:
    rows = {k: v for k, v in {**ROWS, **change}.items() if v is not None}
    kind = dict if isinstance(rows.get("age"), np.ma.MaskedArray) else Frame
    with pytest.raises(DataInputError, match=message):
        people(kind(rows), method=METHOD)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (Frame({"a": [1], "b": [2]}), {}, r"'x' has 3 columns, and the table has 2 for it \(a, b\)"),
        (Frame({}), {}, "no columns"),
        (Frame({"a": [], "b": [], "c": []}), {}, "no rows"),
        (Frame(NUMBERS), {"feature_names": ["a", "b"]}, r"2 feature_names do not fit input 'x' of shape \("),
        (Frame(NUMBERS), {"feature_names": "abc"}, "give a list of names"),
        (Frame(NUMBERS), {"feature_names": {"z": ["a"]}}, "feature_names has 'z', which is unknown"),
        (Frame(NUMBERS), {"feature_names": ["a", "a", "b"]}, "'a' twice"),
        (Frame(NUMBERS), {"feature_names": ["a", "b", "cd"]}, "lacks column 'cd' .* has no column 'c'"),
        (Frame(NUMBERS), {"feature_mask": {"g": ["a", "bb"]}}, "group 'g' has the column 'bb', .*: b"),
        (Frame(NUMBERS), {"feature_mask": {"g": ["a"], "h": ["a"]}}, "'a' is in two groups, 'g' and 'h'"),
        (np.ones((2, 3)), {"feature_mask": {"g": ["a"]}}, "nobody said how the columns are called"),
        (Frame({**NUMBERS, "c": [np.nan, 1]}), {"method": "ig"}, "holds 1 values that are NaN"),
    ],
)  # fmt: skip
def test_wrong_columns_of_a_matrix_are_named(given, options, message, numbers) -> None:
    with pytest.raises(DataInputError, match=message):
        numbers(given, **{"method": METHOD, **options})


def test_tables_that_cannot_be_placed_are_refused() -> None:
    two = make("m (float[N, 2] x, float[N, 3] z) => (float[N, 5] y) { y = Concat<axis = 1>(x, z) }")
    columns = {n: [1.0] for n in "abcde"}
    with pytest.raises(
        DataInputError, match=r"of input 'x' \(N, 2\) is not clear; say it with feature_names"
    ):
        ox.explain(two, Frame(columns), 0, method=METHOD)
    with pytest.raises(DataInputError, match="must be a dict by input name; the model takes x, z"):
        ox.explain(two, Frame(columns), 0, method=METHOD, feature_names=list("abcde"))
    found = ox.explain(
        two, Frame(columns), 4, method=METHOD, feature_names={"x": ["b", "a"], "z": ["e", "d", "c"]}
    )
    np.testing.assert_array_equal(found.arrays["z"], [[0, 0, 1]])
    image = make(
        "m (float[N, 2, 2] x) => (float[N] y) { y = ReduceSum<keepdims = 0>(x, axes) }", axes=np.array([1, 2])
    )
    with pytest.raises(DataInputError, match=r"has shape \(N, 2, 2\), which columns of a table cannot fill"):
        ox.explain(image, Frame(columns), method=METHOD)
    names = make("m (float[N, C] x) => (float[N, 1] y) { y = ReduceSum(x, axes) }", axes=np.array([1]))
    with pytest.raises(DataInputError, match="1 feature_names do not fit input 'x' with 2 columns"):
        ox.explain(names, np.ones((1, 2)), method=METHOD, feature_names=["a"])


def test_two_columns_of_one_name_are_refused() -> None:
    frame = ArrowTable({"a": [1]})
    frame.column_names = ["a", "a"]
    with pytest.raises(DataInputError, match="two columns of the table are called 'a'"):
        read_table(frame)


def test_a_lazy_frame_has_to_be_collected(numbers) -> None:
    class Lazy:
        columns = ("a",)

        def collect(self) -> None: ...

        def collect_schema(self) -> None: ...

    with pytest.raises(DataInputError, match=r"Lazy holds no rows yet; give .collect\(\)"):
        numbers(Lazy(), method=METHOD)


@pytest.mark.parametrize(
    ("protocol", "module"), [("__arrow_c_stream__", "pyarrow"), ("__dataframe__", "pyarrow.interchange")]
)
def test_what_only_pyarrow_can_read_says_so(protocol, module, numbers, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    only = type("Relation", (), {protocol: lambda self: None})()
    with pytest.raises(OptionalDependencyError, match="reading a Relation needs the package pyarrow"):
        numbers(only, method=METHOD)


def test_arrays_stay_arrays(people, numbers) -> None:
    assert read_table(np.ones((2, 3))) is None
    assert read_table([[1, 2]]) is None
    assert read_table({"x": np.ones((2, 3))}) is None
    assert numbers({"x": np.ones((1, 3))}, method=METHOD).feature_names is None
    with pytest.raises(DataInputError, match="the model has no input 'z'"):
        numbers({"z": np.ones((1, 3))}, method=METHOD)


def test_frames_with_missing_cells_of_their_own_kind(people) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "income": pd.array([1, None], dtype="Int64"),
            "age": pd.array([True, False], dtype="boolean"),
            "city": pd.Categorical(["Rome", "Oslo"]),
            "children": pd.array([1, 2], dtype="Int8"),
        }
    )
    np.testing.assert_array_equal(people.predict(frame)["y"][:, 0], [8, 12])
    frame["city"] = pd.array(["Rome", None], dtype="string")
    with pytest.raises(DataInputError, match="row 1 of column 'city' is missing"):
        people.predict(frame)
    with pytest.raises(DataInputError, match="two columns of the table are called 'city'"):
        people.predict(pd.concat([frame, frame[["city"]]], axis=1))
    pl = pytest.importorskip("polars")
    with pytest.raises(DataInputError, match="LazyFrame holds no rows yet"):
        people.predict(pl.DataFrame(ROWS).lazy())


def test_pictures_of_a_result_have_its_columns(people, numbers) -> None:
    result = people(Frame(ROWS), method=METHOD)
    figure = result.plot(1)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [
        "city = Oslo", "children = 2", "income = missing", "age = 40",
    ]  # fmt: skip
    for kind in ("force", "beeswarm", "mean_bar", "dependence"):
        assert result.plot(kind=kind).axes
    assert result.plot(name="age", kind="waterfall").axes
    bars = numbers(Frame(NUMBERS), method="ig").plot()
    assert [t.get_text() for t in bars.axes[0].get_yticklabels()] == ["b = 3.5", "c = 1", "a = 1"]
    with pytest.raises(DataInputError, match="holds no interactions"):
        result.plot(kind="interactions")


def test_a_result_by_column(people, numbers) -> None:
    view = people(Frame(ROWS), method=METHOD, feature_mask={"money": ["income", "children"]}).by_column()
    assert view.names == ("age", "money", "city")
    np.testing.assert_allclose(view.values, [[30, 2, 5], [40, 12, 0]])
    assert view.base is None
    found = numbers(Frame(NUMBERS), method="ig", baselines=1.0)
    np.testing.assert_allclose(found.by_column().base, 6, rtol=1e-6)
    np.testing.assert_allclose(
        found.by_column().base + found.by_column().values.sum(1), found.score, rtol=1e-6
    )
    held = numbers(Frame(NUMBERS), method="lrp", composite="epsilon")
    np.testing.assert_allclose(held.by_column("x").base, 0, atol=1e-6)


def test_interactions_of_a_result_are_drawn(numbers) -> None:
    from dataclasses import replace

    result = numbers(Frame(NUMBERS), method="ig")
    for pairs in (np.ones((2, 3, 3)), {"x": np.ones((2, 3, 3))}):
        figure = replace(result, extras={"interactions": pairs}).plot(kind="interactions")
        assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
