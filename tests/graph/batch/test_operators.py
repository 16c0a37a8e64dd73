"""What the batch analysis says of every operator, compared with runs.

Each node case of the ONNX standard is analysed with samples along every axis of every input, and along axes
of equal length of several. Where independence is proven, rows are permuted, cut and repeated, and the model
is run: each sample must come out the same, at the row told. Operators of which nothing is ever proven are
listed with their reasons in ``refused.toml``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import batch_cases
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Cases of one operator that are tried; Attention has many alike.
MOST = 16

BY_OPERATOR: dict[str, list[batch_cases.Case]] = defaultdict(list)
for _case in batch_cases.collect():
    if any(True for _ in batch_cases.hypotheses(_case.feeds)):
        BY_OPERATOR[_case.op_type].append(_case)
REFUSED: dict[str, str] = tomllib.loads(Path(__file__).with_name("refused.toml").read_text("utf-8"))


@pytest.mark.parametrize("op_type", sorted(BY_OPERATOR))
def test_what_is_proven_holds(op_type):
    proven = 0
    cases = BY_OPERATOR[op_type]
    for case in cases[:: -(-len(cases) // MOST)]:
        for axes in batch_cases.hypotheses(case.feeds):
            feeds, n = batch_cases.grown(case.feeds, axes)
            if n > 1 and all(feeds[k].shape[a] == n for k, a in axes.items()):
                for free in (True, False):
                    proven += batch_cases.check(case, axes, feeds, n, free=free) is True
    assert (proven == 0) == (op_type in REFUSED), f"{proven} proofs"


def test_every_refusal_names_an_operator():
    assert not set(REFUSED) - set(BY_OPERATOR)
    assert all(REFUSED.values())
