"""The package saliency (PAIR), with gradients by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from saliency import core

from benchmarks.compare.cases import Case
from benchmarks.compare.peers.networks import twin
from benchmarks.compare.settings import Entrant, Setting
from benchmarks.compare.works import WORKS

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return its gradient or SmoothGrad, which take one image at a time, channels last."""
    net = twin(case, setting)

    def gradients(images: Any, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, Any]:
        given = np.ascontiguousarray(np.moveaxis(np.asarray(images, np.float32), -1, 1))
        x = torch.from_numpy(given).requires_grad_()
        (made,) = torch.autograd.grad(net(x)[:, case.target].sum(), x)
        return {"INPUT_OUTPUT_GRADIENTS": np.moveaxis(made.numpy(), 1, -1)}

    method = core.GradientSaliency()
    options = {
        "stdev_spread": 0.15,
        "nsamples": setting.size or WORKS["smooth_grad"].size,
        "magnitude": False,
    }

    def each(mask: Callable[..., Any], **given: Any) -> Callable[[], Any]:
        return lambda: np.stack([
            np.moveaxis(mask(np.moveaxis(row, 0, -1), gradients, **given), -1, 0) for row in case.x
        ])  # fmt: skip

    if setting.work == "gradient":
        return {"saliency GradientSaliency": Entrant(each(method.GetMask))}
    return {"saliency SmoothedMask": Entrant(each(method.GetSmoothedMask, **options))}
