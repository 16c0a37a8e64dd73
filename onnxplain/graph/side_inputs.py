"""Inputs that stand beside the data: masks, lengths, rates, states.  They are explained only if asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.recurrent import RECURRENT
from onnxplain.graph.traits import movers

__all__ = ["is_side_input", "main_inputs"]

#: A convention, not a proof: what is explained if the caller says nothing.
_NAMES = re.compile(
    r"""(.*[_./:-])?(
        (\w+_)?masks?(_\w+)? | len | lens | lengths? | \w+_lengths? | speed | sr | sample_?rate | rate |
        (\w+_)?states?(_\w+|[a-z]?\d*) | h[nt]?\d* | c[nt]?\d* | hidden\w* | cell\w* | past\w* | cache\w* |
        (token_)?type_ids | segment_ids | position_ids
    )([_./:-]?\d+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_MOVERS = movers()
_INITIAL = (5, 6)  # initial_h and initial_c of recurrent operators


def main_inputs(values: Sequence[ir.Value]) -> list[ir.Value]:
    """Return the inputs that hold the data; all of them if none does."""
    wide = [v for v in values if not is_side_input(v)]
    many = [v for v in wide if not _is_scalar(v)]
    return many or wide or list(values)


def is_side_input(value: ir.Value) -> bool:
    """Tell by name, or by where it goes, whether an input stands beside the data."""
    return _NAMES.fullmatch(str(value.name)) is not None or _is_initial_state(value)


def _is_scalar(value: ir.Value) -> bool:
    """Tell whether an input is a single number for all samples."""
    return facts.static_shape(value) in ((), (1,))


def _is_initial_state(value: ir.Value) -> bool:
    """Tell whether all that becomes of a value is the state that a recurrent operator begins with."""
    seen, stack, states = {value}, [value], 0
    while stack:
        for node, index in stack.pop().uses():
            if node.op_type in RECURRENT:
                if index not in _INITIAL:
                    return False
                states += 1
            elif node.op_type not in _MOVERS or index != 0:
                return False
            else:
                fresh = [o for o in node.outputs if o not in seen]
                seen.update(fresh)
                stack.extend(fresh)
    return states > 0
