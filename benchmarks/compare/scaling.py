"""How the same work grows: with the batch, steps, masks, the side of an image, threads."""

from __future__ import annotations

import os

from benchmarks.compare.settings import Setting

__all__ = ["SCALES", "scaled_by"]

SCALES = ("batch", "steps", "masks", "side", "threads")


def scaled_by(name: str, threads: int) -> list[Setting]:
    """Return the races of one scale.

    Parameters
    ----------
    name
        One of ``SCALES``.
    threads
        How many, for all others.
    """
    if name == "batch":
        return [Setting("gradient", "resnet50", n, threads) for n in (1, 2, 4, 8, 16)]
    if name == "steps":
        return [Setting("integrated_gradients", "mobilenetv2", 1, threads, size=n) for n in (10, 25, 50, 100)]
    if name == "masks":
        return [Setting("rise", "mnist", 1, threads, size=n) for n in (500, 2000, 8000)]
    if name == "side":
        return [Setting("gradient", "resnet50", 1, threads, side=n) for n in (112, 224, 448)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [Setting("gradient", "resnet50", 1, 2**k) for k in range(cores.bit_length()) if 2**k <= cores]
