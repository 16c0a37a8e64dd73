"""Integrated gradients beside Captum's, with the same points on the path.

    python benchmarks/path.py [--models mobilenet_v2 resnet50] [--steps 50] [--batch 8] [--threads 2]

Both take the same quadrature (Gauss-Legendre) and the same internal batch; the black image is the baseline.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from models import MODELS
from one_pass import TARGET, difference, session
from timing import interleaved, table, write_json

import onnxplain as ox

OURS, CAPTUM, UNIT = "onnxplain IntegratedGradients", "Captum IntegratedGradients", "onnxruntime forward"


def main() -> None:
    """Print one table per model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=[*MODELS], default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for name in args.models:
        model = MODELS[name]()
        x = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
        plain = session(model.SerializeToString(), args.threads)
        explainer = ox.Explainer(model, device="cpu", threads=args.threads)
        options: dict[str, Any] = {"n_steps": args.steps, "internal_batch_size": args.batch}
        jobs = {
            UNIT: lambda s=plain, x=x: s.run(None, {"input": x}),
            OURS: lambda e=explainer, x=x, o=options: e(x, TARGET, "ig", **o).values,
        }
        try:
            import torch
            from captum.attr import IntegratedGradients
            from torch_models import twin

            torch.set_num_threads(args.threads)
            peer, image = IntegratedGradients(twin(name, model)), torch.from_numpy(x)
            jobs[CAPTUM] = lambda p=peer, i=image, o=options: p.attribute(i, target=TARGET, **o).numpy()
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed: its rows are left out")
        title = f"{name}, {args.steps} steps, internal batch {args.batch}, {args.threads} threads"
        results[name] = table(title, interleaved(jobs, args.repeats), UNIT)
        if CAPTUM in jobs:
            off = results[name][OURS]["difference"] = difference(jobs[OURS](), jobs[CAPTUM]())
            print(f"they agree to {off:.1e}")
    write_json(
        args.json, {"threads": args.threads, "steps": args.steps, "batch": args.batch, "models": results}
    )


if __name__ == "__main__":
    main()
