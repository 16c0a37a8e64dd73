"""The table of operators, and the document made from it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from onnxplain.commands.cli import app
from onnxplain.graph.decomposition import DECOMPOSITIONS
from onnxplain.testing.coverage import as_markdown, as_text, coverage

ROWS = coverage()
BY_NAME = {(row.domain, row.op_type): row for row in ROWS}


@pytest.fixture(scope="module")
def tool():
    path = Path(__file__).parents[2] / "tools" / "make_coverage.py"
    spec = importlib.util.spec_from_file_location("make_coverage", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_operator_of_the_standard_is_there():
    standard = {(s.domain, s.name) for s in onnx.defs.get_all_schemas() if s.domain in ("", "ai.onnx.ml")}
    assert standard <= set(BY_NAME)
    assert set(DECOMPOSITIONS) <= set(BY_NAME)
    assert len(BY_NAME) == len(ROWS)


def test_no_operator_is_left_unexplained():
    assert [row for row in ROWS if "no rule" in row.gradient] == []


@pytest.mark.parametrize(
    ("domain", "op_type", "since", "gradient"),
    [
        ("", "Sigmoid", 1, "own rule"),
        ("", "AffineGrid", 20, "function body"),
        ("", "QLinearConv", 10, "decomposition"),
        ("", "Floor", 1, "zero"),
        ("", "ArgMax", 1, "none: its output is an index"),
        ("", "Scatter", 9, "raised to ScatterElements"),
        ("com.microsoft", "FusedConv", 1, "decomposition"),
        ("ai.onnx.ml", "SVMClassifier", 1, "decomposition"),
        ("ai.onnx.ml", "TreeEnsemble", 5, "none: trees are constant between their thresholds"),
    ],
)
def test_rows(domain, op_type, since, gradient):
    row = BY_NAME[domain, op_type]
    assert (row.since, row.gradient) == (since, gradient)


def test_command():
    result = CliRunner().invoke(app, ["coverage"])
    assert result.exit_code == 0
    assert result.output.strip() == as_text(ROWS).strip()


def test_markdown_counts_cases(tool):
    text = as_markdown(ROWS, {("", "Sigmoid"): 3})
    assert "| Sigmoid | 1 | elementwise | own rule | 3 |" in text
    assert tool.facts(text)["ai.onnx", "Sigmoid"] == ("elementwise", "own rule")


def test_what_is_not_up_to_date_is_named(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "count_cases", dict)
    monkeypatch.setattr(tool, "DOCUMENT", tmp_path / "coverage.md")
    monkeypatch.setattr(sys, "argv", ["make_coverage.py", "--check"])
    assert tool.main() == 1
    assert "does not exist" in capsys.readouterr().err
    tool.DOCUMENT.write_text(tool.made(), encoding="utf-8")
    assert tool.main() == 0
    tool.DOCUMENT.write_text(tool.made().replace("own rule | ", "zero | "), encoding="utf-8")
    assert tool.main() == 1
    assert "its rows differ); run: python tools/make_coverage.py" in capsys.readouterr().err


def test_another_version_of_onnx_compares_what_both_have(tool):
    document = tool.HEADER.format(version="0.0.1") + as_markdown(ROWS[1:], {})
    assert tool.outdated(document) == ""
    wrong = document.replace("| Sigmoid | 1 | elementwise | own rule |", "| Sigmoid | 1 | zero | zero |")
    assert tool.outdated(wrong) == "it is wrong about Sigmoid"
