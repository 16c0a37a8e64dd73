"""Values inside a model as scores, and as what is explained."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from kinds import GENERAL, made

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples


def with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model whose only output is a value inside it."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    found = onnx.shape_inference.infer_shapes(made).graph.value_info
    del made.graph.output[:]
    made.graph.output.append(next(v for v in found if v.name == name))
    return made


@pytest.mark.parametrize("name", GENERAL)
def test_any_method_explains_a_neuron(name, models) -> None:
    """As if the layer were an output of the model."""
    x = models.random(3, 5)
    model = models.mlp(softmax=True)
    neuron = {"output": "h", "target": 4} if name == "neuron_conductance" else {"neuron": ("h", 4)}
    found = ox.explain(model, x, method=made(name), **neuron)
    theirs = ox.explain(with_output(model, "h"), x, 4, method=made(name))
    np.testing.assert_array_equal(found.values, theirs.values)
    np.testing.assert_array_equal(found.predictions, theirs.predictions)
    np.testing.assert_array_equal(found.score, found.predictions[:, 4])
    assert found.output == ("h", "h")


@pytest.mark.parametrize("method", ["integrated_gradients", "lrp", "deep_lift", "smooth_grad"])
@pytest.mark.parametrize("batch", ["N", "1", "4"])
@pytest.mark.parametrize("n", [1, 4, 6])
def test_neurons_of_maps_in_batches_of_any_kind(method, batch, n, models) -> None:
    x = models.random(n, 2, 8, 8, seed=3)
    found = ox.explain(models.conv(batch=batch), x, method=made(method), neuron=("r2", (3, 1, 2)))
    theirs = ox.explain(with_output(models.conv(), "r2"), x, (3, 1, 2), method=made(method))
    np.testing.assert_allclose(found.values, theirs.values, rtol=1e-4, atol=1e-5)
    assert found.predictions.shape == (n, 6, 4, 4)
    assert found.target.tolist() == [[3, 1, 2]] * n


def test_samples_that_lie_last(models) -> None:
    inputs = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=1)}
    explainer = ox.Explainer(models.batch_last())
    found = explainer(inputs, 2, "saliency", output="turned", abs=False)
    assert found.score.tolist() == inputs["aside"][2].tolist()
    assert found.arrays["aside"].tolist() == [[0.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3]


def test_a_softmax_inside_is_explained_as_it_is(models) -> None:
    model = models.make(
        "m (float[N, 5] x) => (float[N, 2] y) { a = MatMul(x, w) p = Softmax(a) y = MatMul(p, v) }",
        w=models.random(5, 4), v=models.random(4, 2, seed=1),
    )  # fmt: skip
    x = models.random(3, 5, seed=2)
    found = ox.explain(model, x, 1, method="integrated_gradients", output="p")
    assert found.output == ("p", "p")
    assert found.relative_delta.max() < 1e-3
    assert ((found.score > 0) & (found.score < 1)).all()


def test_any_target_does(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    best = explainer(x, "predicted", "saliency", output="f")
    assert best.target.ravel().tolist() == best.predictions.argmax(1).tolist()
    weights = models.random(6, 4, 4, seed=5)
    summed = explainer(x, method="saliency", neuron=("r2", ox.Weights(weights)))
    np.testing.assert_allclose(summed.score, (summed.predictions * weights).sum((1, 2, 3)), rtol=1e-4)


def test_layers_go_by_the_names_of_values_and_of_nodes(models) -> None:
    model = models.mlp()
    model.graph.node[1].name = "body/relu"
    explainer, x = ox.Explainer(model), models.random(2, 5)
    plain = explainer(x, 1, "saliency", wrt="h")
    for found in (
        explainer(x, 1, "saliency", layer="h"),
        explainer(x, 1, "saliency", layer=["h"]),
        explainer(x, 1, "saliency", layer="body/relu"),
        explainer(x, 1, "saliency", wrt="body/relu"),
    ):
        assert list(found.arrays) == ["h"]
        np.testing.assert_array_equal(found.values, plain.values)
    neuron = explainer(x, method="saliency", neuron=("body/relu", 2))
    assert neuron.output == ("h", "h")
    through = explainer(x, method="integrated_gradients", neuron=("h", 2), layer="a")
    np.testing.assert_allclose(through.values[:, 2], np.maximum(through.inputs["a"][:, 2], 0), rtol=1e-5)
    assert not np.delete(through.values, 2, axis=1).any()


def test_a_layer_behind_the_score_is_refused(models) -> None:
    with pytest.raises(ox.errors.NotExplainableError, match="depend"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method="saliency", output="a", wrt="h")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"layer": "hh"}, ox.errors.DataInputError, r"no input or inner value 'hh' \(did you mean 'h'"),
        ({"layer": "zzz"}, ox.errors.DataInputError, "'zzz'; its inner values are a, h, y"),
        ({"layer": "h", "wrt": "x"}, ox.errors.DataInputError, "layer= and wrt="),
        ({"neuron": ("hh", 1)}, ox.errors.TargetError, r"no output 'hh'.*did you mean 'h'"),
        ({"neuron": "h"}, ox.errors.TargetError, "neuron is 'h'; give the name"),
        ({"neuron": ("h", 1), "target": 1}, ox.errors.TargetError, "leave these out"),
        ({"neuron": ("h", 1), "output": "y"}, ox.errors.TargetError, "leave these out"),
        ({"neuron": ("h", 8)}, ox.errors.TargetError, r"target 8 is out of range.*'h', has 8"),
        ({"neuron": ("h", (1, 2))}, ox.errors.TargetError, r"output 'h' has shape \(8,\)"),
        ({"neuron": ("x", 1)}, ox.errors.TargetError, "no output 'x'"),
        ({"output": "h"}, ox.errors.TargetError, "output 'h' has shape .* so it has 8 scores"),
    ],
)
def test_mistakes_are_named(options, error, match, models) -> None:
    with pytest.raises(error, match=match):
        ox.explain(models.mlp(), models.random(2, 5), method="saliency", **options)


def test_integers_are_no_scores(models) -> None:
    model = models.make(
        "m (float[N, 5] x) => (float[N, 5] y) { k = ArgMax<axis = 1>(x) f = Cast<to = 1>(k) y = Add(x, f) }"
    )
    with pytest.raises(ox.errors.TargetError, match=r"'k' is not made of floats"):
        ox.explain(model, models.random(2, 5), method="saliency", neuron=("k", 0))


def test_what_was_folded_says_where_it_is(models) -> None:
    model = models.make(
        """m (float[N, 2, 4, 4] x) => (float[N, 3, 4, 4] y) {
          c = Conv<kernel_shape = [1, 1]>(x, w)
          b = BatchNormalization(c, scale, bias, mean, var)
          y = Relu(b)
        }""",
        w=models.random(3, 2, 1, 1), scale=[1.0, 2.0, 3.0], bias=[0.1] * 3, mean=[0.2] * 3, var=[1.0] * 3,
    )  # fmt: skip
    model.graph.node[1].name = "norm"
    explainer, x = ox.Explainer(model), models.random(1, 2, 4, 4)
    gone = [k for k in explainer._normal.gone if k in ("b", "c", "norm")]
    assert len(gone) >= 1
    for name in gone:
        with pytest.raises(ox.errors.DataInputError, match=rf"'{name}': it was folded.*name '[bcy]'"):
            explainer(x, (0, 0, 0), "saliency", layer=name)
        behind = explainer._normal.gone[name]
        assert explainer(x, (0, 0, 0), "saliency", layer=behind).values.shape == (1, 3, 4, 4)


def test_a_neuron_in_a_file(models, tmp_path) -> None:
    x = models.random(3, 5)
    made = ox.export(models.mlp(), tmp_path / "h.onnx", method="saliency", output="h")
    assert made.outputs == ("y", "h", "attribution/x")
    import onnxruntime as ort

    session = ort.InferenceSession(str(tmp_path / "h.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(["attribution/x"], {"x": x, "target": np.array([4, 1, 4])})[0]
    theirs = ox.explain(models.mlp(), x, [4, 1, 4], method="saliency", output="h")
    np.testing.assert_allclose(found, theirs.values, rtol=1e-5)


def test_explainers_travel_with_what_is_gone() -> None:
    import pickle

    explainer = ox.Explainer(digits_model_path())
    again = pickle.loads(pickle.dumps(explainer))
    assert again._normal.gone == explainer._normal.gone
    x = digits_samples()[0][:2]
    layer = next(v.name for n in explainer._normal.model.graph for v in n.outputs if n.op_type == "Relu")
    first, second = (e(x, 3, "saliency", layer=layer) for e in (explainer, again))
    np.testing.assert_array_equal(first.values, second.values)
