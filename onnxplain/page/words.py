"""Words: token ids, and what a vocabulary makes of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxplain.errors import DataInputError, NotExplainableError
from onnxplain.graph.interface import InputInfo
from onnxplain.page.form import MOST_EXAMPLES, Form

__all__ = ["token_form"]

#: What stands for a word that is not in the vocabulary.
_UNKNOWN = frozenset({"<unk>", "<UNK>", "[UNK]", "[unk]", "UNK", "<oov>", "<OOV>"})


def token_form(info: InputInfo, vocabulary: Sequence[str] | None, examples: Any) -> Form:
    """Ask for words, or for numbers.

    Parameters
    ----------
    info
        The input: token ids, (N, L).
    vocabulary
        Words by number; None: visitors type numbers.
    examples
        Texts.

    Raises
    ------
    NotExplainableError
        If the vocabulary holds pieces of words.
    DataInputError
        If it has more words than the model's table, or an example is no text.
    """
    length = (info.shape or (None, None))[1]
    most = info.rows or (len(vocabulary) if vocabulary is not None else None)
    if vocabulary is not None:
        pieces = next((w for w in vocabulary if w.startswith(("##", "\u0120", "\u2581"))), None)
        if pieces is not None:
            raise NotExplainableError(
                f"the vocabulary holds pieces of words ('{pieces}'), which need the tokenizer that the model "
                "was trained with; leave the vocabulary out, and the page takes token ids"
            )
        if info.rows is not None and len(vocabulary) > info.rows:
            raise DataInputError(
                f"the vocabulary has {len(vocabulary)} words, and the model's table {info.rows} rows"
            )
    texts = [] if examples is None else list(examples)
    if not all(isinstance(t, str) for t in texts):
        raise DataInputError("examples of a model of words are texts; give a list of them")
    shown = {
        "input": info.name, "length": length if isinstance(length, int) else None, "rows": most,
        "dtype": str(info.dtype), "words": vocabulary is not None,
        "lower": vocabulary is not None and not any(w != w.lower() for w in vocabulary if w not in _UNKNOWN),
        "unknown": next((k for k, w in enumerate(vocabulary or ()) if w in _UNKNOWN), None),
        "examples": texts[:MOST_EXAMPLES],
    }  # fmt: skip
    count = length if isinstance(length, int) else 6
    ids = np.arange(1, count + 1) % (most or count + 1)
    notes = ("A text is cut into words and marks, and each is looked up; other tokenizers cut otherwise.",)
    return Form(
        "tokens", shown, (info.name,), {info.name: ids[None].astype(info.dtype or np.int64)},
        notes=notes if vocabulary is not None else (),
    )  # fmt: skip
