"""Their ONNX export, their gradients and scores, and how far two results are apart."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn


def export(net: nn.Module, x: Any, opset: int = 17) -> onnx.ModelProto:
    """The network as ONNX, from ``x`` to ``y``, the batch axis symbolic."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    content = io.BytesIO()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused operator that cannot be exported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net, (torch.from_numpy(x),), content, input_names=["x"], output_names=["y"], dynamo=False,
                dynamic_axes={"x": {0: "N"}, "y": {0: "N"}}, opset_version=opset,
            )  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return onnx.load_from_string(content.getvalue())


def autograd(net: nn.Module, x: Any, targets: Any) -> Any:
    """The gradient of each row's target score: (n,) classes, or (n, k) index tuples."""
    leaf = torch.from_numpy(x).requires_grad_()
    y = net(leaf)
    index = np.asarray(targets).reshape(len(x), -1)
    rows = torch.arange(len(x))
    picked = y[(rows, *(torch.from_numpy(index[:, k].copy()) for k in range(index.shape[1])))]
    return torch.autograd.grad(picked.sum(), leaf)[0].numpy()


def relative(found: Any, wanted: Any) -> float:
    """The largest difference over the largest value."""
    found, wanted = (a.detach().numpy() if isinstance(a, torch.Tensor) else a for a in (found, wanted))
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def scores(net: nn.Module, x: Any, targets: Any) -> Any:
    """Each row's target score, in float64."""
    y = copy.deepcopy(net).double()(torch.from_numpy(x.astype(np.float64))).detach().numpy()
    return y[np.arange(len(x)), targets]
