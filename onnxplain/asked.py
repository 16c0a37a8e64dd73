"""From a model, a method and what a user names to a question: one way for explainers and exported files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnxplain.backward.asks import Ask, Scores
from onnxplain.backward.question import Question
from onnxplain.graph.interface import InputInfo, OutputInfo
from onnxplain.inputs import choose_explained, choose_output, choose_varied

__all__ = ["understand"]


def understand(
    inputs: Sequence[InputInfo],
    outputs: Sequence[OutputInfo],
    needs: Ask,
    output: str | None,
    wrt: str | Sequence[str] | None,
    through_softmax: bool,
    depends: Callable[[str, InputInfo], bool],
    inner: Callable[[str], InputInfo],
    *,
    margins: bool = False,
) -> tuple[Sequence[InputInfo], Question]:
    """Choose what is explained.

    Parameters
    ----------
    inputs, outputs
        What the model takes and gives (inner values too, where one is explained).
    needs
        What the method asks: walks need floats (tokens are explained at their embedding), scores alone take
        any input as it is.
    output, wrt, through_softmax
        As the user gives them.
    depends
        Tells whether an output depends differentiably on an input.
    inner
        Describes the inner value of a name.
    margins
        Whether the method explains what enters a closing Sigmoid.

    Returns
    -------
    The explained inputs (inner values too), and the question, in which only the target is still open.

    Raises
    ------
    DataInputError, TargetError
        If there is nothing of that name, or it cannot be explained.
    """
    name = choose_output(outputs, output)
    if isinstance(needs, Scores):
        infos = choose_varied(inputs, wrt, inner)
    else:
        infos = choose_explained(inputs, wrt, lambda info: depends(name, info), inner)
    entries = tuple(dict.fromkeys(e for i in infos for e in i.entries))
    return infos, Question(name, entries, needs, through_softmax=through_softmax, margins=margins)
