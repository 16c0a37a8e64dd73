"""Random networks and calls: our operators, patches and files say what the plain way says.

A few always; with ``-m fuzz`` as many as ``ONNXPLAIN_FUZZ_COUNT`` says (100) of each kind, from the seed
``ONNXPLAIN_FUZZ_SEED`` (0) on.  A failure names its seed; ``fuzzing.forms``,
``calls``, ``windows`` and ``operators`` hold the checks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from fuzzing import calls, forms
from fuzzing.networks import network
from fuzzing.operators import TRIALS
from fuzzing.windows import windows

import onnxplain as ox
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.kernels import operators_library
from onnxplain.runtime import programs

pytestmark = pytest.mark.skipif(operators_library() is None, reason="the operators were not built here")

FIRST, COUNT = (int(os.environ.get(f"ONNXPLAIN_FUZZ_{k}", v)) for k, v in (("SEED", 0), ("COUNT", 100)))
FORMS = (forms.portable, forms.adopted, forms.targets, forms.alone, forms.changing, forms.threads)
CALLS = (calls.remembered, calls.blocks, calls.lengths)


def swept(kind: str, seeds: range, check: Callable[[np.random.Generator], Any]) -> None:
    """Check what is drawn from each seed; what fails says from which."""
    for seed in seeds:
        with _named(f"{kind}, seed {seed}"):
            check(np.random.default_rng([seed, *kind.encode()]))


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{what}: {error}") from error


def walked(rng: np.random.Generator, check: Callable[[forms.Forms], None]) -> None:
    drawn, names = network(rng), list(forms.METHODS)
    check(forms.Forms(drawn, names[int(rng.integers(len(names)))]))


def sweep(kind: str, seeds: range, folder: Path) -> None:
    """Run one kind of check."""
    by_form, by_call = ({f.__name__: f for f in of} for of in (FORMS, CALLS))
    if kind in TRIALS:
        swept(kind, seeds, TRIALS[kind])
    elif kind in by_form:
        swept(kind, seeds, lambda rng: walked(rng, by_form[kind]))
    elif kind in by_call:
        swept(kind, seeds, lambda rng: by_call[kind](network(rng), rng))
    elif kind == "exported":
        swept(kind, seeds, lambda rng: calls.exported(network(rng), rng, folder))
    else:
        swept(kind, seeds, lambda rng: windows(network(rng, windows=True)))


KINDS = (*TRIALS, *(f.__name__ for f in (*FORMS, *CALLS)), "exported", "windows")


@pytest.mark.parametrize("kind", KINDS)
def test_a_few(kind: str, tmp_path: Path) -> None:
    sweep(kind, range(10 if kind in TRIALS else 1), tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_many(kind: str, tmp_path: Path) -> None:
    """Operators are quick: ten times as many."""
    count = COUNT * (10 if kind in TRIALS else 1)
    sweep(kind, range(FIRST, FIRST + count), tmp_path)


def test_what_is_drawn_meets_our_operators() -> None:
    """Nothing is compared with itself: walks back have most of our operators, and windows are patches."""
    own: set[str] = set()

    def noted(model: Any, form: programs.Form) -> None:
        lower(model, form)
        own.update(node.op_type for node in model.graph if node.domain == DOMAIN)

    lower = programs.lower
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "lower", noted)
        for seed in range(9):
            drawn = network(np.random.default_rng(seed))
            ox.Explainer(drawn.model, device="cpu", threads=1)(
                drawn.feeds, drawn.target[0], ox.Saliency(), wrt=list(drawn.floats)
            )
    assert own >= set(
        "Elementwise GeluBackward MaxPoolGrad NormBackward SoftmaxBackward SparseConvTranspose".split()
    ), own
    assert sum(windows(network(np.random.default_rng(seed), windows=True)) for seed in range(4)) > 0
