"""``method="auto"``: what is chosen, and that the result says so."""

from __future__ import annotations

import numpy as np
import pipelines
import pytest

import onnxplain as ox


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize(
    ("name", "chosen", "against"),
    [
        ("columns_forest", "tree_shap", []),
        ("columns_stacked", "tree_shap", []),
        ("columns_line", "linear_shap", []),
        ("columns_multinomial", "linear_shap", []),
        ("matrix_pca", "kernel_shap", ["not tree_shap: MatMul", "trees are constant"]),
        ("matrix_products", "kernel_shap", ["not linear_shap: ReduceProd"]),
    ],
)
def test_tables(name: str, chosen: str, against: list[str], background: bool) -> None:
    rows = {k: v[1:3] for k, v in pipelines.table(name, "rows").items()}
    if "x" in rows:
        rows["x"] = np.nan_to_num(rows["x"])
    rest = pipelines.table(name, "background") if background else None
    if rest and "x" in rest:
        rest["x"] = np.nan_to_num(rest["x"])
    target = 1 if name == "columns_multinomial" else None
    found = ox.explain(pipelines.path(name), rows, target, method="auto", baselines=rest)
    assert found.method.name == chosen
    notes = " ".join(found.notes)
    assert f"method auto chose {chosen}: " in notes
    for words in against:
        assert words in notes
    again = ox.explain(
        pipelines.path(name),
        rows,
        target,
        method=chosen,
        baselines=rest,
    )
    for key, array in found.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[key])


def test_networks(models) -> None:
    x = models.random(2, 2, 8, 8)
    assert ox.explain(models.conv(), x, 1, method="auto").method == ox.LRP()
    baseline = ox.explain(models.conv(), x, 1, method="auto", baselines=x[:1])
    assert baseline.method == ox.DeepLiftShap()
    groups = ox.explain(models.conv(), x, 1, method="auto", feature_mask=np.zeros((1, 8, 8), np.int64))
    assert groups.method == ox.KernelShap()


def test_texts_and_whole_numbers(models) -> None:
    model = models.make(
        "m (int64[N, 3] x) => (float[N, 1] y) { a = ReduceMax(x, i) y = Cast<to = 1>(a) }", i=np.array([1])
    )
    found = ox.explain(model, np.array([[1, 2, 3]]), method="auto")
    assert found.method == ox.KernelShap()
    np.testing.assert_allclose(found.values, [[1 / 3, 5 / 6, 11 / 6]], rtol=1e-6)
    assert any(note.startswith("not linear_shap") for note in found.notes)


def test_it_takes_no_parameters(models) -> None:
    with pytest.raises(ox.errors.MethodError, match="'auto' takes no parameters, not n_steps"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method="auto", n_steps=3)


def test_what_is_wrong_with_the_call_is_said(models) -> None:
    with pytest.raises(ox.errors.TargetError, match="3 scores"):
        ox.explain(models.mlp(), models.random(2, 5), method="auto")


def test_no_column_is_left_out(models) -> None:
    """A walk would explain floats alone."""
    model = models.make(
        """m (string[N, 1] s, float[N, 2] z) => (float[N, 1] y) {
          e = ai.onnx.ml.LabelEncoder<keys_strings = ["a"], values_floats = [3.0], default_float = 1.0>(s)
          p = Mul(e, z) m = MatMul(p, w) y = Tanh(m)
        }""",
        domain="ai.onnx.ml", w=[[1.0], [0.5]],
    )  # fmt: skip
    model.opset_import[1].version = 3
    x = {"s": np.array([["a"]], object), "z": np.array([[0.5, 0.1]], np.float32)}
    found = ox.explain(model, x, method="auto")
    assert found.method == ox.KernelShap()
    assert (found.arrays["s"] != 0).all()
    assert ox.explain(model, x, method="auto", wrt="z").method == ox.LRP()
