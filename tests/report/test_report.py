"""The HTML report: complete, self-contained, escaped, readable without eyes."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from onnxplain.attribution import Attribution
from onnxplain.checks import Conservation, Unchecked
from onnxplain.report import Panel, Picture, Section, rules_of, sample_section, write_report
from onnxplain.written import WrittenMethod

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Collects images and text, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data


def attribution(
    shape: tuple[int, ...] = (1, 12, 12),
    *,
    method: str = "Saliency()",
    target: int = 7,
    promise: bool = False,
) -> Attribution:
    """Make a result for two samples."""
    values = RNG.normal(size=(2, *shape)).astype(np.float32)
    total = values.reshape(2, -1).sum(axis=1)
    delta = np.array([0.02, 0.04])
    predictions = np.full((2, 10), 0.05)
    predictions[:, 7] = 0.55
    return Attribution(
        arrays={"x": values},
        inputs={"x": RNG.uniform(size=values.shape).astype(np.float32)},
        target=np.full((2, 1), target),
        score=np.array([3.25, 4.5]),
        predictions=predictions,
        check=Conservation(total - delta, delta) if promise else Unchecked(),
        method=WrittenMethod(method),
        rule_table=(("conv<1>", "Conv", "zplus"),) if "LRP" in method else (),
    )


def test_page_is_whole_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    results = [
        attribution(),
        attribution(method="LRP(composite='epsilon_plus')", promise=True),
        attribution(target=2),
    ]
    section = sample_section(results, 1, title="A seven", class_labels=[f"digit {i}" for i in range(10)])
    path = write_report(
        tmp_path / "report.html",
        "Why?",
        [section],
        lead="Because.",
        facts=[("model", "digits.onnx")],
        notes=["opset raised"],
        guide=[("LRP", "shares out")],
        rules=rules_of(results),
    )
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    for words in (
        "Why?",
        "Because.",
        "digits.onnx",
        "opset raised",
        "shares out",
        "A seven",
        "conv<1>",
        "zplus",
    ):
        assert words in page.text
    assert "The model says 7 digit 7 (55.0 %)" in page.text
    assert "Explained score: 7 digit 7" in page.text
    assert "Explained score: 2 digit 2" in page.text
    assert "4.5" in page.text
    assert "0.04 (" in page.text
    assert "no promise" in page.text
    assert not re.search(r"https?://|src=\"(?!data:)|@import|url\(|<script", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_every_image_has_a_text_and_is_a_png(tmp_path: Path) -> None:
    section = sample_section([attribution()], title="One")
    page = Page(write_report(tmp_path / "r.html", "t", [section]).read_text(encoding="utf-8"))
    assert len(page.images) == 3  # the sample, the heatmap, and the overlay that belongs to the heatmap
    assert [bool(image["alt"]) for image in page.images] == [True, True, False]
    assert "for 7" in str(page.images[1]["alt"])
    for image in page.images:
        kind, data = str(image["src"]).split(",", 1)
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).format == "PNG"


@pytest.mark.parametrize("shape", [(7,), (300,), (3, 40), (12, 12, 3)])
def test_other_kinds_of_samples(shape: tuple[int, ...], tmp_path: Path) -> None:
    section = sample_section([attribution(shape)], title="One")
    page = Page(write_report(tmp_path / "r.html", "t", [section]).read_text(encoding="utf-8"))
    assert page.images


def test_tokens_are_text(tmp_path: Path) -> None:
    result = attribution((4,))
    result.inputs["x"] = np.arange(8).reshape(2, 4)
    section = sample_section([result], title="One", labels=["a", "<i>", "c", "d"])
    html = write_report(tmp_path / "r.html", "t", [section]).read_text(encoding="utf-8")
    page = Page(html)
    assert not page.images
    assert "<i>" in page.text
    assert "<i>" not in html.replace("<i></i>", "")
    assert 'role="img" aria-label="Saliency() for 7: strongest at positions' in html


def test_several_inputs_each_have_a_panel() -> None:
    one = attribution()
    one.arrays["y"], one.inputs["y"] = one.arrays["x"][:, 0], one.inputs["x"][:, 0]
    (group,) = sample_section([one], title="One").groups
    assert [panel.caption for panel in group.panels] == ["Saliency · x", "Saliency · y"]


def test_text_is_escaped(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    section = Section(bad, bad, (Picture(bad, b"png"),))
    html = write_report(
        tmp_path / "r.html", bad, [section], lead=bad, facts=[(bad, bad)], notes=[bad]
    ).read_text()
    assert "<script" not in html


def test_empty_section_and_panel(tmp_path: Path) -> None:
    assert sample_section([], title="nothing") == Section("nothing")
    Page(write_report(tmp_path / "r.html", "t", [Section("nothing")]).read_text(encoding="utf-8"))
    assert Panel("a", Picture("b")).facts == ()
