"""PyTorch alone."""

from __future__ import annotations

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.peers.networks import gradient, twin
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return autograd's gradient."""
    if setting.work != "gradient":
        raise LeftOut("has gradients, and no other method")
    net = twin(case, setting)
    return {"torch autograd": Entrant(lambda: gradient(net, case))}
