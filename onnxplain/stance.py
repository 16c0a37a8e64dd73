"""What is found of a request once, whatever its numbers are: what is explained, and where samples lie."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from onnxplain._types import Arrays, Shape
from onnxplain.asked import understand
from onnxplain.backward.asks import Ask
from onnxplain.backward.picking import Target
from onnxplain.backward.question import Question, explained_value
from onnxplain.batching import Batching, SampleOutput
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.graph.normalize import Normalized
from onnxplain.inner import Inner
from onnxplain.outcome import note_on_score, notes_on
from onnxplain.request import Request
from onnxplain.runtime.cache import Cache
from onnxplain.runtime.layout import Layout
from onnxplain.samples import Samples
from onnxplain.targets.detection import Detection
from onnxplain.targets.resolve import outputs_read

__all__ = ["Stance", "Stances"]

#: Finds the samples in arrays, from what is explained, outputs, and axes that a user names.
Find: TypeAlias = Callable[
    [Arrays, Sequence[InputInfo], tuple[str, ...], "int | Mapping[str, int | None] | None"], Samples
]

#: Kinds of requests that are remembered.
_MOST = 256


@dataclass(frozen=True, eq=False)
class Stance:
    """What requests for arrays of the same shapes have in common.

    Attributes
    ----------
    outputs
        What the model gives (an inner value too, where it is explained).
    others
        Outputs that the target reads beside the explained one.
    infos
        The explained inputs (inner values too).
    question
        What is explained; its target is still open.
    layout
        Where samples lie.
    about
        What one sample's output looks like.
    explained
        Name of the value inside the graph that is explained for the output.
    notes
        What a person may want to know of all that.
    sizes
        How many rows are run at once, by what says so and by what is asked; found when first needed.
    shapes
        What one sample's part of a value is, as runs show it.
    layouts
        The layout with the axes of explained values, by these.
    """

    outputs: tuple[OutputInfo, ...]
    others: tuple[str, ...]
    infos: tuple[InputInfo, ...]
    question: Question
    layout: Layout
    about: SampleOutput
    explained: str
    notes: tuple[str, ...]
    sizes: dict[tuple[Hashable, Ask], int] = field(default_factory=dict)
    shapes: dict[tuple[str, Shape], SampleOutput] = field(default_factory=dict)
    layouts: dict[tuple[tuple[str, int | None], ...], Layout] = field(default_factory=dict)
    _asked: dict[tuple[Target, int], Question] = field(default_factory=dict)

    def asked(self, target: Target, axes: int) -> Question:
        """Return the question for a target that names a score this way, with an index of this length."""
        known = self._asked.get((target, axes))
        if known is None:
            known = replace(self.question, target_axes=axes, output_axis=self.about.axis, target=target)
            self._asked[target, axes] = known
        return known


class Stances:
    """Finds stances for one model, and remembers them; safe to use from several threads.

    Parameters
    ----------
    normal
        The model.
    inputs
        What it takes.
    inner
        Its values.
    batching
        What is known of its samples.
    depends
        Tells whether an output depends differentiably on an input.
    check
        Raises what would stop a question.
    """

    def __init__(
        self,
        normal: Normalized,
        inputs: tuple[InputInfo, ...],
        inner: Inner,
        batching: Batching,
        depends: Callable[[str, InputInfo], bool],
        check: Callable[[Question], None],
    ) -> None:
        self._normal = normal
        self._inputs = inputs
        self._inner = inner
        self._batching = batching
        self._depends = depends
        self._check = check
        self._known: Cache[Stance] = Cache(_MOST, 0, lambda _: 0)

    def of(
        self,
        request: Request,
        needs: Ask,
        margins: bool,
        arrays: Arrays,
        find: Find,
    ) -> Stance:
        """Return the stance of a request.

        Parameters
        ----------
        request
            What is asked for.
        needs, margins
            What its method asks of the model, and whether it explains what enters a closing Sigmoid.
        arrays
            The inputs, checked.
        find
            Finds the samples in them, from what is explained, the outputs that are asked for, and what the
            user says of axes.
        """
        key = self._key(request, needs, margins, arrays)
        try:
            known = None if key is None else self._known.seen(key)
        except TypeError:  # of what no output or value can be called
            key = known = None
        if known is not None:
            return known
        made = partial(self._found, request, needs, margins, arrays, find)
        return made() if key is None else self._known.get(key, made)

    def _key(self, request: Request, needs: Ask, margins: bool, arrays: Arrays) -> Hashable | None:
        """Return all that a stance depends on; None where it depends on numbers, too.

        Axes that users give are checked by running.
        """
        wrt = tuple(request.wrt) if isinstance(request.wrt, list) else request.wrt
        named = wrt is None or isinstance(wrt, str | tuple)
        if request.batch_axes is not None or not named or isinstance(request.target, Detection):
            return None
        shapes = tuple([(name, array.shape) for name, array in arrays.items()])
        said = (request.output, wrt, request.through_softmax, needs, margins)
        return shapes, said, self._batching.learned

    def _found(
        self,
        request: Request,
        needs: Ask,
        margins: bool,
        arrays: Arrays,
        find: Find,
    ) -> Stance:
        outputs, output = self._inner.outputs(request.output)
        infos, question = understand(
            self._inputs, outputs, needs, output, request.wrt, request.through_softmax,
            self._depends, self._inner.explained, margins=margins,
        )  # fmt: skip
        name = question.output
        others = outputs_read(request.target, outputs, name)
        samples = find(arrays, tuple(infos), (name, *others), request.batch_axes)
        self._check(question)
        about = samples.output(name)
        if about is None:
            samples.values((name,))
            about = samples.output(name)
            assert about is not None
        explained = explained_value(self._normal, question)
        notes = (
            *note_on_score(self._normal.model.graph, name, explained),
            *notes_on(samples.layout, infos),
        )
        return Stance(outputs, others, tuple(infos), question, samples.layout, about, explained, notes)
