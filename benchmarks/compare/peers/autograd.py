"""PyTorch alone."""

from __future__ import annotations

from benchmarks.compare.cases import Case
from benchmarks.compare.peers.networks import gradient, twin
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return autograd's gradient."""
    net = twin(case, setting)
    return {"torch autograd": Entrant(lambda: gradient(net, case))}
