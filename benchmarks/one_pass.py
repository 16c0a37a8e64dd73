"""Methods that are one walk back, beside the peers, as multiples of onnxruntime's forward pass.

    python benchmarks/one_pass.py [--models resnet50 vgg16] [--threads 2] [--repeats 7] [--json FILE]

Batch 1, 224 x 224, random weights.  All rows explain the same function: PyTorch's twins load the weights of
the ONNX graph, and the lines "agrees with" say how well.  Without PyTorch its rows are left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from models import MODELS
from timing import interleaved, table, write_json

import onnxplain as ox

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

TARGET = 3
FORWARD = "onnxruntime forward"

METHODS: dict[str, dict[str, Any]] = {
    "gradient": {"method": "saliency", "abs": False},
    "guided": {"method": "guided_backprop"},
    "LRP epsilon": {"method": "lrp", "composite": "epsilon"},
    "LRP epsilon_plus": {"method": "lrp", "composite": "epsilon_plus"},
    "LRP epsilon_plus_flat": {"method": "lrp", "composite": "epsilon_plus_flat"},
    "LRP epsilon_alpha2_beta1": {"method": "lrp", "composite": "epsilon_alpha2_beta1"},
    "LRP epsilon_gamma_box": {"method": "lrp", "composite": "epsilon_gamma_box", "low": -5.0, "high": 5.0},
    "DeepLift": {"method": "deep_lift"},
}

#: Which of our rows computes the same as which of the peers'.
PAIRS = {
    "onnxplain gradient": "torch forward + autograd",
    "onnxplain LRP epsilon_plus": "zennit EpsilonPlus",
    "onnxplain LRP epsilon_plus_flat": "zennit EpsilonPlusFlat",
    "onnxplain LRP epsilon_alpha2_beta1": "zennit EpsilonAlpha2Beta1",
    "onnxplain LRP epsilon_gamma_box": "zennit EpsilonGammaBox",
    "onnxplain DeepLift": "Captum DeepLift",
}


def session(model: bytes | str, threads: int) -> ort.InferenceSession:
    """Return an onnxruntime session on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ours(model: onnx.ModelProto, x: Any, threads: int, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return onnxruntime's forward, and the exported graph of each method."""
    plain = session(model.SerializeToString(), threads)
    jobs: dict[str, Callable[[], Any]] = {FORWARD: lambda: plain.run(None, {"input": x})[0]}
    target = np.array([TARGET])
    for name, parameters in METHODS.items():
        path = folder / "explained.onnx"
        ox.export(model, path, **parameters)
        made = session(str(path), threads)
        jobs[f"onnxplain {name}"] = lambda s=made: s.run(
            ["attribution/input"], {"input": x, "target": target}
        )[0]
    explainer = ox.Explainer(model, device="cpu", threads=threads)
    jobs["onnxplain gradient, Explainer call"] = lambda: explainer(x, TARGET, "saliency", abs=False).values
    return jobs


def peers(name: str, model: onnx.ModelProto, x: Any, threads: int) -> dict[str, Callable[[], Any]]:
    """Return what torch, Captum and zennit do with the twin."""
    import torch
    from torch_models import has, twin

    torch.set_num_threads(threads)
    image = torch.from_numpy(x)
    net = twin(name, model)

    def forward() -> Any:
        with torch.no_grad():
            return net(image).numpy()

    def gradient() -> Any:
        leaf = image.clone().requires_grad_()
        return torch.autograd.grad(net(leaf)[:, TARGET].sum(), leaf)[0].numpy()

    jobs: dict[str, Callable[[], Any]] = {"torch forward": forward, "torch forward + autograd": gradient}
    if has("captum"):
        from captum import attr

        methods = {
            "Saliency": attr.Saliency, "GuidedBackprop": attr.GuidedBackprop, "DeepLift": attr.DeepLift
        }  # fmt: skip
        if name == "vgg16":  # Captum's LRP has no rule for the sums of residual blocks
            methods["LRP (epsilon)"] = attr.LRP
        made = {label: method(net) for label, method in methods.items()}
        for label, peer in made.items():
            jobs[f"Captum {label}"] = lambda p=peer: (
                p.attribute(image.clone().requires_grad_(), target=TARGET).detach().numpy()
            )
    if has("zennit"):
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
        from torch_networks import import_zennit, zennit_sum

        zennit = import_zennit()
        other = twin(name, model, add=zennit_sum(zennit)) if name != "vgg16" else net
        canonizers = [zennit.canonizers.SequentialMergeBatchNorm()]
        composites = {
            "EpsilonPlus": {}, "EpsilonPlusFlat": {}, "EpsilonAlpha2Beta1": {},
            "EpsilonGammaBox": {"low": -5.0, "high": 5.0},
        }  # fmt: skip

        def relevance(composite: Any) -> Any:
            leaf = image.clone().requires_grad_()
            with composite.context(other) as hooked:
                score = hooked(leaf)
                seed = torch.zeros_like(score)
                seed[:, TARGET] = score.detach()[:, TARGET]
                return torch.autograd.grad(score, leaf, seed)[0].numpy()

        for label, options in composites.items():
            made_of = getattr(zennit.composites, label)(canonizers=canonizers, **options)
            jobs[f"zennit {label}"] = lambda c=made_of: relevance(c)
    return jobs


def difference(a: Any, b: Any) -> float:
    """Return the largest difference, relative to the largest value."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def main() -> None:
    """Print one table per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=[*MODELS], default=["resnet50", "vgg16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for name in args.models:
        model = MODELS[name]()
        x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            jobs = ours(model, x, args.threads, Path(folder))
        try:
            jobs |= peers(name, model, x, args.threads)
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed: its rows are left out")
        rows = table(f"{name}, {args.threads} threads", interleaved(jobs, args.repeats), FORWARD)
        for mine, theirs in PAIRS.items():
            if theirs in jobs:
                off = rows[mine]["difference"] = difference(jobs[mine](), jobs[theirs]())
                print(f"{mine} agrees with {theirs} to {off:.1e}")
        results[name] = rows
    write_json(args.json, {"threads": args.threads, "repeats": args.repeats, "models": results})


if __name__ == "__main__":
    main()
