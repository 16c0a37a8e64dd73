"""What goes with a result: checks that it is one, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.errors import NotExplainableError, NotFiniteError
from onnxplain.finite import all_finite
from onnxplain.graph.interface import InputInfo
from onnxplain.graph.patterns.heads import before_link
from onnxplain.runtime.driver import not_finite
from onnxplain.runtime.layout import Layout

__all__ = ["confirm", "note_on_score", "notes_on", "notes_on_tokens", "refuse_not_finite"]

#: What sums of float32 that cancel leave, beside the sum of their magnitudes.
_ROUNDING = 1e-5


def note_on_score(graph: ir.Graph, output: str, explained: str) -> Iterator[str]:
    """Say so if another value is explained than the output that a user knows: what enters its last step."""
    if explained != output:
        link = before_link(next(v for v in graph.outputs if v.name == output))
        yield f"the score before the closing {'Softmax' if link is None else link[1]} is explained"


def notes_on(layout: Layout, infos: Sequence[InputInfo]) -> Iterator[str]:
    """Say what a person may want to know of how samples were found, run and explained."""
    if layout.mixed is not None:
        yield f"the arrays are one sample, run whole: {layout.mixed}; where you know better, say batch_axes="
    if layout.alone is not None:
        yield f"samples are run one by one, since their company would change them: {layout.alone}"
    elif layout.flat is not None:
        yield f"samples are run one by one, since none of the axes of '{layout.flat}' is theirs"
    elif layout.exact is not None:
        how = "one by one" if layout.exact == 1 else f"in batches of exactly {layout.exact}"
        yield f"the model works for a fixed number of samples at once, so they are run {how}"
    for info in infos:
        if info.token:
            yield f"input '{info.name}' holds tokens and is explained at its embedding"


def notes_on_tokens(
    infos: Sequence[InputInfo],
    back: Callable[[InputInfo, Arrays], Array],
    values: Mapping[str, Array],
    found: Arrays,
) -> Iterator[str]:
    """Say so if the numbers of each token's embedding cancel, so that nothing but rounding is left of them.

    Parameters
    ----------
    infos
        What is shown.
    back
        Sums the numbers of an input's embeddings for each token (:meth:`~onnxplain.samples.Samples.back`).
    values
        By explained value, samples first.
    found
        By input: the same, summed for each token.
    """
    for info in infos:
        if info.role != "token" or not all(e in values for e in info.entries):
            continue
        whole = back(info, {e: np.abs(values[e]) for e in info.entries})
        if whole.any() and bool((np.abs(found[info.name]) <= _ROUNDING * whole).all()):
            yield (
                f"what the numbers of each token's embedding in '{info.name}' get cancels, as before a "
                "normalisation: their sums are rounding; use saliency, input_x_gradient or "
                "integrated_gradients"
            )


def refuse_not_finite(features: Arrays, values: Mapping[str, Array]) -> None:
    """Refuse sums of finite walks that are none themselves.

    Raises
    ------
    NotFiniteError
        Naming the sample.
    """
    for name, array in values.items():
        if all_finite(array):
            continue
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(1)
        given = features[name]
        if bad.any() and (given.dtype.kind != "f" or np.isfinite(given).all()):
            raise NotFiniteError(not_finite(int(np.argmax(bad)), None))


def confirm(score: FloatArray, predictions: Array, target: Array, output: str) -> None:
    """Check that the explained scores are the predictions at the target.

    Parameters
    ----------
    score
        (N,).
    predictions
        (N, ...), batch axis first.
    target
        Indices (N, k), or weights (N, ...).
    output
        Name, for the message.

    Raises
    ------
    NotExplainableError
        If they are not.
    """
    n = len(score)
    one = n == 1 and target.dtype.kind == "i" and target.shape[1] == predictions.ndim - 1
    if one and len(predictions) == 1 and predictions.item(0, *target[0].tolist()) == score.item():
        return
    if target.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            each = predictions.astype(np.float64) * target
            expected = each.reshape(n, -1).sum(1)
    else:
        each = predictions
        expected = each[(np.arange(n), *target.T) if target.shape[1] else slice(None)].reshape(n)
    if (score == expected).all():  # mostly: the one is taken from the other
        return
    finite = np.abs(each[np.isfinite(each)])
    scale = float(finite.max(initial=0.0) if each is predictions else finite.sum())
    wrong = ~np.isclose(score, expected.astype(np.float64), rtol=1e-2, atol=1e-3 * scale, equal_nan=True)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise NotExplainableError(
            f"the score that was walked back from, {score[k]:.6g}, is not the prediction of sample {k} at "
            f"the target, {expected[k]:.6g} (output '{output}'): a fault of onnxplain; please report it with "
            "the model, and explain one sample at a time meanwhile"
        )
