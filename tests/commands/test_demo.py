"""The demo writes what it promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from command_line import run

from onnxplain.commands.demo_table import write_table_report

if TYPE_CHECKING:
    from pathlib import Path


def test_demo_is_quiet_and_writes_it_all(tmp_path: Path) -> None:
    said = run("demo", "-o", str(tmp_path / "new" / "folder"), "-q").output
    assert said == ""
    report = tmp_path / "new" / "folder" / "report.html"
    html = report.read_text(encoding="utf-8")
    pictures = sorted(path.name for path in report.parent.glob("*.png"))
    assert pictures == [
        "digit-0-sample-0.png",
        "digit-3-sample-3.png",
        "digit-4-sample-4.png",
        "digit-5-sample-11.png",
        "digit-7-sample-10.png",
        "digit-8-sample-8.png",
    ]
    assert html.count("<section") == 7
    assert html.count('<th scope="row"') == 1 + 20  # the grid: the digits, and all methods
    assert ">5 as 6</th>" in html
    assert "A 7, almost taken for a 2" in html
    assert "A 5, taken for a 6" in html
    assert html.count("<figure>") == 6 * 7 + 2 * 7  # digits by methods, two of them twice
    for method in (
        "Saliency",
        "SmoothGrad",
        "InputXGradient",
        "IntegratedGradients",
        "GuidedBackprop",
        "LRP",
    ):
        assert f'<b title="{method}(' in html
    assert "Which rule went to which node: LRP(" in html
    assert "before the closing Softmax" in html
    assert 'href="table.html"' in html


def test_the_table_next_to_it(tmp_path: Path) -> None:
    page = write_table_report(tmp_path / "table.html")
    html = page.read_text(encoding="utf-8")
    assert html.count("<section") == 1 + 3  # all rows, and three of them
    assert html.count("<figure>") == 2 + 4 + 3
    assert "40 patients: all 40 rows" in html
    assert "40 patients, the highest" in html
    assert '<b title="TreeShap(' in html
    assert 'href="report.html"' in html
    shares = re.findall(r"off by</dt><dd>\S+ \(([^)]*)\)", html)
    assert len(shares) == 3
    assert set(shares) == {"less than 0.01\xa0%"}
