"""A model card: what an exported file takes and gives, in words, beside it."""

from __future__ import annotations

from pathlib import Path

import onnx

from onnxplain.exported_file.record import Record
from onnxplain.exported_file.write import Written
from onnxplain.files import replacing
from onnxplain.text import visible_line

__all__ = ["write_card"]

_MEANINGS = {
    "attribution": "how much each entry of the input adds to the explained score",
    "delta": "how far the sum of the attributions is from what it must be",
    "standard_error": "how well the mean of random draws is known",
    "map": "the activation map itself",
}


def write_card(path: Path, written: Written, record: Record, source_size: int) -> Path:
    """Write ``<name>.md`` beside a file.

    Parameters
    ----------
    path
        Of the exported file.
    written, record
        The file, and how it was made.
    source_size
        Bytes of the model's weights.
    """
    graph = written.proto.graph
    opset = max((o.version for o in written.proto.opset_import if o.domain in ("", "ai.onnx")), default=0)
    beside = "" if written.data is None else f" (weights in `{written.data.name}`, which must lie beside it)"
    lines = [
        f"# {visible_line(path.stem)}",
        "",
        f"A model that predicts and explains in one run, written by onnxplain {record.version}.",
        "",
        f"* File: `{visible_line(path.name)}`, {_bytes(written.size)}{beside}.",
        f"* The model's weights: {_bytes(source_size)}.",
        f"* ONNX opset {opset}, IR version {written.proto.ir_version}, operators of the standard alone.",
        f"* Made from a model whose content has the SHA-256 `{record.source}`.",
        "",
        "## Method",
        "",
    ]
    for label, method in record.methods.items():
        lines.append(
            f"* {'' if not label else f'`{visible_line(label)}`: '}`{visible_line(method['method'])}`"
        )
    lines += ["", "| option | value |", "|---|---|"]
    lines += [f"| {k} | `{v}` |" for k, v in sorted(record.options.items()) if v is not None]
    for title, values in (("Inputs", graph.input), ("Outputs", graph.output)):
        lines += ["", f"## {title}", "", "| name | type | meaning |", "|---|---|---|"]
        lines += [f"| `{visible_line(v.name)}` | {_type(v)} | {_meaning(v.name, record)} |" for v in values]
    lines += [
        "",
        "## Is it right?",
        "",
        "```",
        f"onnxplain verify {visible_line(path.name)} --against MODEL.onnx --inputs x.npz",
        "```",
        "",
    ]
    card = path.with_suffix(".md")
    with replacing(card) as file:
        file.write("\n".join(lines).encode())
    return card


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def _type(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    dims = ", ".join(str(d.dim_param or d.dim_value or "?") for d in tensor.shape.dim)
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower() if tensor.elem_type else "?"
    return visible_line(f"{name} ({dims})")


def _meaning(name: str, record: Record) -> str:
    if name in record.preprocessing:
        return "images as they are read; the file resizes, scales and lays them out itself"
    if name == record.target:
        return "the explained class of each sample (or the index of the score)"
    if name.split("/")[0] in _MEANINGS and "/" in name:
        return _MEANINGS[name.split("/")[0]]
    return "the explained target that the file found" if name.startswith("target") else "of the model"
