"""Export files of every kind, with what they must say, for runtimes of any age to run.

    python write.py FOLDER [CASE ...]

FOLDER gets ``NAME.onnx`` and ``NAME.npz`` (see ``run.py``) of the digit classifier, of its 8-bit form and of
the trained models that ``tools/fetch_models.py`` has fetched.  What a file must say is what it says
here; before, it is held to the explainer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples

ROOT = Path(__file__).resolve().parents[2]
SQUARES = np.arange(28)[:, None] // 7 * 4 + np.arange(28) // 7
QUARTER = {"sliding_window_shapes": (1, 7, 7), "strides": (1, 7, 7)}
GAMES = {"feature_mask": SQUARES[None], "baselines": -0.1}  # which no square has: all play

#: Files of the digit classifier: what ``export`` is told.
DIGITS: dict[str, dict[str, Any]] = {
    **{
        f"walk_{m}": {"method": m}
        for m in ("saliency", "lrp", "deep_lift", "guided_backprop", "excitation_backprop")
    },
    "walk_composite": {"method": ox.LRP("epsilon_alpha2_beta1_flat")},
    "walk_cpu_form": {"method": "lrp", "form": "cpu"},
    **{
        f"map_{m}": {"method": m} for m in ("grad_cam", "layer_cam", "eigen_cam", "score_cam", "ablation_cam")
    },
    "map_eigen_cam_centred": {"method": ox.EigenCam(center=True)},
    "loop_integrated_gradients": {"method": ox.IntegratedGradients(n_steps=20), "steps_at_once": 5},
    "loop_smooth_grad": {"method": ox.SmoothGrad(n_samples=5)},
    "loop_occlusion": {"method": ox.Occlusion(**QUARTER), "steps_at_once": 4},
    "loop_kernel_shap": {"method": ox.KernelShap(n_samples=40), **GAMES},
    "loop_lime": {"method": ox.Lime(n_samples=40), **GAMES},
    "loop_rise": {"method": ox.RISE(n_masks=20)},
    "nested": {"method": ox.SmoothGrad(ox.IntegratedGradients(n_steps=3), n_samples=3)},
    "several": {"method": ["saliency", "lrp", ox.IntegratedGradients(n_steps=4)]},
    "top_k": {"method": "lrp", "top_k": 3},
    "predicted": {"method": ox.IntegratedGradients(n_steps=4), "target": "predicted"},
    "opset_13": {"method": ox.Occlusion(**QUARTER), "target_opset": 13},
    "opset_11": {"method": "grad_cam", "target_opset": 11},
    "opset_21": {"method": ["lrp", ox.IntegratedGradients(n_steps=4)], "target_opset": 21},
}

#: Trained models: methods of which files are made, and the opset of the file if it is not the model's.
TRAINED: dict[str, list[tuple[Any, int | None]]] = {
    "mobilenetv2": [("lrp", None), (ox.IntegratedGradients(n_steps=2), None), ("saliency", 21)],
    "minilm_int8": [("input_x_gradient", None), (ox.IntegratedGradients(n_steps=2), None)],
    "movie_review": [("lrp", None), (ox.IntegratedGradients(n_steps=4), 21)],
    "silero_op15": [("saliency", None)],
    "lac": [("input_x_gradient", None)],
}

Made = Callable[[Path], tuple[Path, list[dict[str, np.ndarray]], Any]]


def main() -> None:
    """Write all files, or those that are named."""
    folder, named = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in cases():
        if not named or name in named:
            path, feeds, model = make(folder / f"{name}.onnx")
            keep(path, feeds, model, DIGITS.get(name, {}).get("feature_mask"))


def cases() -> Iterator[tuple[str, Made]]:
    """Yield names and what makes a file."""
    for name, options in DIGITS.items():
        yield name, lambda path, options=options: digits(path, digits_model_path(), options)
    yield "images", images
    yield "int8", lambda path: digits(path, quantised(path.parent), {"method": ["lrp", "saliency"]})
    sys.path.insert(0, str(ROOT / "tools"))
    import real_inputs  # it needs packages that not all have

    for model, asked in TRAINED.items():
        try:
            real = real_inputs.load(model)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            print(f"{model} is left out: {error}")
            continue
        for method, opset in asked:
            label = ox.method(method).name + (f"_opset_{opset}" if opset else "")
            yield (
                f"{model}_{label}",
                lambda path, real=real, method=method, opset=opset: trained(path, real, method, opset),
            )


def digits(path: Path, model: Any, options: dict[str, Any]) -> tuple[Path, list[Any], Any]:
    """Export the digit classifier; three runs of different length, of different classes."""
    made = ox.export(model, path, **options)
    pictures, labels = digits_samples()
    runs = []
    for start, count, turn in ((3, 2, 0), (0, 1, 4), (5, 4, 1)):
        feeds = {"image": pictures[start : start + count]}
        if "target" in made.inputs:
            feeds["target"] = (labels[start : start + count] + turn) % 10
        runs.append(feeds)
    return path, runs, model


def images(path: Path) -> tuple[Path, list[Any], None]:
    """Export the digit classifier behind its preprocessing; images of several sizes."""
    plan = ox.Preprocessing(size=(28, 28), channels=1, mean=(0.13,), std=(0.31,))
    ox.export(digits_model_path(), path, method="lrp", preprocessing=plan, target="predicted")
    rng = np.random.default_rng(0)
    sizes = ((2, 40, 30, 1), (1, 28, 28, 1), (3, 20, 50, 1))
    return path, [{"image": rng.integers(0, 256, size, np.uint8)} for size in sizes], None


def quantised(folder: Path) -> Path:
    """Quantise the digit classifier to 8 bits, as onnxruntime does it."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter([{"image": digits_samples()[0][:10]}])

        def get_next(self) -> Any:
            return next(self.left, None)

    path = folder / "digits_int8"
    quantization.quantize_static(
        str(digits_model_path()), str(path), Reader(), weight_type=quantization.QuantType.QInt8,
        reduce_range=True,  # products of 7 bits, which no processor saturates
    )  # fmt: skip
    return path


def trained(path: Path, real: Any, method: Any, opset: int | None) -> tuple[Path, list[Any], Any]:
    """Export a trained model; its real input, twice over."""
    made = ox.export(real.path, path, method=method, output=real.output, target_opset=opset)
    feeds, count = dict(real.feeds), len(next(iter(real.feeds.values())))
    if "target" in made.inputs:
        index = real.target[1:] if len(real.target) > 2 else real.target[-1]
        feeds["target"] = np.array([index] * count)
    return path, [feeds], real.path


def keep(path: Path, runs: list[dict[str, np.ndarray]], model: Any, mask: Any) -> None:
    """Hold a file to the explainer, and keep what it says."""
    if model is not None:
        for feeds in runs:
            # the model itself rounds to 8 bits by other kernels than the file, one step up or down
            step = 2 / 255 if path.stem.endswith("int8") else 1e-4
            held = ox.verify(path, model, feeds, feature_mask=mask, tolerance=step)
            assert held, f"{path.name}: {held.differences[0]}"
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    kept: dict[str, np.ndarray] = {}
    for k, feeds in enumerate(runs):
        found = dict(zip(names, session.run(names, feeds), strict=True))
        kept |= {f"{k}/in/{name}": value for name, value in feeds.items()}
        kept |= {f"{k}/out/{name}": value for name, value in found.items()}
    np.savez(path.with_suffix(".npz"), **kept)


if __name__ == "__main__":
    main()
