"""Random inputs of every operator of our own, compared with twins."""

from __future__ import annotations

from collections.abc import Callable

from .convolving import max_pool, parts, sparse, surround, thin
from .own_runs import Rng
from .programs import elementwise, graph, in_blocks
from .rows import copies, rows, shares

__all__ = ["TRIALS"]

#: Draws inputs, and compares; by name.
TRIALS: dict[str, Callable[[Rng], None]] = {
    t.__name__: t
    for t in (elementwise, in_blocks, graph, thin, sparse, max_pool, parts, rows, copies, shares, surround)
}
