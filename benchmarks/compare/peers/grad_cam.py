"""pytorch-grad-cam."""

from __future__ import annotations

import copy
from typing import Any

import torch

from benchmarks.compare.cases import Case
from benchmarks.compare.helpers import torch_networks
from benchmarks.compare.peers.networks import twin
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return its Grad-CAM."""
    net = copy.deepcopy(twin(case, setting))  # its hooks stay
    made = torch_networks().import_grad_cam().GradCAM(model=net, target_layers=[net.last_with_space()])
    targets = [lambda scores: scores[case.target]] * len(case.x)

    def run() -> Any:
        return made(torch.from_numpy(case.x).requires_grad_(), targets)

    return {"pytorch-grad-cam GradCAM": Entrant(run)}
