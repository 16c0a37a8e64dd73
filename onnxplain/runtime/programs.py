"""The programs of one model: built when first asked for, compiled once, run from any thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.backward.program import Program, build, check
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.forking import leave_alive, quiet, start_over
from onnxplain.graph import facts
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.passes.lower import (
    FlipTransposedConvs,
    FuseElementwise,
    FuseGelu,
    FuseRows,
    FuseShares,
    FuseSums,
    MaskByHardSigmoid,
    MaxPoolGrads,
    PickRows,
    SparseConvs,
    SplitStrides,
    ThinConvs,
    WinogradConvs,
)
from onnxplain.runtime import arena
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.diagnose import first_not_finite
from onnxplain.runtime.front import front, token_positions
from onnxplain.runtime.improving import Improving
from onnxplain.runtime.memory import DEFAULT_BUDGET
from onnxplain.runtime.parts.cut import cut
from onnxplain.runtime.parts.divided import Divided
from onnxplain.runtime.parts.held import Held
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import WeightStore

__all__ = ["FORMS", "MOST_PROGRAMS", "Form", "Programs", "Runs", "as_form", "lower", "unmark"]

#: Programs that a model remembers.
MOST_PROGRAMS = 32
_MOST_REFERENCES = 32
_MOST_CHECKED = 256

#: For whom a finished program is written.
Form = Literal["portable", "cpu", "cuda", "accelerated", "accelerated_cuda"]
FORMS: tuple[Form, ...] = ("portable", "cpu", "cuda", "accelerated", "accelerated_cuda")
_ACCELERATED: dict[str, Form] = {"cpu": "accelerated", "cuda": "accelerated_cuda"}


_T = TypeVar("_T")


#: What runs a program.
Runs: TypeAlias = Executable | Improving | Divided


class Compiled(NamedTuple):
    """A program ready to run; none where the model's own values are computed."""

    program: Program | None
    executable: Runs


class Programs:
    """Compiles and remembers what was used last; threads compile different programs side by side.

    Parameters
    ----------
    source
        The normalised model.
    device
        Where to run.
    threads
        Threads within an operator.
    budget
        Bytes that remembered programs may take, by their weights (a few programs stay in any case).
    allow_tf32
        Whether a GPU may compute products of float32 with less precision.
    weights
        Where weights are held; None: where none but this model's are.
    accelerate
        Whether programs have our own operators, which the device must run.
    at_once
        Whether such programs are compiled as they run best at once, instead of once they have run often.
    """

    def __init__(
        self,
        source: Normalized,
        device: Literal["cpu", "cuda"],
        threads: int | None = None,
        budget: int = DEFAULT_BUDGET,
        *,
        allow_tf32: bool = False,
        weights: WeightStore | None = None,
        accelerate: bool = False,
        at_once: bool = False,
    ) -> None:
        self.source = source
        self.allow_tf32 = allow_tf32
        self.device = device
        self.form: Form = _ACCELERATED[device] if accelerate else device
        self.at_once = at_once
        self.threads = threads
        self.weights = WeightStore() if weights is None else weights
        self._compiled: Cache[Compiled] = Cache(MOST_PROGRAMS, budget, lambda held: held.executable.size)
        #: What was computed of references, and of the sample that was asked about last.
        self.held, self.latest = Held(_MOST_REFERENCES, budget // 2), Held(1, budget // 2)
        self._checked: Cache[bool] = Cache(_MOST_CHECKED, 0, lambda _: 0)
        self._found: Cache[Any] = Cache(_MOST_CHECKED, 0, lambda _: 0)
        #: How many rows at once were found to be fastest, by what is asked of rows of which shapes.
        self.fastest: dict[Hashable, int] = {}
        start_over(self)
        weakref.finalize(self, arena.release).atexit = False

    def __len__(self) -> int:
        """Return how many programs are held."""
        return len(self._compiled)

    def program(self, question: Question, *, once: bool = False) -> tuple[Program, Runs]:
        """Return the compiled program for a question, built the first time; with references, in parts.

        Parameters
        ----------
        question
            What to compute.
        once
            Whether to run what does not depend on the target once for rows that are the same.
        """
        key = (question, once) if once else question

        def compile_program() -> Compiled:
            program = build(self.source, question)
            lower(program.model, self.form)
            unmark(program.model)
            first, held = program.references, self.held
            later = {*question.wrt, program.target}
            if once:
                first, later, held = (*first, *question.wrt), {program.target}, self.latest
            parts = cut(program, first, later) if first else None
            if parts is None:
                return Compiled(program, self._walk(program.model))
            written = partial(self._written, question)
            return Compiled(program, Divided(parts, first, self._executable, self._walk, written, held))

        known = self._compiled.seen(key)
        if known is None:
            with quiet:
                known = self._compiled.get(key, compile_program)
        program, executable = known
        assert program is not None
        return program, executable

    def written(self, question: Question) -> Program:
        """Return a question's program as it is before it is lowered."""
        return build(self.source, question)

    def _written(self, question: Question) -> ir.Model:
        return self.written(question).model

    def blame(self, question: Question, feeds: Arrays) -> str | None:
        """Name the first node of a question's program that makes NaN or infinite numbers of finite ones."""
        with quiet:
            return first_not_finite(self._written(question), feeds)

    def check(self, question: Question) -> None:
        """Raise what would stop a question, whatever the target, without building anything."""

        def passed() -> bool:
            check(self.source, question)
            return True

        with quiet:
            self._checked.get(question, passed)

    def found(self, key: Hashable, find: Callable[[], _T]) -> _T:
        """Return what is known of the model under a key, found out the first time."""
        with quiet:
            known: _T = self._found.get(key, find)
        return known

    def values(self, names: tuple[str, ...], feeds: Arrays) -> Arrays:
        """Compute inner values (the embeddings of tokens, say) from the model's inputs."""
        return self.compiled(names, lambda: front(self.source.model, names)).run(feeds)

    def positions(self, tokens: str, entry: str, feeds: Arrays) -> Array:
        """Tell which token of an input each number of its embedding is for; int64, of its shape."""
        key = "positions", (tokens, entry)  # which no names of values are
        held = self.compiled(key, lambda: token_positions(self.source, tokens, entry))
        (found,) = held.run(feeds).values()
        return found

    def after_fork(self, *, clean: bool) -> None:
        """Forget all sessions: their threads are in the parent."""
        for held in self._compiled:
            leave_alive(held.executable)
        self._compiled.clear()

    def _executable(self, model: ir.Model) -> Executable:
        return Executable(model, self.weights, self.device, self.threads, allow_tf32=self.allow_tf32)

    def _walk(self, model: ir.Model) -> Executable | Improving:
        """Compile what may have our own operators."""
        if self.form != "accelerated":
            return self._executable(model)
        return Improving(model, self.weights, self.threads, at_once=self.at_once)

    def compiled(self, key: Hashable, make: Callable[[], ir.Model]) -> Executable:
        """Return what runs a model of a key, made the first time: what computes values from inputs, say."""
        known = self._compiled.seen(key)
        if known is None:
            with quiet:
                known = self._compiled.get(key, lambda: Compiled(None, self._executable(make())))
        made = known.executable
        assert isinstance(made, Executable)
        return made


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


def lower(model: ir.Model, form: Form) -> None:
    """Give a finished program its form; only nodes that the walk back wrote are touched.

    Parameters
    ----------
    model
        The program, whose nodes are still marked.
    form
        ``"cpu"`` and ``"cuda"`` suit it to a device; ``"accelerated"``: to the CPU, with our own operators,
        ``"accelerated_cuda"`` to a GPU; ``"portable"`` leaves it as it was written.
    """
    own = form in ("accelerated", "accelerated_cuda")
    if own:
        MaxPoolGrads()(model)
    if form == "accelerated":
        SparseConvs()(model)
        SplitStrides()(model)
        ThinConvs()(model)
    if form in ("cpu", "accelerated"):
        PickRows()(model)
        FlipTransposedConvs()(model)
        MaskByHardSigmoid()(model)
    if form == "accelerated":
        WinogradConvs()(model)
    if own:
        FuseSums()(model)
        FuseRows()(model)
        FuseShares()(model)
        FuseGelu()(model)
        FuseElementwise("cpu" if form == "accelerated" else "cuda")(model)


def unmark(model: ir.Model) -> None:
    """Take off the marks of nodes that this package wrote."""
    for node in model.graph.all_nodes():
        node.metadata_props.pop(facts.WRITTEN_KEY, None)
