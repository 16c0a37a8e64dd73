"""Tables in the HTML report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from table_models import Frame, by_column, matrix

import onnxplain as ox
from onnxplain.report import is_table, table_sections, write_report


def people(rows: int) -> ox.Attribution:
    rng = np.random.default_rng(0)
    columns = {
        "age": np.arange(rows),
        "income": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
        "city": rng.choice(["Rome", "<b>Oslo</b>"], rows),
        "children": np.ones(rows, int),
    }
    return ox.explain(by_column(), Frame(columns), method="feature_ablation")


def test_all_rows_then_some_of_them(tmp_path: Path) -> None:
    result = people(25)
    assert is_table(result)
    sections = table_sections(result, title="t.csv", row_names=[f"<p{i}>" for i in range(25)])
    assert len(sections) == 21
    assert sections[0].title == "t.csv: all 25 rows"
    assert "The first 20 are below" in sections[0].text
    matter, how = sections[0].groups
    assert [p.caption for p in matter.panels] == ["Mean size", "Each row a dot"]
    assert [p.caption for p in how.panels] == ["age", "income", "city"]  # children is the same everywhere
    assert how.panels[0].picture.alt == "attributions of age by its value; correlation 1.00"
    assert how.panels[2].picture.alt == "attributions of city by its value"
    assert sections[3].title == "t.csv, <p2>"
    assert "strongest: " in sections[3].groups[0].panels[0].picture.alt
    page = write_report(tmp_path / "why.html", "Why", sections).read_text("utf-8")
    assert "&lt;p2&gt;" in page
    assert "<p2>" not in page


def test_one_row_has_no_overview() -> None:
    (section,) = table_sections(people(1), title="t.csv")
    assert section.title == "t.csv"
    assert section.groups[0].title == "Explained score: the only score"


def test_arrays_without_names_are_no_table() -> None:
    x = np.ones((2, 3), np.float32)
    assert not is_table(ox.explain(matrix(), x, method="ig"))
    assert is_table(ox.explain(matrix(), x, method="ig", feature_names=["a", "b", "c"]))
