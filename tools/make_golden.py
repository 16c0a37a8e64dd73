"""Write the golden files: what Captum, zennit and shap attribute on tiny networks, for tests without PyTorch.

    python tools/make_golden.py [--out tests/golden]

Needs the extra ``conformance``.  Each file holds ``model`` (the bytes of an ONNX file, from ``x`` to ``y``),
``x`` (n, ...), ``targets`` (n,), ``references`` (m, ...), and one array like ``x`` per method, named
``peer:method``.  What takes one baseline for each row takes the first n references.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import shap
import torch
from captum import attr
from torch import nn

ROOT = Path(__file__).parents[1]
STEPS = 12
REFERENCES = 6

sys.path.insert(0, str(ROOT / "tests" / "helpers"))
networks: Any = importlib.import_module("torch_networks")
zennit = networks.import_zennit()


class Convolutional(nn.Sequential):
    """(N, 2, 8, 8) to (N, 3)."""

    shape = (2, 8, 8)

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3),
        )  # fmt: skip


class Residual(nn.Sequential):
    """(N, 2, 9, 9) to (N, 3)."""

    shape = (2, 9, 9)

    def __init__(self, add: type[nn.Module] = networks.Add) -> None:
        stem = nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU()
        blocks = networks.Block(3, 3, 1, add), networks.Block(3, 4, 2, add)
        super().__init__(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


class Attention(nn.Module):
    """(N, 4, 8) to (N, 3)."""

    shape = (4, 8)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 8, activation="gelu", batch_first=True)
        self.end = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.end(self.layer(x).mean(1))


#: By name, and what distinguishes several of one: the composite's options.
COMPOSITES: dict[str, dict[str, Any]] = {
    "epsilon_plus": {},
    "epsilon_plus_flat": {},
    "epsilon_alpha2_beta1": {},
    "epsilon_alpha2_beta1_flat": {},
    "epsilon_gamma_box": {"low": -5.0, "high": 6.0},
    "epsilon_gamma_box:channels": {"low": (-5.0, -4.5), "high": (5.0, 6.0)},
    "guided_backprop": {},
    "deconvnet": {},
    "beta_smooth": {},
    "excitation_backprop": {"zero_params": ["bias"]},
    "excitation_backprop:bias": {},
}

TINY: dict[str, Any] = {"convolutional": Convolutional, "residual": Residual, "attention": Attention}


def by_captum(net: nn.Module, x: torch.Tensor, targets: torch.Tensor, *, guided: bool) -> dict[str, Any]:
    """Ask Captum; what it hooks goes one row at a time."""
    found = {
        "Saliency": attr.Saliency(net).attribute(x.clone().requires_grad_(), targets),
        "InputXGradient": attr.InputXGradient(net).attribute(x.clone().requires_grad_(), targets),
    }
    for rule in ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle"):
        ig = attr.IntegratedGradients(net).attribute(x, 0.1, targets, n_steps=STEPS, method=rule)
        found[f"IntegratedGradients:{rule}"] = ig
    for method in (attr.GuidedBackprop, attr.Deconvolution) if guided else ():
        rows = [
            method(net).attribute(x[k : k + 1].clone().requires_grad_(), targets[k : k + 1])
            for k in range(len(x))
        ]
        found[method.__name__] = torch.cat(rows)
    return {f"captum:{k}": v.detach().numpy().astype(np.float32) for k, v in found.items()}


def by_zennit(name: str, x: Any, targets: Any) -> dict[str, Any]:
    """Ask zennit."""
    layer = {"add": networks.zennit_sum(zennit)} if name == "residual" else {}
    net = networks.network(name, **layer)
    return {
        f"zennit:{key}": networks.zennit_walk(
            net,
            networks.zennit_composite(zennit, key.partition(":")[0], **options),
            x,
            targets,
            relevance=key.startswith("epsilon"),
        )
        for key, options in COMPOSITES.items()
    }


def by_references(net: nn.Module, x: Any, references: Any, targets: Any) -> dict[str, Any]:
    """Ask Captum and shap for what compares activations with those of references."""
    explained, _ = networks.shap_deep_explainer(shap, net, x, references)
    found = {
        "captum:DeepLift": networks.captum_deep_lift(attr, net, x, references[: len(x)], targets),
        "captum:DeepLiftShap": networks.captum_deep_lift_shap(attr, net, x, references, targets),
        "shap:DeepExplainer": np.stack([explained[k, ..., target] for k, target in enumerate(targets)]),
    }
    return {k: v.astype(np.float32) for k, v in found.items()}


def main() -> None:
    """Write one file per network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "golden")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    networks.NETWORKS.update(TINY)
    targets = np.array([2, 0])
    for name in TINY:
        net = networks.network(name)
        x = networks.sample(net, len(targets))
        references = 0.5 * networks.sample(net, REFERENCES, seed=5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Captum's remarks on hooks
            found = by_captum(net, torch.from_numpy(x), torch.from_numpy(targets), guided=name != "attention")
            if name != "attention":  # softmax, normalisations and products, which these do not know
                found |= by_zennit(name, x, targets) | by_references(net, x, references, targets)
        content = np.frombuffer(networks.export(net, x).SerializeToString(), np.uint8)
        path = out / f"{name}.npz"
        given = {"model": content, "x": x, "targets": targets, "references": references}
        np.savez_compressed(path, **given, **found)
        print(f"{path}: {len(found)} attributions, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
