"""Real inputs for models of words, sentences and bytes."""

from __future__ import annotations

import colorsys
import json
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._case import Feeds, Outputs, RealModel, real_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REVIEW = "A wonderful film with a moving story, but the end is a little bit boring."
SENTENCES = ("A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby.")


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the cosine of the angle between two vectors."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@real_input("movie_review")
def movie_review(path: Path) -> RealModel:
    """Look up a review's words by their place in the file of word vectors; the output is a logit."""
    with path.with_name("movie_words.txt").open(encoding="utf-8") as lines:
        numbers = {line.split(" ", 1)[0]: place for place, line in enumerate(lines)}
    words = re.findall(r"\w+|[^\w\s]", REVIEW.lower())
    ids = [numbers.get(word, numbers["<unk>"]) for word in words]
    return RealModel(
        {"input": np.array([ids], np.int64)},
        output="output",
        target=(0, 0),
        expected=1.96,
        tolerance=0.1,
        says=f"the review {REVIEW!r}: positive (a logit above 0)",
    )


def word_pieces(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Split a lower-cased text into BERT's word pieces, longest first, with [CLS] and [SEP] around it."""
    ids = [vocabulary["[CLS]"]]
    for word in re.findall(r"\w+|[^\w\s]", text.lower()):
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in vocabulary)
            end = next(ends, None)
            if end is None:
                pieces = [vocabulary["[UNK]"]]
                break
            pieces.append(vocabulary[prefix + word[start:end]])
            start = end
        ids += pieces
    return [*ids, vocabulary["[SEP]"]]


def sentence_feeds(path: Path, sentences: Sequence[str]) -> Feeds:
    """Return padded ids and their mask, (sentences, longest), int64."""
    table = json.loads(path.with_name("minilm_tokenizer.json").read_text(encoding="utf-8"))
    rows = [word_pieces(sentence, table["model"]["vocab"]) for sentence in sentences]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, pieces in zip(ids, rows, strict=True):
        row[: len(pieces)] = pieces
    mask = (np.arange(ids.shape[1]) < np.array([[len(row)] for row in rows])).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask}


@real_input("minilm")
def minilm(path: Path) -> RealModel:
    """Make three sentences of 8 to 11 word pieces; output 461 is the mean over each sentence."""
    return RealModel(
        sentence_feeds(path, SENTENCES),
        output="461",
        target=(0, 0),
        expected=0.78,
        says=f"the likeness of {SENTENCES[0]!r} and {SENTENCES[1]!r}: great",
        read=lambda outputs: cosine(outputs["461"][0], outputs["461"][1]),
    )


@real_input("minilm_int8")
def minilm_int8(path: Path) -> RealModel:
    """Make the same sentences; the mean over each is taken here."""
    feeds = sentence_feeds(path, SENTENCES)
    weight = feeds["attention_mask"][..., None]

    def likeness(outputs: Outputs) -> float:
        means = (outputs["last_hidden_state"] * weight).sum(1) / weight.sum(1)
        return cosine(means[0], means[1])

    return RealModel(
        {**feeds, "token_type_ids": np.zeros_like(feeds["input_ids"])},
        output="last_hidden_state",
        target=(0, 0, 0),
        expected=0.753,
        says=f"the likeness of {SENTENCES[0]!r} and {SENTENCES[1]!r}: great",
        read=likeness,
    )


def _numbered(path: Path) -> dict[str, int]:
    """Read a file of lines ``number<tab>word``."""
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {word: int(number) for number, word in pairs}


@real_input("lac")
def lac(path: Path) -> RealModel:
    """Look up the characters of a Chinese sentence: Li Ming works in Beijing."""
    sentence = "李明在北京市工作"
    numbers = _numbered(path.with_name("lac_words.dic"))
    tags = {number: tag for tag, number in _numbered(path.with_name("lac_tags.dic")).items()}
    return RealModel(
        {
            "token_ids": np.array([[numbers[character] for character in sentence]], np.int64),
            "length": np.array([len(sentence)], np.int64),
        },
        output="fetch_name_0",
        target=(0, 3, next(number for number, tag in tags.items() if tag == "LOC-B")),
        expected="PER-B PER-I p-B LOC-B LOC-I LOC-I n-B n-I",
        top=True,
        says="a Chinese sentence: a person, a preposition, a place, a noun",
        read=lambda outputs: " ".join(tags[int(best)] for best in outputs["fetch_name_0"][0].argmax(-1)),
    )


@real_input("chars2vec")
def chars2vec(path: Path) -> RealModel:
    """Make one-hot letters of a word, the word misspelt, and another word."""
    words = ("language", "langauge", "mountain")
    # The model's 59 signs: "!" to "@", "_", and the small letters.
    signs = [chr(code) for code in range(ord("!"), ord("@") + 1)] + ["_", *string.ascii_lowercase]
    order = {sign: place for place, sign in enumerate(signs)}
    letters = np.array([[order[letter] for letter in word] for word in words])

    def nearer(outputs: Outputs) -> float:
        vectors = outputs["lstm_2"]
        return cosine(vectors[0], vectors[1]) - cosine(vectors[0], vectors[2])

    return RealModel(
        {"lstm_input": np.eye(len(order), dtype=np.float32)[letters]},
        output="lstm_2",
        target=(0, 0),
        expected=0.67,
        says="'language' is nearer to 'langauge' than to 'mountain'",
        read=nearer,
    )


@real_input("magika")
def magika(path: Path) -> RealModel:
    """Take the first and the last 1024 bytes of a Python file, stripped; 256 stands for padding."""
    settings = json.loads(path.with_name("magika_config.json").read_text(encoding="utf-8"))
    content = Path(colorsys.__file__).read_bytes()
    size, block = settings["beg_size"], settings["block_size"]
    start, end = content[:block].lstrip()[:size], content[-block:].rstrip()[-size:]
    row = np.full(size + settings["end_size"], settings["padding_token"], np.int32)
    row[: len(start)] = list(start)
    row[len(row) - len(end) :] = list(end)
    return RealModel(
        {"bytes": row[None]},
        output="target_label",
        target=(0, settings["target_labels_space"].index("python")),
        expected=1.0,
        tolerance=0.05,
        top=True,
        says="the source of Python's colorsys module: python",
    )
