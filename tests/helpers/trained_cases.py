"""Four trained models (an image, texts, sound, a quantised one), and what every method is given on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from every_method import few, given
from onnxruntime.quantization import QuantType, quantize_dynamic

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.methods import OnePass

__all__ = ["CASES", "Case", "digits"]


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

    def fed(self, made: ox.Exported) -> dict[str, np.ndarray]:
        """Return what a file takes."""
        feeds = {k: v for k, v in self.feeds.items() if k in made.inputs}
        if "target" in made.inputs:
            feeds["target"] = np.array([self.target] * len(next(iter(self.feeds.values()))))
        return feeds

    def export(self, path: Path, method: ox.Method, options: Mapping[str, Any]) -> ox.Exported:
        """Write a file, of fixed lengths where noise and players need them; any number of samples stays."""
        lengths = None if isinstance(method, OnePass) else self.lengths or None
        return ox.export(self.model, path, method=method, shapes=lengths, **options)

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


def digits() -> Case:
    """Return the small network that comes with the package, and its first picture."""
    images, labels = digits_samples()
    place = np.arange(28) // 7
    sampled = ("kernel_shap", "regression_adjusted_shapley", "partition_shap")
    quarters = (place[:, None] // 2 * 2 + place // 2)[None]
    players = [name for name, kind in ox.METHODS.items() if kind.takes_players and kind.takes_baselines]
    return Case(
        onnx.load(digits_model_path()), {"image": images[3:4]}, "probabilities", int(labels[3]),
        players=(place[:, None] * 4 + place)[None],
        rows=images[:3],
        parameters={
            "": {"sliding_window_shapes": (1, 7, 7), "strides": (1, 7, 7)},
            "integrated_gradients": {"n_steps": 50},
            **{name: {"n_samples": 200} for name in sampled},
            "layer_activation": {"layer": "widen_relu"},
        },
        baselines=dict.fromkeys(players, -0.1),  # no player brings what would stand there without him
        options={m: {"feature_mask": quarters} for m in ("exact_shapley", "shapley_interactions")},
        refused={"attention_rollout": "no attention lies between"},
    )  # fmt: skip


CASES: dict[str, Callable[[Any, Any], Case]] = {
    "image": _image, "text": _text, "recurrent": _recurrent, "quantised": _quantised,
}  # fmt: skip
