"""Random graphs of the standard's operators: whatever is asked of them, by different ways, is the same.

A few graphs always; 3,000 with ``-m fuzz``, as many around each operator, to be run in parts with ``-k``.
A failure shows the smallest graph found; ``fuzzing.checks`` holds the checks.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

pytest.importorskip("onnxruntime")

from fuzzing import checks
from fuzzing.drawing import Drawn, graphs
from fuzzing.refusals import REFUSED
from fuzzing.table import OPERATORS

if TYPE_CHECKING:
    from pathlib import Path

#: Operators that share a few graphs, and graphs around each operator with ``-m fuzz``.
FEW = 7
MANY = -(-3000 // len(OPERATORS))

quick = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


def check(drawn: Drawn, methods: list[str], folder: Path) -> None:
    """Run all checks on a graph; those of explanations by some methods."""
    checks.predicts(drawn)
    checks.folds(drawn)
    checks.gradients(drawn)
    for method in methods:
        checks.sums(drawn, method)
        checks.batches(drawn, method)
        checks.exports(drawn, method, folder)


def run(operators: list[str], count: int, methods: int, folder: Path) -> None:
    """Draw graphs around one of some operators; the same ones every time."""

    @settings(quick, max_examples=count)
    @seed(sum(map(ord, "".join(operators))))
    @given(
        st.sampled_from(operators).flatmap(lambda must: graphs(must=must)),
        st.permutations(list(checks.METHODS)),
    )
    def each(drawn: Drawn, order: list[str]) -> None:
        check(drawn, order[:methods], folder)

    each()


@pytest.mark.parametrize("start", range(0, len(OPERATORS), FEW))
def test_a_few_graphs(start: int, tmp_path: Path) -> None:
    run(list(OPERATORS)[start : start + FEW], 4, 1, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("operator", OPERATORS)
def test_many_graphs(operator: str, tmp_path: Path) -> None:
    run([operator], MANY, 2, tmp_path)


def test_the_table_is_wide_and_what_it_names_is_drawn() -> None:
    """Every operator of the table is in the graphs around it, under its own name."""
    assert len(OPERATORS) >= 60
    assert all(_kinds_around(operator) for operator in OPERATORS)


def _kinds_around(operator: str) -> int:
    """Return how many graphs around an operator were drawn, all of them with it."""
    kinds = []

    @settings(quick, max_examples=2)
    @seed(0)
    @given(graphs(must=operator))
    def look(graph: Drawn) -> None:
        kinds.append(graph.kinds)

    look()
    assert all(operator in kind for kind in kinds), operator
    return len(kinds)


def test_graphs_are_of_every_kind() -> None:
    """Ranks 1 to 5, fixed and free batches, several inputs, paths that part and join, inner constants."""
    seen: Counter[object] = Counter()

    @settings(quick, max_examples=120)
    @seed(0)
    @given(graphs())
    def look(graph: Drawn) -> None:
        seen[f"batch {graph.batch}"] += 1
        seen.update(f"rank {v.ndim}" for v in graph.feeds.values())
        seen[f"{len(graph.floats)} inputs"] += 1
        uses = Counter(i for n in graph.model.graph.node for i in n.input if i)
        weights = {i.name for i in graph.model.graph.initializer}
        seen["used twice"] += any(n > 1 for name, n in uses.items() if name not in weights)
        seen["join"] += any(
            len({i for i in n.input if i and i not in weights}) > 1 for n in graph.model.graph.node
        )
        computed = {n.output[0] for n in graph.model.graph.node if set(n.input) <= weights}
        seen["inner constants"] += bool(computed)

    look()
    wanted = {f"batch {b}" for b in (None, 1, 3)} | {f"rank {r}" for r in range(1, 6)}
    wanted |= {"1 inputs", "2 inputs", "used twice", "join", "inner constants"}
    assert all(seen[kind] > 5 for kind in wanted), seen


REFUSALS = [(kind, op) for kind, table in REFUSED.items() for op in table]


@pytest.mark.parametrize(("kind", "operator"), REFUSALS, ids=lambda v: v)
def test_what_is_listed_as_refused_is(kind: str, operator: str) -> None:
    """In some graph around the operator; a refusal that is no longer there has to leave the list."""
    method = {"relevance": "epsilon", "deep_lift": "deep_lift"}.get(kind, kind)
    refused = []

    @settings(quick, max_examples=25, phases=(Phase.generate,))
    @seed(0)
    @given(graphs(must=operator, most=1))
    def look(drawn: Drawn) -> None:
        if not refused:
            try:
                checks.Subject(drawn).explain(method)
            except checks.Refused as error:
                refused.extend([str(error)] if operator in str(error) else [])

    look()
    assert refused
