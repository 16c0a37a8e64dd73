"""Operators of ai.onnx.ml written out: the same numbers as onnxruntime's kernels, and right gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

import onnxplain as ox
from onnxplain.backward.adjoint import needs_body
from onnxplain.graph.decomposition import CLASSIC, DECOMPOSITIONS
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.trees import OPERATORS
from onnxplain.testing import GradientProblem

if TYPE_CHECKING:
    from onnxplain._types import Array, Arrays

F = np.float32
FLOWERS, SPECIES = load_iris(return_X_y=True)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
TWO = SPECIES > 0  # two species that overlap
X = FLOWERS[::7].astype(F)
HOLES = X.copy()
HOLES[::3, 1] = HOLES[1::4, 2] = np.nan
SPECIES_NAMES = ["setosa", "versicolor", "virginica"]


def flat(values: Any) -> list[float]:
    return [float(v) for v in np.ravel(values)]


def classifier(model: LogisticRegression | LinearSVC) -> dict[str, Any]:
    return {
        "coefficients": flat(model.coef_),
        "intercepts": flat(model.intercept_),
        "classlabels_ints": [int(c) for c in model.classes_],
    }


def machine(model: SVC | SVR) -> dict[str, Any]:
    """What libsvm holds: for two classes scikit-learn shows it with the opposite sign."""
    attrs = {
        "kernel_type": model.kernel.upper(),
        "kernel_params": flat([model._gamma, model.coef0, model.degree]),
        "support_vectors": flat(model.support_vectors_),
        "coefficients": flat(model._dual_coef_),
        "rho": flat(model._intercept_),
    }
    if isinstance(model, SVR):
        return attrs | {"n_supports": len(model.support_vectors_)}
    sizes, labels = model.n_support_, model.classes_
    return attrs | {
        "vectors_per_class": [int(n) for n in sizes],
        "classlabels_ints": [int(c) for c in labels],
    }


MANY = classifier(LogisticRegression(max_iter=500).fit(FLOWERS, SPECIES))
ONE = classifier(LogisticRegression(max_iter=500).fit(FLOWERS[TWO], SPECIES[TWO]))
NAMED = {k: v for k, v in MANY.items() if k != "classlabels_ints"} | {"classlabels_strings": SPECIES_NAMES}
RIDGE = Ridge(alpha=0.1).fit(PATIENTS, PROGRESS)
PAIR = Ridge(alpha=0.1).fit(FLOWERS[:, :2], FLOWERS[:, 2:])
SCALED = StandardScaler().fit(FLOWERS)
STANDARD = SCALED.transform(FLOWERS)
HYPER = LinearSVC(dual=False).fit(FLOWERS, SPECIES)
PLANES = {"kernel_type": "LINEAR", "kernel_params": [0.0, 0.0, 0.0], "rho": [0.25]}  # no support vectors
REGRESSORS = {k: machine(SVR(kernel=k, C=2.0).fit(FLOWERS[:, :3], FLOWERS[:, 3])) for k in ("linear", "rbf")}
KERNELS: dict[str, dict[str, Any]] = {
    "linear": {}, "rbf": {"C": 0.5}, "poly": {"coef0": 0.5}, "sigmoid": {"gamma": 0.01, "coef0": -0.5}
}  # fmt: skip
#: Operator, inputs, attributes.
CASES: dict[str, tuple[str, Arrays, dict[str, Any]]] = {
    "regression": (
        "LinearRegressor",
        {"x": PATIENTS[::30].astype(F)},
        {"coefficients": flat(RIDGE.coef_), "intercepts": flat(RIDGE.intercept_)},
    ),
    "regression of two": (
        "LinearRegressor",
        {"x": X[:, :2]},
        {"coefficients": flat(PAIR.coef_), "intercepts": flat(PAIR.intercept_), "targets": 2},
    ),
    "regression without intercept": ("LinearRegressor", {"x": X}, {"coefficients": [0.5, -1.0, 2.0, 0.1]}),
    "regression of one sample": ("LinearRegressor", {"x": X[0]}, {"coefficients": [0.5, -1.0, 2.0, 0.1]}),
    "regression softmax": (
        "LinearRegressor",
        {"x": X[:, :2]},
        {"coefficients": flat(PAIR.coef_), "targets": 2, "post_transform": "SOFTMAX"},
    ),
    "regression logistic": (
        "LinearRegressor",
        {"x": X},
        {"coefficients": [0.5, -1.0, 2.0, 0.1], "post_transform": "LOGISTIC"},
    ),
    "names": ("LinearClassifier", {"x": X}, NAMED | {"post_transform": "SOFTMAX"}),
    "hyperplanes": (
        "SVMClassifier",
        {"x": X},
        PLANES | {"coefficients": flat(HYPER.coef_), "classlabels_ints": [0, 1, 2]},
    ),
    "hyperplanes logistic": (
        "SVMClassifier",
        {"x": X},
        PLANES
        | {"coefficients": flat(HYPER.coef_), "classlabels_strings": SPECIES_NAMES}
        | {"post_transform": "LOGISTIC"},
    ),
    "support regression linear": ("SVMRegressor", {"x": X[:, :3]}, REGRESSORS["linear"]),
    "support regression rbf": ("SVMRegressor", {"x": X[:, :3]}, REGRESSORS["rbf"]),
    "support regression plane": (
        "SVMRegressor",
        {"x": X},
        PLANES | {"coefficients": [1.0, -1.0, 0.5, 2.0]},
    ),
    "one class": ("SVMRegressor", {"x": X[:, :3]}, REGRESSORS["rbf"] | {"one_class": 1, "rho": [-1.2]}),
    "scaler": ("Scaler", {"x": X}, {"offset": flat(SCALED.mean_), "scale": flat(1 / SCALED.scale_)}),
    "scaler for all": ("Scaler", {"x": X}, {"offset": [0.0], "scale": [0.25]}),
    "imputer": ("Imputer", {"x": X.round()}, {"imputed_value_floats": [0.5], "replaced_value_float": 5.0}),
    "imputer of nan": (
        "Imputer",
        {"x": HOLES},
        {"imputed_value_floats": flat(FLOWERS.mean(0)), "replaced_value_float": float("nan")},
    ),
    "extractor": ("ArrayFeatureExtractor", {"x": X, "i": np.array([2, 0])}, {}),
    "extractor of one sample": ("ArrayFeatureExtractor", {"x": X[0], "i": np.array([[2, 0, 1]])}, {}),
    "vectorizer": ("FeatureVectorizer", {"x": X, "z": X[:, :2]}, {"inputdimensions": [4, 2]}),
    "vectorizer, other widths": ("FeatureVectorizer", {"x": X, "z": X[:, :2]}, {"inputdimensions": [3, 4]}),
}
for _kind in ("NONE", "SOFTMAX", "LOGISTIC"):
    _post = {"post_transform": _kind}
    CASES[f"classes {_kind}"] = ("LinearClassifier", {"x": X}, MANY | _post)
    CASES[f"two classes {_kind}"] = ("LinearClassifier", {"x": X}, ONE | _post)
    CASES[f"two support classes {_kind}"] = (
        "SVMClassifier", {"x": X}, machine(SVC(C=0.3).fit(FLOWERS[TWO], SPECIES[TWO])) | _post
    )  # fmt: skip
    CASES[f"support classes {_kind}"] = (
        "SVMClassifier", {"x": X}, machine(SVC(C=0.3).fit(FLOWERS, SPECIES)) | _post
    )  # fmt: skip
for _name, _options in KERNELS.items():
    CASES[f"kernel {_name}"] = (
        "SVMClassifier",
        {"x": STANDARD[::7].astype(F)},
        machine(SVC(kernel=_name, **_options).fit(STANDARD, SPECIES)),
    )  # fmt: skip
for _kind in ("MAX", "L1", "L2"):
    CASES[f"normalizer {_kind}"] = ("Normalizer", {"x": X - 3}, {"norm": _kind})
    CASES[f"normalizer {_kind}, one sample"] = ("Normalizer", {"x": X[0]}, {"norm": _kind})
OUTPUTS = {"LinearClassifier": ("label", "y"), "SVMClassifier": ("label", "y")}


def model_of(op: str, feeds: Arrays, attrs: dict[str, Any], *more: onnx.NodeProto) -> onnx.ModelProto:
    """One node, or that and what follows its ``y``; the last node's outputs are the model's."""
    nodes = [
        helper.make_node(op, list(feeds), OUTPUTS.get(op, ("y",)), name="node", domain=CLASSIC, **attrs),
        *more,
    ]
    infos = [
        helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for k, v in feeds.items()
    ]
    graph = helper.make_graph(nodes, "g", infos, [onnx.ValueInfoProto(name=k) for k in nodes[-1].output])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(CLASSIC, 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made = session.run(None, feeds)
    for output, found, value in zip(model.graph.output, session.get_outputs(), made, strict=True):
        if found.type.startswith("tensor"):
            dtype = helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype)
            output.CopyFrom(helper.make_tensor_value_info(output.name, dtype, np.shape(value)))
    return model


def run(model: ir.Model | onnx.ModelProto, feeds: Arrays) -> list[Array]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("name", CASES)
def test_the_same_numbers_as_the_kernel(name: str) -> None:
    op, feeds, attrs = CASES[name]
    model = model_of(op, feeds, attrs)
    made = normalize(load(model), expand=needs_body).model
    assert all(n.domain in ("", "ai.onnx") for n in made.graph)
    for a, b in zip(run(made, feeds), run(model, feeds), strict=True):
        assert a.shape == b.shape
        if b.dtype == F:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_gradient(name: str, symbolic: bool) -> None:
    op, feeds, attrs = CASES[name]
    model = model_of(op, feeds, attrs)
    for value in model.graph.input if symbolic else ():
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 2:
            dims[0].dim_param = "N"
    assert GradientProblem.of(model).check(feeds, jitter=1e-3).relative_error < 1e-6


def test_a_row_of_zeros_stays_when_normalised() -> None:
    feeds = {"x": np.array([[0, 0, 0], [1, -3, 2]], F)}
    for norm in ("MAX", "L1", "L2"):
        model = model_of("Normalizer", feeds, {"norm": norm})
        made = normalize(load(model)).model
        np.testing.assert_allclose(run(made, feeds)[0], run(model, feeds)[0], atol=1e-6)
        gradients = GradientProblem.of(model).check(feeds).gradients["x"]
        assert np.isfinite(gradients).all()


def test_integers_and_doubles_become_floats() -> None:
    for dtype in (np.int64, np.float64):
        feeds = {"x": X.round().astype(dtype)}
        model = model_of("LinearClassifier", feeds, MANY)
        made = normalize(load(model)).model
        for a, b in zip(run(made, feeds), run(model, feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_missing_integers_are_replaced() -> None:
    feeds = {"x": np.array([[1, -1], [-1, 4]])}
    model = model_of("Imputer", feeds, {"imputed_value_int64s": [7], "replaced_value_int64": -1})
    made = normalize(load(model)).model
    assert run(made, feeds)[0].tolist() == run(model, feeds)[0].tolist() == [[1, 7], [7, 4]]


def test_every_operator_of_the_table_is_tried() -> None:
    tried = {op for op, _, _ in CASES.values()} | set(OPERATORS)  # trees: test_classic_trees.py
    assert {op for domain, op in DECOMPOSITIONS if domain == CLASSIC} == tried


def test_a_classifier_with_names_is_explained() -> None:
    feeds = {"x": X[:2]}
    model = model_of("LinearClassifier", feeds, NAMED | {"post_transform": "SOFTMAX"})
    result = ox.explain(model, feeds, target=1, method="input_x_gradient")
    weight = np.array(MANY["coefficients"]).reshape(3, 4)[1]
    np.testing.assert_allclose(result.values, X[:2] * weight, rtol=1e-5)  # of the score before the softmax


def test_export_keeps_names_of_classes(tmp_path) -> None:
    feeds = {"x": X[:2]}
    model = model_of("LinearClassifier", feeds, NAMED)
    made = ox.export(model, tmp_path / "explained.onnx", method="saliency", output="y")
    session = ort.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    values = session.run(None, {k: v for k, v in {**feeds, "target": np.array([1, 1])}.items() if k in names})
    weight = np.abs(np.array(MANY["coefficients"]).reshape(3, 4)[1])
    np.testing.assert_allclose(values[-1], [weight, weight], rtol=1e-5)


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"post_transform": "PROBIT"}, "post_transform is 'PROBIT'"),
        ({"prob_a": [-2.0], "prob_b": [0.1]}, "export it without probabilities"),
    ],
)
def test_what_is_not_written_out_is_refused_with_the_reason(attrs: dict[str, Any], words: str) -> None:
    feeds = {"x": X}
    model = model_of("SVMClassifier", feeds, machine(SVC().fit(FLOWERS[TWO], SPECIES[TWO])) | attrs)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    assert any(words in problem for problem in ox.inspect(model).problems)
    with pytest.raises(ox.errors.UnsupportedOperatorError, match=words):
        GradientProblem.of(model)


TREE = {
    "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [2, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [2.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "n_targets": 1,
    "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, 5.0],
}  # fmt: skip


def test_trees_are_refused_with_what_works() -> None:
    model = model_of("TreeEnsembleRegressor", {"x": X}, TREE)
    words = "TreeEnsembleRegressor: trees are constant between their thresholds.*tree_shap for trees"
    with pytest.raises(ox.errors.NotExplainableError, match=words):
        ox.explain(model, {"x": X})
    found = ox.inspect(model)
    assert [row.gradient for row in found.operators] == ["none: trees are constant between their thresholds"]
    assert "trees are constant" in " ".join(found.problems)


def test_a_classifier_that_ends_in_dictionaries_is_explained() -> None:
    zipped = helper.make_node("ZipMap", ["y"], ["map"], domain=CLASSIC, classlabels_int64s=[0, 1, 2])
    model = model_of("LinearClassifier", {"x": X}, MANY, zipped)
    result = ox.explain(model, {"x": X}, target=2, method="saliency")
    np.testing.assert_allclose(result.values[0], np.abs(MANY["coefficients"][8:]), rtol=1e-5)


def test_a_threshold_has_no_gradient() -> None:
    model = model_of("Binarizer", {"x": X}, {"threshold": 2.0})
    with pytest.raises(ox.errors.NotExplainableError, match="Binarizer"):
        ox.explain(model, {"x": X}, target=0)
