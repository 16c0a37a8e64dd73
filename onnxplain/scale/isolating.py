"""Rows of a piece explained together; one that cannot be is found, and the others do without it."""

from __future__ import annotations

from collections.abc import Mapping

from onnxplain._types import Array
from onnxplain.errors import OnnxplainError, OptionalDependencyError, OutputError, RuntimeUnavailableError
from onnxplain.evaluation.setting import told
from onnxplain.explainer import Explainer
from onnxplain.scale.layout import Layout, Rows
from onnxplain.scale.pieces import Block
from onnxplain.scale.question import Question

__all__ = ["explained"]

#: What no row is to blame for.
_OF_THE_RUN = (OptionalDependencyError, OutputError, RuntimeUnavailableError)


def explained(
    explainer: Explainer,
    question: Question,
    block: Block,
    n: int,
    layout: Layout,
    *,
    keys: Mapping[str, Array],
    strict: bool = False,
) -> Rows:
    """Explain rows.

    Where one stands against all, halves are tried, and halves of these: of n rows with one bad one,
    some 2 log2(n) calls find it.

    Parameters
    ----------
    explainer, question
        Who is asked what.
    block, n
        The rows, and how many they are.
    layout
        Which columns come out.
    keys
        What rows are known by, (n,) by name; {} for nothing but what is handed on.
    strict
        Whether a bad row is an error of the run.

    Raises
    ------
    OnnxplainError
        What stands against a row, if it is to be strict; or what is wrong with the run itself.
    """
    columns, errors, notes = layout.empty(n), [""] * n, dict[str, None]()
    left = [list(range(n))]
    while left:
        rows = left.pop()
        try:
            result = question.ask(explainer, block, rows)
            found = layout.columns(result, len(rows))
        except _OF_THE_RUN:
            raise
        except OnnxplainError as error:
            if len(rows) > 1:
                left += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
            elif strict:
                known = [f"{name} {column[rows[0]]}" for name, column in keys.items()]
                raise type(error)(f"{', '.join(known) or f'row {rows[0]} of a batch'}: {error}") from error
            else:
                errors[rows[0]] = told(error)
            continue
        notes |= dict.fromkeys(result.notes)
        for name, column in columns.items():
            column[rows] = found[name]
    return Rows(layout, keys, block.ids, columns, errors, tuple(notes))
