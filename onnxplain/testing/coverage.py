"""Which operators have a gradient, how, and if not, why.

The operators are those of the installed ``onnx`` (ai.onnx and ai.onnx.ml), and those of onnxruntime's own
domain that are written out in the standard's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

import onnxplain.backward.ops  # noqa: F401  (fills the table)
from onnxplain.backward.registry import Category, lookup
from onnxplain.graph.decomposition import CLASSIC, CONTRIB, DECOMPOSITIONS
from onnxplain.graph.passes.normal import has_body
from onnxplain.graph.quantized.standard import QUANTIZED

__all__ = ["CoverageRow", "as_markdown", "as_text", "coverage"]

#: Operators that stand outside the tables, and what happens to them.
_ELSEWHERE = {
    ("", "Scatter"): "raised to ScatterElements",
    ("", "Upsample"): "raised to Resize",
    (CLASSIC, "ZipMap"): "none: its output is a map; the scores in it are read as a tensor",
}
_NEWEST = onnx.defs.onnx_opset_version()
_SEQUENCES = "none: sequences are rewritten as tensors where that is the same, or refused"
_NONE = {
    **dict.fromkeys(
        (
            *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase"),
            *("SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence"),
        ),
        _SEQUENCES,
    ),
    **dict.fromkeys(("Optional", "OptionalGetElement", "OptionalHasElement"), "none: optional values"),
    "ImageDecoder": "none: its input is a compressed file",
    "Unique": "none: how many outputs there are depends on the values",
}
_DOMAINS = {"": "ai.onnx", CLASSIC: CLASSIC, CONTRIB: CONTRIB}


@dataclass(frozen=True)
class CoverageRow:
    """One operator.

    Attributes
    ----------
    domain, op_type
        The operator; the standard's domain is ``""``.
    since
        Version of its domain in which it came, 1 for onnxruntime's own.
    category
        What it does with its values, ``""`` where it has no rule of its own.
    gradient
        ``"own rule"``, ``"function body"``, ``"decomposition"``, ``"zero"`` or ``"none: <reason>"``.
    """

    domain: str
    op_type: str
    since: int
    category: str
    gradient: str


def coverage() -> tuple[CoverageRow, ...]:
    """Return one row per operator, by domain and name."""
    first: dict[tuple[str, str], int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        key = (schema.domain, schema.name)
        first[key] = min(schema.since_version, first.get(key, schema.since_version))
    known = {key: since for key, since in first.items() if key[0] in ("", CLASSIC)}
    known |= {key: 1 for key in (*DECOMPOSITIONS, *QUANTIZED) if key[0] == CONTRIB}
    rows = [_row(domain, op_type, since) for (domain, op_type), since in known.items()]
    order = list(_DOMAINS)
    return tuple(sorted(rows, key=lambda r: (order.index(r.domain), r.op_type)))


def _row(domain: str, op_type: str, since: int) -> CoverageRow:
    key = (domain, op_type)
    rule = lookup(ir.node(op_type, [ir.Value(name="x")], domain=domain))
    category = ""
    # also of what is written out in part only, such as the last step of trees
    none = rule is not None and rule.category is Category.NONDIFFERENTIABLE
    if key in _ELSEWHERE:
        gradient = _ELSEWHERE[key]
    elif not none and (key in DECOMPOSITIONS or key in QUANTIZED):
        gradient = "decomposition"
    elif rule is not None:
        category = rule.category.value.replace("_", " ")
        if rule.category is Category.ZERO:
            gradient = "zero"
        else:
            gradient = f"none: {rule.reason}" if rule.category is Category.NONDIFFERENTIABLE else "own rule"
    elif op_type in _NONE and not domain:
        gradient = _NONE[op_type]
    else:
        gradient = "function body" if has_body(op_type, domain, _NEWEST) else "none: no rule is registered"
    return CoverageRow(domain, op_type, since, category, gradient)


def as_text(rows: tuple[CoverageRow, ...]) -> str:
    """Return rows as a table for the terminal."""
    table = [("operator", "since", "category", "gradient")]
    for row in rows:
        name = f"{row.domain}::{row.op_type}" if row.domain else row.op_type
        table.append((name, str(row.since), row.category or "-", row.gradient))
    widths = [max(len(line[k]) for line in table) for k in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def as_markdown(rows: tuple[CoverageRow, ...], cases: Mapping[tuple[str, str], int]) -> str:
    """Return rows as Markdown tables, one per domain.

    Parameters
    ----------
    rows
        Rows.
    cases
        How many generated test cases check the gradient, by domain and operator.
    """
    lines: list[str] = []
    for domain, title in _DOMAINS.items():
        chosen = [r for r in rows if r.domain == domain]
        flows = sum(not r.gradient.startswith("none") for r in chosen)
        lines += [f"## {title}", "", f"{len(chosen)} operators; {flows} with a gradient (0 is one).", ""]
        lines += ["| operator | since | category | gradient | cases |", "|---|---|---|---|---|"]
        for r in chosen:
            count = cases.get((domain, r.op_type), 0)
            lines.append(f"| {r.op_type} | {r.since} | {r.category} | {r.gradient} | {count or ''} |")
        lines.append("")
    return "\n".join(lines)
