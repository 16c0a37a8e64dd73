"""zennit's composites."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.compare.cases import Case
from benchmarks.compare.helpers import torch_networks
from benchmarks.compare.peers.networks import leaf, twin
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return zennit's form of a work."""
    nets = torch_networks()
    zennit = nets.import_zennit()
    names = {
        "guided": "GuidedBackprop", "lrp_epsilon": "Epsilon", "lrp_epsilon_plus": "EpsilonPlus",
        "lrp_alpha2_beta1": "EpsilonAlpha2Beta1",
    }  # fmt: skip
    net = twin(case, setting, nets.zennit_sum(zennit))
    composite = _composite(zennit, names[setting.work], net.merged)
    relevance = setting.work != "guided"

    def run() -> Any:
        x = leaf(net, case)
        with composite.context(net) as hooked:
            scores = hooked(x)
            seed = torch.zeros_like(scores)
            seed[:, case.target] = scores.detach()[:, case.target] if relevance else 1.0
            return torch.autograd.grad(scores, x, seed)[0].numpy()

    return {f"zennit {names[setting.work]}": Entrant(run)}


def _composite(zennit: Any, name: str, merged: Any) -> Any:
    canonizers = [zennit.canonizers.NamedMergeBatchNorm(merged)] if merged else []
    if name != "Epsilon":
        passing = [] if name == "GuidedBackprop" else [(zennit.types.Activation, zennit.rules.Pass())]
        return getattr(zennit.composites, name)(canonizers=canonizers, layer_map=passing)
    rules = [
        (zennit.types.Activation, zennit.rules.Pass()),
        (zennit.layer.Sum, zennit.rules.Norm()),
        (zennit.types.AvgPool, zennit.rules.Norm()),
        (zennit.types.Linear, zennit.rules.Epsilon()),
    ]
    return zennit.composites.LayerMapComposite(rules, canonizers=canonizers)
