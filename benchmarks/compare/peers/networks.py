"""The twins of the models in PyTorch, with as many threads as all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.compare.bert import Bert
from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.settings import Setting
from benchmarks.compare.twins import Add, Twin

__all__ = ["entered", "explained", "gradient", "leaf", "twin"]

#: The largest difference of scores, over the largest score, of a graph and its twin.
_SAME = 1e-4


def twin(case: Case, setting: Setting, add: Callable[[], Any] = Add) -> Any:
    """Return the network of a case, whose scores were compared with the graph's.

    Raises
    ------
    LeftOut
        If there is none, or its scores are others.
    """
    torch.set_num_threads(setting.threads)

    def make() -> Any:
        try:
            net = Bert(case.model) if case.kind == "tokens" else Twin(case.model, add)
        except ValueError as error:
            raise LeftOut(f"there is no twin in PyTorch: {error}") from error
        with torch.no_grad():
            off = _apart(net(entered(net, case)).numpy(), case)
        if off > _SAME:
            raise LeftOut(f"the twin in PyTorch is another network: scores differ by {off:.1e}")
        return net

    return case.once(f"twin with {add.__name__}", make)


def entered(net: Any, case: Case) -> torch.Tensor:
    """Return what the network is given: tokens at their embedding."""
    x = torch.from_numpy(case.x)
    return net.words(x) if case.kind == "tokens" else x


def _apart(scores: Any, case: Case) -> float:
    """Return how far scores are from those of the graph, whichever session computed them."""
    wanted = case.once("scores", case.run)
    return float(abs(scores - wanted).max() / abs(wanted).max())


def leaf(net: Any, case: Case) -> torch.Tensor:
    """Return a new tensor of the inputs that wants a gradient."""
    return entered(net, case).detach().clone().requires_grad_()


def gradient(net: Any, case: Case) -> Any:
    """Return the gradient by autograd, in the form in which ours is."""
    x = leaf(net, case)
    (made,) = torch.autograd.grad(net(x)[:, case.target].sum(), x)
    return explained(made, case)


def explained(made: torch.Tensor, case: Case) -> Any:
    """Return an attribution as an array; what embeddings get is one number for each token."""
    made = made.detach()
    return (made.abs().sum(-1) if case.kind == "tokens" else made).numpy()
