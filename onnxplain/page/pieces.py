"""Weights once: files are cut at what they have in common, and put together again in the browser."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import onnx
from onnx import numpy_helper

__all__ = ["Pieces", "cut"]

#: Places in the file of weights, (start, length), and in a file's own rest, (-1, length), in their order.
Pieces: TypeAlias = "list[tuple[int, int]]"

#: Bytes; what is smaller stays where it is.
_LARGE = 1024


def cut(models: Sequence[Path], weights: Path) -> dict[str, Pieces]:
    """Take the weights out of files, each once, whichever of them hold it.

    onnxruntime-web finds weights outside a file only from its outermost graph, and plans have them in the
    body of a loop; so the page puts each file together before it is loaded.

    Parameters
    ----------
    models
        ``.onnx`` files; of each only the rest is left, under its name with ``.rest``.
    weights
        File to write.

    Returns
    -------
    dict
        By the files' stems, what they are made of.
    """
    places: dict[bytes, int] = {}
    made: dict[str, Pieces] = {}
    with weights.open("wb") as file:
        for path in models:
            content = path.read_bytes()
            pieces, rest, end = [], [], 0
            for start, length in _found(content):
                part = content[start : start + length]
                key = hashlib.sha256(part).digest()
                if key not in places:
                    places[key] = file.tell()
                    file.write(part)
                pieces += [(-1, start - end), (places[key], length)]
                rest.append(content[end:start])
                end = start + length
            pieces.append((-1, len(content) - end))
            rest.append(content[end:])
            path.with_suffix(".rest").write_bytes(b"".join(rest))
            path.unlink()
            made[path.stem] = pieces
    return made


def _found(content: bytes) -> list[tuple[int, int]]:
    """Return where large weights lie in a file, (start, length), in order."""
    graph = onnx.load_model_from_string(content).graph
    texts = onnx.TensorProto.STRING
    held = {numpy_helper.to_array(t).tobytes() for t in _weights(graph) if t.data_type != texts}
    held = {part for part in held if len(part) >= _LARGE}
    taken: list[tuple[int, int]] = []
    for part in sorted(held, key=len, reverse=True):
        start = content.find(part)
        while start >= 0:
            if all(start + len(part) <= other or start >= other + length for other, length in taken):
                taken.append((start, len(part)))
            start = content.find(part, start + len(part))
    return sorted(taken)


def _weights(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the weights of a graph and of the bodies in it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _weights(body)
