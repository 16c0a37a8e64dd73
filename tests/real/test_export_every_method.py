"""Every method on four trained models: its file says what the explainer says, or why there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from doubles import run_in_doubles
from every_method import REFUSED, few, given
from onnxruntime.quantization import QuantType, quantize_dynamic

import onnxplain as ox
from onnxplain.errors import OnnxplainError

pytestmark = pytest.mark.models


@dataclass(frozen=True)
class Case:
    """A trained model, and what its methods are given; files have the lengths of its feeds.

    Attributes
    ----------
    model, feeds
        What is exported, and run.
    output, target
        What is explained.
    players, rows
        Who plays; a background.
    parameters
        Of methods, by name, where they have them: a layer, a window, axes.
    baselines
        By method, where 0 would not do.
    refused
        What the model has no use for, by method: why; the explainer says the same.
    options
        What else the explainer and ``export`` are told, by method.
    lengths
        Of the model's open axes but the batch, by name.
    """

    model: onnx.ModelProto
    feeds: Mapping[str, np.ndarray]
    output: str
    target: Any
    players: Any
    rows: np.ndarray
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)

    def export(self, path: Path, method: ox.Method, options: Mapping[str, Any]) -> ox.Exported:
        """Write a file of fixed lengths, as noise and players need them; any number of samples stays."""
        return ox.export(self.model, path, method=method, shapes=self.lengths or None, **options)

    def arguments(self, name: str) -> tuple[ox.Method, dict[str, Any]]:
        """Return a method, and what goes with it."""
        method = few(name, **{"n_steps": 3, "n_masks": 6, "n_samples": 8, "n_repeats": 1, "npermutations": 1}
                     | dict(self.parameters.get("", {})) | dict(self.parameters.get(name, {})))  # fmt: skip
        options = given(method, players=self.players, rows=self.rows, baseline=self.baselines.get(name))
        return method, {"output": self.output, **options, **self.options.get(name, {})}


def _image(real_model: Any, folder: Any) -> Case:
    real = real_model("mobilenetv2")
    feeds, place = dict(real.feeds), np.arange(224) // 112
    few_channels = {"layer": "mobilenetv20_features_linearbottleneck1_conv2_fwd"}  # 24, each worth something
    window = {"sliding_window_shapes": (3, 112, 112), "strides": (3, 112, 112)}
    return Case(
        onnx.load(real.path), feeds, real.output, real.target[-1],
        players=place[:, None] * 2 + place,
        rows=np.concatenate([np.roll(feeds["data"], k, -1) for k in (3, 9)]),
        parameters={
            "": {**window, "grid_size": 2},
            **dict.fromkeys(("score_cam", "ablation_cam"), few_channels),
            "layer_activation": {"layer": "mobilenetv20_features_linearbottleneck5_relu0_fwd"},
        },
        refused={"attention_rollout": "no attention lies between"},
    )  # fmt: skip


def _text(real_model: Any, folder: Any) -> Case:
    real = real_model("minilm")
    feeds = {k: v[:2] for k, v in real.feeds.items()}
    mask_token, embedding = 103, "/model/model.0/auto_model/embeddings/word_embeddings/Gather_output_0"
    # A token's number is the sum over its embedding, and the normalisation behind makes sums of gradients 0:
    # what is left are last digits, so that these are compared at the embedding itself.
    vanishing = (
        "guided_backprop", "deconvolution", "beta_smooth", "smooth_grad", "guided_grad_cam",
        "internal_influence", "neuron_gradient",
    )  # fmt: skip
    players = [name for name, kind in ox.METHODS.items() if kind.takes_players and kind.takes_baselines]
    tokens = "holds tokens, of which a file holds no background"
    return Case(
        onnx.load(real.path), feeds, real.output, 0,
        players={"input_ids": np.arange(11) // 3},
        rows=np.roll(real.feeds["input_ids"], 1, axis=1), lengths={"sequence_length": 11},
        parameters={"": {"sliding_window_shapes": 3, "strides": 3}, "layer_activation": {"layer": embedding},
                    "blur_ig": {"axes": 1}},
        baselines=dict.fromkeys(players, mask_token),
        options={name: {"wrt": embedding} for name in vanishing},
        refused={
            "cam": "looks for global average pooling",
            "visual_backprop": "is for networks with Conv",
            "sobol_indices": "soft masks mix values with baselines, floats only",
            "expected_gradients": tokens, "gradient_shap": tokens, "deep_lift_shap": tokens,
        },
    )  # fmt: skip


def _recurrent(real_model: Any, folder: Any) -> Case:
    real = real_model("silero_half")
    sound = real.feeds["input"]
    return Case(
        onnx.load(real.path), dict(real.feeds), real.output, real.target[-1],
        players={"input": np.arange(sound.shape[1]) // 144},
        rows=np.concatenate([np.roll(sound, k, -1) for k in (7, 90)]), lengths={"sequence": 576},
        parameters={
            "": {"sliding_window_shapes": 144, "strides": 144},
            "layer_activation": {"layer": "/encoder/1/activation/Relu_output_0"},
            "blur_ig": {"axes": 1},
        },
        # At silence, the square root of the spectrum's power has an infinite slope.
        baselines=dict.fromkeys(("idgi", "layer_conductance"), np.float32(0.01) * np.sin(np.arange(576))),
        refused={
            "cam": "looks for global average pooling",
            "visual_backprop": "has no rule for",
            "attention_rollout": "no attention lies between",
        },
    )  # fmt: skip


def _quantised(real_model: Any, folder: Any) -> Case:
    real, path = real_model("movie_review"), folder / "int8.onnx"
    logging.disable(logging.WARNING)
    # 7 bits: products of 8 saturate where there is no VNNI, in fused kernels other than in plain ones
    quantize_dynamic(real.path, path, weight_type=QuantType.QInt8, reduce_range=True)
    logging.disable(logging.NOTSET)
    tokens = "holds tokens, of which a file holds no background"
    ids = real.feeds["input"]
    return Case(
        onnx.load(path), dict(real.feeds), real.output, None,
        players={"input": np.arange(ids.shape[1]) // 5},
        rows=np.concatenate([np.roll(ids, k, axis=1) for k in (1, 4)]),
        lengths={"sentence_length": ids.shape[1]},
        parameters={"": {"sliding_window_shapes": 5, "strides": 5}, "layer_activation": {"layer": "13"},
                    "blur_ig": {"axes": 1}},
        refused={
            "cam": "looks for global average pooling",
            "attention_rollout": "no attention lies between",
            "sobol_indices": "soft masks mix values with baselines, floats only",
            "expected_gradients": tokens, "gradient_shap": tokens, "deep_lift_shap": tokens,
        },
    )  # fmt: skip


CASES: dict[str, Callable[[Any, Any], Case]] = {
    "image": _image, "text": _text, "recurrent": _recurrent, "quantised": _quantised,
}  # fmt: skip

#: Where float32 itself is worse than 1e-5: neither is nearer to float64 than this (shown below).
BOUNDS = {("image", "deep_lift"): 3e-4}


@pytest.fixture(scope="module")
def opened(real_model, tmp_path_factory) -> Any:
    """Return a function that gives a case, and its explainer."""
    made: dict[str, tuple[Case, ox.Explainer]] = {}

    def get(name: str) -> tuple[Case, ox.Explainer]:
        if name not in made:
            made.clear()  # one at a time
            case = CASES[name](real_model, tmp_path_factory.mktemp(name))
            made[name] = case, ox.Explainer(case.model)
        return made[name]

    return get


@pytest.mark.parametrize("name", ox.METHODS)
@pytest.mark.parametrize("kind", CASES)
def test_a_file_or_a_reason(kind, name, opened, tmp_path) -> None:
    case, explainer = opened(kind)
    method, options = case.arguments(name)
    path = tmp_path / "made.onnx"
    if name in REFUSED or name in case.refused:
        with pytest.raises(OnnxplainError, match=REFUSED.get(name) or case.refused[name]) as refusal:
            case.export(path, method, options)
        assert not path.exists()
        if name not in REFUSED and "of which a file" not in str(refusal.value):
            with pytest.raises(OnnxplainError, match=case.refused[name]):
                explainer(case.feeds, case.target, method, **options)
        return
    made = case.export(path, method, options)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    feeds = {k: v for k, v in case.feeds.items() if k in made.inputs}
    if "target" in made.inputs:
        feeds["target"] = np.array([case.target] * len(next(iter(case.feeds.values()))))
    found = dict(zip(made.outputs, session.run(list(made.outputs), feeds), strict=True))
    expected = explainer(case.feeds, case.target, method, **options)
    for of, values in expected.arrays.items():
        scale = float(np.abs(values).max())
        assert scale > 0
        bound = BOUNDS.get((kind, name), 1e-5) * scale
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=bound)


@pytest.mark.parametrize(("kind", "name"), BOUNDS)
def test_float32_bounds_both(kind, name, opened, tmp_path) -> None:
    """Both are as far from float64 as each other, or the file is nearer; no agreement could be better."""
    case, explainer = opened(kind)
    method, options = case.arguments(name)
    path = case.export(tmp_path / "made.onnx", method, options).path
    feeds = {**case.feeds, "target": np.array([case.target])}
    (found,) = ort.InferenceSession(str(path)).run(["attribution/data"], feeds)
    exact = run_in_doubles(path, feeds)["attribution/data"]
    explained = explainer(case.feeds, case.target, method, **options).values
    errors = [float(np.abs(v - exact).max() / np.abs(exact).max()) for v in (found, explained)]
    assert 1e-5 < errors[1] < BOUNDS[kind, name]
    assert errors[0] < max(errors[1], 1e-5)
