"""Words of texts, for models that take token ids: who plays, what they leave behind, and their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.errors import DataInputError

__all__ = ["Words", "split_words"]

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Split a text into words and signs: letters and digits together, each other sign by itself."""
    return _WORD.findall(text)


@dataclass(frozen=True, eq=False)
class Words:
    """Texts as a model takes them, with their words as players.

    ``explainer(words.inputs, target, method, **words.players)`` explains words with every method that takes
    players away (``lime``, ``kernel_shap``, ``feature_ablation``...); a word's tokens leave together, in all
    inputs.  With a method that walks back, give ``words.inputs`` alone.  :meth:`named` reads the numbers.

    Attributes
    ----------
    words
        Of each text.
    inputs
        By name, int64 (n, L): ids and, if the model takes them, the attention mask and others.
    feature_mask
        By name, int64 (n, L): the number of each token's word; -1 for what is no word's (padding, tokens in
        front and behind).
    baselines
        By name: what stands where a word is taken away.
    """

    words: tuple[tuple[str, ...], ...]
    inputs: dict[str, Array]
    feature_mask: dict[str, IntArray]
    baselines: dict[str, int]

    @property
    def players(self) -> dict[str, Any]:
        """What a call takes beside the inputs: ``feature_mask``, ``baselines`` and ``wrt``."""
        names = list(self.feature_mask)
        return {"feature_mask": self.feature_mask, "baselines": self.baselines, "wrt": names}

    @classmethod
    def of(
        cls,
        texts: str | Sequence[str],
        tokenizer: Callable[[str], Sequence[int]],
        *,
        ids: str = "input_ids",
        mask: str | None = "attention_mask",
        others: Mapping[str, int] | None = None,
        first: Sequence[int] = (),
        last: Sequence[int] = (),
        pad: int = 0,
        instead: int | None = None,
        length: int | None = None,
        split: Callable[[str], Sequence[str]] = split_words,
    ) -> Words:
        """Make them of texts.

        Parameters
        ----------
        texts
            One or several.
        tokenizer
            From a word to the ids of its tokens.
        ids
            The model's input of ids.
        mask
            Its attention mask, 1 for tokens and 0 for padding; None if it has none.
        others
            Further inputs of the same shape, with what they hold everywhere, such as
            ``{"token_type_ids": 0}``.
        first, last
            Ids in front of each text and behind it, such as those of ``[CLS]`` and ``[SEP]``.
        pad
            What fills texts up to the longest.
        instead
            What stands in the place of a word's tokens that is taken away, such as the id of ``[MASK]``.
            None: padding, and the attention mask is 0 there, as if there were nothing.
        length
            Of the arrays, for models that want a fixed one; None: that of the longest text.
        split
            From a text to its words.

        Raises
        ------
        DataInputError
            If there is no text or no word in one, a text does not fit into ``length``, or the tokenizer gives
            something else than ids.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        if not given or not all(isinstance(t, str) for t in given):
            raise DataInputError(
                "texts are a str, or a list of some; there is nothing else to split into words"
            )
        found = [tuple(split(text)) for text in given]
        for text, own in zip(given, found, strict=True):
            if not own:
                raise DataInputError(f"the text {text!r:.40} has no words; leave it out")
        rows = [_tokens(own, tokenizer) for own in found]
        edge = len(first) + len(last)
        longest = max(len(numbers) for numbers, _ in rows) + edge
        if length is not None and longest > length:
            raise DataInputError(f"a text has {longest} tokens and length is {length}; shorten it")
        shape = len(given), longest if length is None else length
        tokens, owner, there = (
            np.full(shape, pad, np.int64),
            np.full(shape, -1, np.int64),
            np.zeros(shape, int),
        )
        for row, (numbers, owners) in enumerate(rows):
            whole = [*first, *numbers, *last]
            tokens[row, : len(whole)], there[row, : len(whole)] = whole, 1
            owner[row, len(first) : len(first) + len(owners)] = owners
        inputs: dict[str, Array] = {ids: tokens}
        players, baselines = {ids: owner}, {ids: pad if instead is None else instead}
        if mask is not None:
            inputs[mask] = there.astype(np.int64)
            if instead is None:
                players[mask], baselines[mask] = owner, 0
        inputs |= {name: np.full(shape, held, np.int64) for name, held in (others or {}).items()}
        return cls(tuple(found), inputs, players, baselines)

    def named(self, result: Any) -> list[list[tuple[str, float]]]:
        """Return each text's words with their numbers.

        Parameters
        ----------
        result
            An :class:`~onnxplain.Attribution` of these inputs, or of their embeddings: of words as players,
            or one whose tokens (and these' own numbers) add up to their word.

        Raises
        ------
        DataInputError
            If it explains something else.
        """
        owner = next(iter(self.feature_mask.values()))
        values = self._numbers(result, owner.shape)
        found = [
            [values[row][owner[row] == k] for k in range(len(words))] for row, words in enumerate(self.words)
        ]
        together = (  # a player's number is that of each of its elements
            bool(getattr(result.method, "takes_players", False))
            and not values[owner < 0].any()
            and all((v == v.ravel()[:1]).all() for row in found for v in row)
        )
        return [
            [
                (word, float(v.ravel()[:1].sum() if together else v.sum()))
                for word, v in zip(words, own, strict=True)
            ]
            for words, own in zip(self.words, found, strict=True)
        ]

    def _numbers(self, result: Any, shape: tuple[int, ...]) -> Array:
        """Return the numbers of tokens, (n, L, ...)."""
        arrays = dict(result.arrays)
        name = next(iter(self.feature_mask))
        array = arrays.get(name, next(iter(arrays.values())) if len(arrays) == 1 else np.zeros(0))
        if array.shape[:2] != shape:
            raise DataInputError(
                f"the result explains {', '.join(arrays)}, not '{name}' of shape {shape} or its embedding"
                ", and has no numbers of words; explain words.inputs (wrt= the ids, or their embedding alone)"
            )
        return np.asarray(array, np.float64)


def _tokens(words: Sequence[str], tokenizer: Callable[[str], Sequence[int]]) -> tuple[list[int], list[int]]:
    """Return the ids of words, and the word that each belongs to."""
    numbers: list[int] = []
    owners: list[int] = []
    for k, word in enumerate(words):
        made = np.asarray(tokenizer(word))
        if made.ndim != 1 or (made.size and made.dtype.kind not in "iu"):
            raise DataInputError(
                f"the tokenizer gives {type(tokenizer(word)).__name__} for {word!r:.40}; it must give a "
                "list of ids, such as lambda word: tokenizer.encode(word, add_special_tokens=False)"
            )
        numbers += made.tolist()
        owners += [k] * made.size
    return numbers, owners
