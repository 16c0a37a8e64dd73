"""Wrong calls: each one a named error that says what is wrong and what to do, before anything runs."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.runtime.session import Executable

DataInput, Target, Method = errors.DataInputError, errors.TargetError, errors.MethodError
X = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
IMAGE, TABLE = np.zeros((2, 2, 4), np.float32), np.zeros((2, 3), np.float32)


def refuse_to_run(*_: object, **__: object) -> None:
    raise AssertionError("something ran")


def refused(call, kind: type[Exception], *words: str) -> None:
    """Assert that a call is refused, with all these words."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message


@pytest.fixture(scope="module")
def explainers(models) -> dict[str, ox.Explainer]:
    made = {n: getattr(models, n)() for n in ("mlp", "two_inputs", "maps", "single", "tokens", "conv")}
    made["fixed"] = models.make("m (float[3] x) => (float[2] y) { y = MatMul(x, w) }", w=models.random(3, 2))
    made["bool"] = models.make("m (bool[N, 2] x) => (float[N, 2] y) { y = Cast<to = 1>(x) }")
    return {name: ox.Explainer(model) for name, model in made.items()}


def nan(value: float) -> np.ndarray:
    x = X.copy()
    x[1, 2] = value
    return x


# what: (model, inputs, options, error, words)
CALLS = {
    "unknown input": ("two_inputs", {"image": IMAGE, "tabel": TABLE}, {}, DataInput,
                      ("no input 'tabel'", "image, table")),
    "missing input": ("two_inputs", {"image": IMAGE}, {}, DataInput, ("'table' is missing", "image, table")),
    "array for two inputs": ("two_inputs", IMAGE, {}, DataInput, ("2 inputs", "image, table", "give a dict")),
    "no batch axis": ("mlp", X[0], {}, DataInput, ("'x'", "2 axes", "x[np.newaxis]")),
    "rank": ("conv", X, {}, DataInput, ("'x'", "4 axes (N, 2, 8, 8)", "not 2 (3, 5)")),
    "shape": ("mlp", X[:, :4], {}, DataInput, ("'x'", "(N, 5)", "(3, 4)", "axis 1")),
    "fixed shape without batch": ("fixed", np.zeros(4), {"target": 0}, DataInput, ("'x'", "(3)", "(4,)")),
    "complex numbers": ("mlp", X + 1j, {}, DataInput, ("'x'", "complex", "float32")),
    "floats for tokens": ("tokens", {"ids": X, "mask": np.ones((3, 5), int)}, {}, DataInput,
                          ("'ids'", "int64", "float32", ".astype('int64')")),
    "large numbers for tokens": ("tokens",
                                 {"ids": np.full((3, 5), 2**63, np.uint64), "mask": np.ones((3, 5), int)},
                                 {}, DataInput, ("'ids'", "int64")),
    "ragged": ("mlp", [[1, 2, 3, 4, 5], [1, 2]], {}, DataInput, ("'x'", "unequal lengths", "array")),
    "ragged objects": ("mlp", np.array([[1], [1, 2]], object), {}, DataInput, ("'x'", "object", "float32")),
    "text": ("mlp", np.array([["a"] * 5]), {}, DataInput, ("'x'", "text", "float32")),
    "nothing": ("mlp", None, {}, DataInput, ("'x'", "float32")),
    "NaN": ("mlp", nan(np.nan), {}, DataInput, ("'x'", "1 values", "NaN", "replace")),
    "infinity": ("mlp", nan(-np.inf), {}, DataInput, ("'x'", "1 values", "infinite", "replace")),
    "overflow": ("mlp", nan(1.0).astype(np.float64) * 1e300, {}, DataInput, ("'x'", "infinite", "replace")),
    "no samples": ("mlp", X[:0], {}, DataInput, ("'x'", "empty", "(0, 5)", "at least one sample")),
    "different batches": ("two_inputs", {"image": IMAGE, "table": np.zeros((3, 3))}, {}, DataInput,
                          ("'image' has 2", "'table' has 3", "same number")),
    "bool input": ("bool", np.ones((1, 2), bool), {"target": 0}, DataInput,
                   ("no input", "feature_ablation")),
    "no target": ("mlp", X, {"target": None}, Target, ("'y'", "3 scores", "target=", "'predicted'")),
    "target too high": ("mlp", X, {"target": 3}, Target, ("target 3", "'y'", "3 entries", "0 to 2")),
    "target too low": ("mlp", X, {"target": -4}, Target, ("target -4", "0 to 2")),
    "one target too high": ("mlp", X, {"target": [0, 7, 1]}, Target, ("target 7", "0 to 2")),
    "too few targets": ("mlp", X, {"target": [0, 1]}, Target, ("'y'", "one per sample (3)", "(2,)")),
    "fraction": ("mlp", X, {"target": 1.5}, Target, ("integer index", "1.5", "one index")),
    "yes": ("mlp", X, {"target": True}, Target, ("integer index", "True")),
    "word": ("mlp", X, {"target": "cat"}, Target, ("'cat'", "'predicted'")),
    "ragged targets": ("mlp", X, {"target": [[0], [1, 2], [0]]}, Target,
                       ("'y'", "one index", "one per sample")),
    "tuple for classes": ("mlp", X, {"target": (0, 1)}, Target, ("'y'", "one index")),
    "int for maps": ("maps", np.ones((2, 2, 5, 5)), {"target": 1}, Target,
                     ("'y'", "(3, 5, 5)", "tuple of 3 indices")),
    "map target too high": ("maps", np.ones((2, 2, 5, 5)), {"target": (0, 5, 0)}, Target,
                            ("target 5", "axis 1 of (3, 5, 5)", "0 to 4")),
    "output": ("mlp", X, {"output": "z"}, Target, ("no output 'z'", "y")),
    "inner value": ("mlp", X, {"wrt": "hidden"}, DataInput, ("'hidden'", "its inner values are a, h, y")),
    "no wrt": ("mlp", X, {"wrt": []}, DataInput, ("wrt is empty", "leave it out")),
    "method": ("mlp", X, {"method": "magic"}, Method, ("'magic'", "saliency", "lrp")),
    "no method": ("mlp", X, {"method": None}, Method, ("'None'", "saliency")),
    "parameter": ("mlp", X, {"method": "saliency", "steps": 3}, Method, ("'saliency'", "'steps'", "abs")),
    "parameter of a method": ("mlp", X, {"method": ox.Saliency(), "abs": False}, Method,
                              ("to the method itself",)),
    "steps": ("mlp", X, {"method": "ig", "n_steps": 0}, Method, ("n_steps", "0", "at least 1")),
    "class": ("mlp", X, {"method": ox.IntegratedGradients}, Method, ("IntegratedGradients is a class",)),
    "batch size": ("mlp", X, {"internal_batch_size": 0}, Method, ("internal_batch_size", "0", "at least 1")),
    "composite": ("mlp", X, {"method": "lrp", "composite": "magic"}, Method, ("'magic'", "epsilon_plus")),
}  # fmt: skip


@pytest.mark.parametrize("what", CALLS)
def test_call(what, explainers, monkeypatch) -> None:
    model, inputs, options, kind, words = CALLS[what]
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    explainer = explainers[model]
    refused(lambda: explainer(inputs, **{"target": 0, "method": "saliency", **options}), kind, *words)
    assert issubclass(kind, errors.OnnxplainError)
    assert issubclass(kind, ValueError)


@pytest.mark.parametrize(
    ("baselines", "words"),
    [
        (np.zeros((4, 5)), ("'x'", "(4, 5)", "(3, 5)", "a number")),
        (np.zeros((2,)), ("'x'", "(2,)", "(3, 5)")),
        (np.nan, ("'x'", "finite numbers")),
        ("black", ("'x'", "finite numbers")),
        ([[1], [1, 2]], ("'x'", "unequal lengths")),
        ({"z": 0.0}, ("'z'", "explained are x")),
    ],
)
def test_baselines(baselines, words, explainers) -> None:
    refused(lambda: explainers["mlp"](X, 0, "ig", baselines=baselines), DataInput, *words)


def test_baselines_of_several_inputs_need_names(explainers) -> None:
    inputs = {"image": IMAGE, "table": TABLE}
    refused(lambda: explainers["two_inputs"](inputs, 0, baselines=0.0), DataInput, "several inputs", "a dict")
    found = explainers["two_inputs"](inputs, 0, baselines={"table": 1.0}, n_steps=4)
    assert not found.arrays["image"].any()
    assert found.arrays["table"].any()


@pytest.mark.parametrize("baselines", [0.5, np.zeros((2, 9), int), "pad", [[1], [1, 2]]])
def test_baselines_of_tokens(baselines, explainers) -> None:
    inputs = {"ids": np.ones((2, 3), int), "mask": np.ones((2, 3), int)}
    refused(lambda: explainers["tokens"](inputs, 0, baselines=baselines), DataInput, "'ids'")


def test_quadrature_and_smoothgrad_parameters() -> None:
    refused(lambda: ox.IntegratedGradients(method="simpson"), Method, "'simpson'", "gausslegendre")
    refused(lambda: ox.IntegratedGradients(1, "riemann_trapezoid"), Method, "n_steps", "at least 2")
    refused(lambda: ox.SmoothGrad(n_samples=0), Method, "n_samples", "at least 1")
    refused(lambda: ox.SmoothGrad(stdevs=-1.0), Method, "negative")
    refused(lambda: ox.SmoothGrad(nt_type="median"), Method, "'median'", "smoothgrad_sq")


CUSTOM = "m (float[N, 3] x) => (float[N, 3] y) {{ a = Relu(x) b = my.ops.Wobble(a) y = Identity({out}) }}"


@pytest.mark.parametrize("shape", ["N, 3", "N, M"])
@pytest.mark.parametrize("method", ["saliency", "lrp", "integrated_gradients"])
def test_unknown_operator_on_the_path(shape, method, models, monkeypatch) -> None:
    """It is named before anything runs; without explaining, onnxruntime says what it lacks."""
    model = models.make(CUSTOM.format(out="b").replace("float[N, 3] y", f"float[{shape}] y"), domain="my.ops")
    explainer = ox.Explainer(model)
    x = np.ones((1, 3), np.float32)
    refused(lambda: explainer.predict(x), errors.InvalidModelError, "Wobble", "onnxruntime.InferenceSession")
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    words = ("my.ops.Wobble", "inspect")
    refused(lambda: explainer(x, 0, method), errors.UnsupportedOperatorError, *words)
    refused(lambda: ox.export(model, "x.onnx", method="saliency"), errors.UnsupportedOperatorError, *words)
    (problem,) = ox.inspect(model).problems
    assert "Wobble" in problem


def test_no_way_from_output_to_input(models, monkeypatch) -> None:
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = Floor(x) y = Relu(a) }")
    words = ("'y'", "'x'", "Floor", "scores alone", "feature_ablation")
    refused(
        lambda: ox.explain(model, np.ones((1, 3)), 0, method="saliency"), errors.NotExplainableError, *words
    )
    refused(lambda: ox.export(model, "x.onnx", method="saliency"), errors.NotExplainableError, *words)


def test_lrp_rule_that_does_not_fit(models, monkeypatch) -> None:
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    rules = ox.Composite("mine", ((ox.Match(ops=("Relu",)), ox.rule("epsilon")),))
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }")
    explainer = ox.Explainer(model)
    x = np.ones((1, 3), np.float32)
    refused(
        lambda: explainer(x, 0, ox.LRP(rules)),
        errors.UnsupportedRuleError,
        "'epsilon'",
        "Relu node",
        "composite",
    )
    other = ox.Composite("mine", ())
    refused(
        lambda: explainer(x, 0, ox.LRP(other)),
        errors.UnsupportedRuleError,
        "'mine'",
        "Relu node",
        "gradient method",
    )


def test_outputs_that_are_no_scores(models, monkeypatch) -> None:
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    model = models.make("m (float[N, 3] x) => (int64[N, 1] y) { y = ArgMax<axis = 1>(x) }")
    for door in (lambda: ox.explain(model, np.ones((1, 3))), lambda: ox.export(model, "x.onnx")):
        refused(door, Target, "no output", "made of floats", "scores")
    both = models.make(
        "m (float[N, 3] x) => (int64[N, 1] y, float[N, 3] z) { y = ArgMax<axis = 1>(x) z = Relu(x) }"
    )
    for door in (
        lambda: ox.explain(both, np.ones((1, 3)), output="y"),
        lambda: ox.export(both, "x", output="y"),
    ):
        refused(door, Target, "'y'", "not made of floats", "z")


def test_text_input(models, monkeypatch) -> None:
    model = models.make(
        "m (string[N] x, float[N] z) => (string[N] y, float[N] s) { y = Identity(x) s = Relu(z) }"
    )
    inputs = {"x": np.array(["a", "b"]), "z": np.ones(2)}
    assert ox.explain(model, inputs, method="saliency").values.tolist() == [1, 1]
    monkeypatch.setattr(Executable, "run", refuse_to_run)
    refused(lambda: ox.explain(model, inputs, wrt="x"), DataInput, "'x'", "no gradient", "feature_ablation")
    refused(lambda: ox.explain(model, inputs | {"z": ["a", "b"]}), DataInput, "'z'", "text", "float32")
    refused(lambda: ox.explain(model, inputs | {"x": [1, 2]}), DataInput, "'x'", "texts", "astype(str)")


@pytest.mark.parametrize("device", ["tpu", "CUDA", "cuda"])
def test_device(device, models) -> None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    words = (
        ("CUDAExecutionProvider", "onnxruntime-gpu", "device='cpu'")
        if device == "cuda"
        else (device, "'cpu'")
    )
    refused(lambda: ox.Explainer(models.mlp(), device=device), errors.RuntimeUnavailableError, *words)


def test_export_of_methods_that_look_at_answers(models, tmp_path) -> None:
    for method in ("guided_ig", "d_rise"):
        refused(
            lambda m=method: ox.export(models.mlp(), tmp_path / "x.onnx", method=m),
            Method,
            method,
            "Explainer",
        )
    refused(lambda: ox.export(models.mlp(), tmp_path / "x.onnx", method="lrp", wrt="q"), DataInput, "'q'")
    refused(
        lambda: ox.export(models.mlp(), tmp_path / "x.onnx", method="lrp", output="q"), Target, "'q'", "y"
    )
    assert not list(tmp_path.iterdir())


def test_loading_what_is_no_result(tmp_path) -> None:
    np.save(tmp_path / "array.npy", X)
    np.savez(tmp_path / "other.npz", a=X)
    np.savez(tmp_path / "almost.npz", meta="{}", **{"some/thing": X})
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:-30])
    for name in ("array.npy", "other.npz", "almost.npz", "text.npz", "cut.npz"):
        refused(lambda n=name: ox.Attribution.load(tmp_path / n), DataInput, name, "Attribution.save")
    refused(lambda: ox.Attribution.load(tmp_path / "gone.npz"), DataInput, "no file", "gone.npz")
