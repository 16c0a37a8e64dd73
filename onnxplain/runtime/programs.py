"""All programs of one model: built when first asked for, compiled once, run from any thread."""

from __future__ import annotations

import threading
from typing import Literal

import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.backward.program import Program, Question, build, check
from onnxplain.errors import MethodError
from onnxplain.graph import facts, passes
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.passes.flip_transposed_convs import FlippedWeights
from onnxplain.runtime.front import front, token_positions
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import WeightStore

__all__ = ["FORMS", "Form", "Programs", "as_form", "lower"]

#: For whom a finished program is written.
Form = Literal["portable", "cpu", "cuda"]
FORMS: tuple[Form, ...] = ("portable", "cpu", "cuda")


class Programs:
    """Compiles and caches.

    Parameters
    ----------
    source
        The normalised model.
    device
        Where to run.
    threads
        Threads within an operator.
    """

    def __init__(
        self, source: Normalized, device: Literal["cpu", "cuda"], threads: int | None = None
    ) -> None:
        self.source = source
        self.device = device
        self.threads = threads
        self.weights = WeightStore()
        self._flipped: FlippedWeights = {}
        self._programs: dict[Question, tuple[Program, Executable]] = {}
        self._fronts: dict[tuple[str, ...], Executable] = {}
        self._checked: set[Question] = set()
        self._lock = threading.RLock()

    def program(self, question: Question) -> tuple[Program, Executable]:
        """Return the compiled program for a question, building it the first time."""
        with self._lock:
            held = self._programs.get(question)
            if held is None:
                made = build(self.source, question)
                lower(made.model, self.device, self._flipped)
                held = made, Executable(made.model, self.weights, self.device, self.threads)
                self._programs[question] = held
            return held

    def check(self, question: Question) -> None:
        """Raise what would stop a question, whatever the target, without building anything."""
        with self._lock:
            if question not in self._checked:
                check(self.source, question)
                self._checked.add(question)

    def values(self, names: tuple[str, ...], feeds: Arrays) -> Arrays:
        """Compute inner values (the embeddings of tokens, say) from the model's inputs."""
        with self._lock:
            held = self._fronts.get(names)
            if held is None:
                held = Executable(front(self.source.model, names), self.weights, self.device, self.threads)
                self._fronts[names] = held
        return held.run(feeds)

    def positions(self, tokens: str, entry: str, feeds: Arrays) -> Array:
        """Tell which token of an input each number of its embedding is for; int64, of its shape."""
        with self._lock:
            key = ("positions", tokens, entry)
            held = self._fronts.get(key)
            if held is None:
                model = token_positions(self.source, tokens, entry)
                held = self._fronts[key] = Executable(model, self.weights, self.device, self.threads)
        (found,) = held.run(feeds).values()
        return found


def as_form(name: str) -> Form:
    """Return the form of this name.

    Raises
    ------
    MethodError
        If there is none.
    """
    for form in FORMS:
        if form == name:
            return form
    raise MethodError(f"form '{name}' is unknown; choose one of {', '.join(FORMS)}")


def lower(model: ir.Model, form: Form, flipped: FlippedWeights | None = None) -> None:
    """Give a finished program its form; only nodes that the walk back wrote are touched.

    Parameters
    ----------
    model
        The program; the marks of its nodes are gone afterwards.
    form
        ``"cpu"`` and ``"cuda"`` suit it to a device; ``"portable"`` leaves it as it was written.
    flipped
        Weights already turned for other programs of the same model.
    """
    if form == "cpu":
        passes.FlipTransposedConvs(flipped)(model)
        passes.MaskByHardSigmoid()(model)
    for node in model.graph.all_nodes():
        node.metadata_props.pop(facts.WRITTEN_KEY, None)
