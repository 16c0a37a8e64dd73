"""Quantus's metrics through the bridge: of our models they find what they find of the torch originals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, TargetError

pytestmark = pytest.mark.torch

N, SIZE = 3, 8
FEW: dict[str, dict[str, Any]] = {
    "FaithfulnessCorrelation": {"nr_runs": 10, "subset_size": 8},
    "FaithfulnessEstimate": {"features_in_step": 8},
    "PixelFlipping": {"features_in_step": 8},
    "RegionPerturbation": {"patch_size": 4, "regions_evaluation": 4},
    "Monotonicity": {"features_in_step": 8},
    "MonotonicityCorrelation": {"features_in_step": 16, "nr_samples": 4},
    "Selectivity": {"patch_size": 4},
    "SensitivityN": {"features_in_step": 8},
    "ROAD": {"percentages": [10, 50]},
    "Infidelity": {"perturb_patch_sizes": [4], "n_perturb_samples": 3},
    "Continuity": {"nr_steps": 3},
    "LocalLipschitzEstimate": {"nr_samples": 3},
    "MaxSensitivity": {"nr_samples": 3},
    "AvgSensitivity": {"nr_samples": 3},
    "RelativeInputStability": {"nr_samples": 3},
    "RelativeOutputStability": {"nr_samples": 3},
    "RelativeRepresentationStability": {"nr_samples": 3},
    "TopKIntersection": {"k": 10},
    "NonSensitivity": {"features_in_step": 1},
}
#: They draw weights, of which torch's are others.
REDRAWN = ("MPRT", "SmoothMPRT", "EfficientMPRT")
NAMES = {
    "faithfulness": "FaithfulnessCorrelation FaithfulnessEstimate PixelFlipping RegionPerturbation"
    " Monotonicity MonotonicityCorrelation Selectivity SensitivityN IROF ROAD Infidelity Sufficiency",
    "robustness": "Continuity LocalLipschitzEstimate MaxSensitivity AvgSensitivity Consistency"
    " RelativeInputStability RelativeOutputStability RelativeRepresentationStability",
    "localisation": "PointingGame TopKIntersection RelevanceMassAccuracy RelevanceRankAccuracy"
    " AttributionLocalisation AUC Focus",
    "complexity": "Sparseness Complexity EffectiveComplexity",
    "randomisation": "RandomLogit",
    "axiomatic": "Completeness NonSensitivity InputInvariance",
}
EQUAL = [name for names in NAMES.values() for name in names.split()]


@pytest.fixture(scope="module")
def case(torch_networks: Any) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """A network, its export, samples and targets."""
    import torch

    torch.manual_seed(3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(36, 3),
    ).eval()  # fmt: skip
    x = np.random.default_rng(0).standard_normal((N, 1, SIZE, SIZE)).astype(np.float32)
    return net, torch_networks.export(net, x), x, np.array([0, 1, 2])


def arguments(name: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    masks = np.zeros((N, 1, SIZE, SIZE), bool)
    masks[..., 2:6, 1:5] = True
    given = {"s_batch": masks} if name in NAMES["localisation"].split() else {}
    if name == "Focus":
        given = {"custom_batch": [(1, 0, 0, 0), (0, 1, 0, 1), (1, 1, 0, 0)]}
    return {"x_batch": x, "y_batch": y, "a_batch": None, "channel_first": True, **given}


def measured(quantus: Any, name: str, **given: Any) -> Any:
    parameters = dict(FEW.get(name, {}), disable_warnings=True)
    if name == "Focus":
        parameters["mosaic_shape"] = (SIZE, SIZE)
    if name not in ("MPRT", "SmoothMPRT", "EfficientMPRT", "ROAD"):
        parameters["return_aggregate"] = False
    if name == "RandomLogit":
        parameters["num_classes"] = 3
    np.random.seed(7)  # noqa: NPY002  (Quantus draws from it)
    return getattr(quantus, name)(**parameters)(**given)


def test_all_of_its_metrics_are_here(quantus: Any) -> None:
    listed = {m.__name__ for family in quantus.AVAILABLE_METRICS.values() for m in family.values()}
    assert listed == {*EQUAL, *REDRAWN}
    assert len(listed) == 37


@pytest.mark.parametrize("name", EQUAL)
def test_what_it_finds_is_what_it_finds_of_the_torch_model(name, case, torch_networks, quantus, monkeypatch):
    if not hasattr(np, "trapz"):  # Quantus 0.6 asks for it, and NumPy 2.4 has it no more
        monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    net, proto, x, y = case

    def by_torch(model: Any, inputs: Any, targets: Any, **_: Any) -> Any:
        inputs = np.asarray(inputs, np.float32)
        return inputs * torch_networks.autograd(model, inputs, targets)

    given = arguments(name, x, y)
    wanted = measured(quantus, name, model=net, explain_func=by_torch, device="cpu", **given)
    found = measured(
        quantus, name, model=ox.metrics.quantus.model(ox.Explainer(proto, device="cpu")), **given,
        explain_func=ox.metrics.quantus.explain_func, explain_func_kwargs={"method": "input_x_gradient"},
    )  # fmt: skip
    if isinstance(wanted, dict):
        assert list(wanted) == list(found)
        wanted, found = list(wanted.values()), list(found.values())
    wanted, found = np.asarray(wanted, np.float64), np.asarray(found, np.float64)
    tolerance = 0.02 if name in ("RelativeOutputStability", "RelativeInputStability") else 2e-3
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-5)


@pytest.mark.parametrize("order", ["top_down", "bottom_up", "independent"])
@pytest.mark.parametrize("name", REDRAWN)
def test_weights_are_drawn_anew(name, order, case, quantus) -> None:
    _, proto, x, y = case
    model = ox.metrics.quantus.model(ox.Explainer(proto, device="cpu"))
    few = {"skip_layers": False, **({"nr_samples": 2} if name == "SmoothMPRT" else {})}
    metric = getattr(quantus, name)(layer_order=order, disable_warnings=True, seed=5, **few)
    np.random.seed(7)  # noqa: NPY002  (Quantus draws from it)
    found = metric(
        model=model, **arguments(name, x, y), explain_func=ox.metrics.quantus.explain_func,
        explain_func_kwargs={"method": "saliency"},
    )  # fmt: skip
    layers = [layer for layer, _ in model.get_random_layer_generator(order)]
    assert len(layers) == model.random_layer_generator_length == 2
    if name == "EfficientMPRT":
        assert list(metric.explanation_scores_by_layer) == ["orig", *layers]
        assert len(found) == N
        return
    assert list(found) == ["original", *layers]
    if name == "MPRT":  # the other one draws its noise anew
        np.testing.assert_allclose(found["original"], 1, atol=1e-6)
    assert all(np.shape(scores) == (N,) and np.max(scores) < 0.999 for scores in list(found.values())[1:])


def test_a_drawn_model_is_torch_with_these_weights(case, quantus) -> None:
    """What Quantus finds by the bridge, it finds of the torch network that is given the same weights."""
    import torch

    net, proto, x, _ = case
    model = ox.metrics.quantus.model(ox.Explainer(proto, device="cpu"))
    last = list(model.get_random_layer_generator("top_down", 5))[-1][1]
    weights = last.state_dict()
    assert sorted(weights) == sorted(model.state_dict())
    assert all(not np.array_equal(w, weights[k]) for k, w in model.state_dict().items())
    twin = torch.nn.Sequential(*(type(m)(*_sizes(m)) for m in net)).eval()
    twin.load_state_dict({k: torch.from_numpy(weights[k].copy()) for k in net.state_dict()})
    np.testing.assert_allclose(last.predict(x), twin(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
    again = list(model.get_random_layer_generator("top_down", 5))[-1][1].predict(x)
    other = list(model.get_random_layer_generator("top_down", 6))[-1][1].predict(x)
    np.testing.assert_array_equal(again, last.predict(x))
    assert not np.allclose(other, again)


def _sizes(module: Any) -> tuple[Any, ...]:
    kind = type(module).__name__
    return {"Conv2d": (1, 4, 3), "MaxPool2d": (2,), "Linear": (36, 3)}.get(kind, ())


def test_a_shift_is_taken_off_again(case, quantus) -> None:
    _, proto, x, _ = case
    model = ox.metrics.quantus.model(proto)
    other = model.add_mean_shift_to_first_layer(-1.5, x[:1].shape)
    np.testing.assert_allclose(other.predict(x - 1.5), model.predict(x), atol=1e-5)
    assert not np.allclose(other.predict(x), model.predict(x), atol=1e-2)


def test_probabilities_and_scores(case, quantus, models) -> None:
    net, proto, x, _ = case
    import torch

    logits = net(torch.from_numpy(x)).detach().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    bare = ox.metrics.quantus.model(proto)
    np.testing.assert_allclose(bare.predict(x), logits, atol=1e-5)
    np.testing.assert_allclose(bare.wrapped(True, True, None).predict(x), expected, atol=1e-6)
    closed = ox.metrics.quantus.model(models.conv(softmax=True))
    images = models.random(3, 2, 8, 8)
    np.testing.assert_array_equal(
        closed.wrapped(True, True, {}).predict(images), closed.explainer.predict(images)["y"]
    )
    np.testing.assert_array_equal(
        closed.predict(images), closed.explainer._answering.inside(images, ["z"])["z"]
    )
    sure = models.make(
        """m (float[N, 4] x) => (float[N, 2] y) {
          a = MatMul(x, w)
          p = Sigmoid(a)
          q = Sub(one, p)
          y = Concat<axis = 1>(p, q)
        }""",
        w=models.random(4, 1), one=[1.0],
    )  # fmt: skip
    x = models.random(3, 4)
    with pytest.raises(TargetError, match="say probabilities=True"):
        ox.metrics.quantus.model(sure).wrapped(True, True, None).predict(x)
    told = ox.metrics.quantus.model(sure, probabilities=True)
    np.testing.assert_array_equal(told.wrapped(True, True, None).predict(x), told.predict(x))
    other = ox.metrics.quantus.model(sure, probabilities=False).wrapped(True, True, None).predict(x)
    assert (np.abs(other - told.predict(x)) > 1e-3).any()


def test_single_scores_and_channels_last(quantus, models) -> None:
    single = ox.metrics.quantus.model(models.single()).wrapped(True, True, None)
    x = models.random(5, 4)
    np.testing.assert_array_equal(single.predict(x), single.explainer.predict(x)["y"])
    last = ox.metrics.quantus.model(models.channels_last())
    images = models.random(2, 8, 8, 2)
    first = np.moveaxis(images, -1, 1)
    wrapped = last.wrapped(False, False, None)
    np.testing.assert_array_equal(wrapped.predict(first), last.explainer.predict(images)["y"])
    values = ox.metrics.quantus.explain_func(wrapped, first, [0, 1], method="saliency")
    direct = ox.metrics.quantus.explain_func(last.explainer, images, [0, 1], method="saliency")
    np.testing.assert_array_equal(values, np.moveaxis(direct, -1, 1))
    scores = quantus.PixelFlipping(features_in_step=16, disable_warnings=True)(
        model=last, x_batch=images, y_batch=np.array([0, 1]), a_batch=None, channel_first=False,
        explain_func=ox.metrics.quantus.explain_func, explain_func_kwargs={"method": "saliency"},
    )  # fmt: skip
    assert np.shape(scores) == (2, 8)


def test_hidden_representations(case, quantus) -> None:
    net, proto, x, _ = case
    model = ox.metrics.quantus.model(proto)
    theirs = quantus.PyTorchModel(net)
    np.testing.assert_allclose(
        model.get_hidden_representations(x), theirs.get_hidden_representations(x), rtol=1e-4, atol=1e-5
    )
    assert len(model.layers) == 5
    by_place = model.get_hidden_representations(x, layer_indices=[-1])
    np.testing.assert_allclose(by_place, model.predict(x))
    by_name = model.get_hidden_representations(x, layer_names=[model.layers[1]])
    np.testing.assert_allclose(
        by_name, theirs.get_hidden_representations(x, layer_names=["1"]), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(DataInputError, match="no layer 5"):
        model.get_hidden_representations(x, layer_indices=[5])
    with pytest.raises(DataInputError, match="no input or inner value 'nothing'"):
        model.get_hidden_representations(x, layer_names=["nothing"])


def test_what_does_not_fit_is_told(quantus, models) -> None:
    with pytest.raises(DataInputError, match="has 2 inputs"):
        ox.metrics.quantus.model(models.two_inputs())
    with pytest.raises(TargetError, match="'nothing'"):
        ox.metrics.quantus.model(models.mlp(), output="nothing")
    explainer = ox.Explainer(models.mlp(), device="cpu")
    model = ox.metrics.quantus.model(explainer)
    with pytest.raises(MethodError, match="model_predict_kwargs"):
        model.wrapped(True, False, {"mask": 1})
    with pytest.raises(MethodError, match="runs on 'cpu'"):
        ox.metrics.quantus.explain_func(model, models.random(2, 5), [0, 1], device="cuda:0")
