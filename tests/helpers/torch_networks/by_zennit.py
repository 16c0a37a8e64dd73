"""What zennit makes of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from torch_networks.stand_in import torchvision_or_stand_in


def import_zennit() -> Any:
    """Import zennit, with a stand-in for torchvision (it needs its names alone) where that does not load."""
    torchvision_or_stand_in()
    import zennit.canonizers
    import zennit.composites
    import zennit.core
    import zennit.layer
    import zennit.rules
    import zennit.types

    return zennit


def zennit_sum(zennit: Any) -> type[nn.Module]:
    """A sum of two as the layer that zennit's composites give the rule Norm: relevance in proportion."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sum = zennit.layer.Sum()

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.sum(torch.stack([x, y], dim=-1))

    return Sum


class Shortcut(nn.Module):
    """A block of an EfficientNet whose residual sum is a layer."""

    def __init__(self, block: Any, add: type[nn.Module]) -> None:
        super().__init__()
        self.block, self.add = block, add()
        block.id_skip = False

    def forward(self, x: torch.Tensor, drop_connect_rate: float | None = None) -> torch.Tensor:
        return self.add(self.block(x), x)


def with_sums(net: Any, add: type[nn.Module]) -> list[tuple[tuple[str], str]]:
    """Make the residual sums of an EfficientNet layers; return what is merged into what, by name."""
    for k, block in enumerate(net._blocks):
        args = block._block_args
        if block.id_skip and args.stride == 1 and args.input_filters == args.output_filters:
            net._blocks[k] = Shortcut(block, add)
    after = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
    after |= {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    names = (name.rpartition(".") for name, _ in net.named_modules())
    return [((f"{a}{dot}{b}",), f"{a}{dot}{after[b]}") for a, dot, b in names if b in after]


def zennit_composite(zennit: Any, name: str, merged: Any = (), **options: Any) -> Any:
    """A composite of zennit's, batch normalisations merged before; tuples are one value per channel.

    ``merged`` pairs names of layers and normalisations, where these are not neighbours in a ``Sequential``.
    """
    options = {
        k: torch.tensor(v).reshape(1, -1, 1, 1) if isinstance(v, tuple) else v for k, v in options.items()
    }
    made = zennit.canonizers
    canonizers = [made.NamedMergeBatchNorm(merged) if merged else made.SequentialMergeBatchNorm()]
    return zennit.composites.COMPOSITES[name](canonizers=canonizers, **options)


def zennit_walk(net: nn.Module, composite: Any, x: Any, targets: Any, *, relevance: bool) -> Any:
    """What zennit attributes, one row at a time; relevance starts from the score, gradients from one.

    A batch normalisation that zennit merged still divides by ``sqrt(1 + eps)``; here it is left as nothing.
    """
    net = copy.deepcopy(net)
    rows = []
    with composite.context(net) as hooked:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and (module.running_var == 1).all():
                module.eps = 0.0
        for row, target in zip(torch.from_numpy(x), targets, strict=True):
            leaf = row[None].requires_grad_()
            y = hooked(leaf)
            seed = torch.zeros_like(y)
            seed[0, target] = y[0, target].detach() if relevance else 1.0
            rows.append(torch.autograd.grad(y, leaf, seed)[0].numpy())
    return np.concatenate(rows)
