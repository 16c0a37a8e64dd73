"""What Captum's and shap's DeepLIFT make of them."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn


class Copy(nn.Module):
    """What it is given, as a new tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone()


def apart(net: nn.Module) -> nn.Module:
    """The network, with a copy in front of every max pooling."""
    net = copy.deepcopy(net)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
                setattr(module, name, nn.Sequential(Copy(), child))
    return net


def adding_unpool(
    values: torch.Tensor, indices: torch.Tensor, size: Any, stride: Any, padding: Any, shape: Any
) -> torch.Tensor:
    """``max_unpool`` that adds up what several windows hand to one place, where PyTorch's keeps the last."""
    made = values.new_zeros(tuple(shape)).flatten(2)
    return made.scatter_add(2, indices.flatten(2), values.flatten(2)).reshape(tuple(shape))


def captum_deep_lift(
    attr: Any, net: nn.Module, x: Any, baselines: Any, targets: Any, *, copies: bool = True
) -> Any:
    """What Captum's ``DeepLift`` attributes in float64, one row at a time.

    Two hooks on one tensor are called in the wrong order there: a nonlinearity directly in front of a max
    pooling gets the pooling's gradient, not what its rule makes of that.  So there is a copy between the two.
    """
    peer = attr.DeepLift((apart(net) if copies else copy.deepcopy(net)).double())
    starts = np.broadcast_to(np.asarray(baselines, np.float64), x.shape)
    rows = []
    for row, start, target in zip(x.astype(np.float64), starts, targets, strict=True):
        leaf, there = torch.from_numpy(row)[None], torch.from_numpy(start.copy())[None]
        rows.append(peer.attribute(leaf, there, int(target)).detach().numpy())
    return np.concatenate(rows)


def captum_deep_lift_shap(attr: Any, net: nn.Module, x: Any, references: Any, targets: Any) -> Any:
    """What Captum's ``DeepLiftShap`` attributes in float64."""
    leaf, there = (torch.from_numpy(a.astype(np.float64)) for a in (x, references))
    peer = attr.DeepLiftShap(apart(net).double())
    return peer.attribute(leaf, there, torch.as_tensor(targets)).detach().numpy()


def shap_deep_explainer(shap: Any, net: nn.Module, x: Any, references: Any) -> tuple[Any, Any]:
    """What shap's ``DeepExplainer`` attributes in float64, (n, ..., outputs), and its expected values."""
    leaf, there = (torch.from_numpy(a.astype(np.float64)) for a in (x, references))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modules it does not know: it keeps their gradients
        peer = shap.DeepExplainer(copy.deepcopy(net).double(), there)
        return peer.shap_values(leaf, check_additivity=False), peer.expected_value
