"""PyTorch's gradient behind ``torch.compile``."""

from __future__ import annotations

import torch

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.peers.networks import gradient, twin
from benchmarks.compare.settings import Entrant, Setting

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return the gradient of the compiled network."""
    net = twin(case, setting)
    made = torch.compile(net)
    try:
        gradient(made, case)
    except Exception as error:  # of the compiler's many kinds
        raise LeftOut(f"does not compile this here: {str(error).splitlines()[0]}") from error
    return {"torch.compile": Entrant(lambda: gradient(made, case))}
