"""Tutorials show what running them gives, and what would not is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sybil")

import tutorials
from PIL import Image
from tutorials import Page, PageError

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.path.stem: page for page in tutorials.pages()}


@pytest.mark.parametrize("name", [name for name in PAGES if name != "index"])
def test_a_page_shows_what_it_does(name) -> None:
    missing = PAGES[name].missing()
    if missing:
        pytest.skip(f"{', '.join(missing)}: tools/fetch_models.py fetches them")
    done = subprocess.run(  # pages register rules and operators, for their process alone
        [sys.executable, "-W", "error::DeprecationWarning:onnxplain", "tools/tutorials.py", "--check", name],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{name}: as it is shown\n"


def test_all_pages_are_listed() -> None:
    listed = PAGES["index"].text
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in PAGES:
        assert f"tutorials/{name}.md" in navigation
        assert name == "index" or f"({name}.md)" in listed


def block(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```", "", ""])


PRINTS = block("python", "print('a', 1 / 3)")


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("ONNXPLAIN_MODELS", str(tmp_path / "models"))

    def written(text: str) -> Page:
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return Page(tmp_path / "page.md")

    return written


@pytest.mark.parametrize("shown", ["a 0.33333", "a 0.33334", "a 0.3334"])
def test_the_last_digit_may_differ(page, shown) -> None:
    tutorials.check(page(block("python", "print('a', 0.33333)") + block("text", shown)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PRINTS + block("text", "a 0.34"), "the page has 'a 0.34', and running it gives 'a 0.333"),
        (PRINTS + block("text", "b 0.3333"), "the page has 'b 0.3333'"),
        (PRINTS + block("text", "a 0.3333", "more"), "-more"),
        (PRINTS, "what is printed before the end is not shown: 'a 0.333"),
        (PRINTS + block("python", "1"), "what is printed before line 5 is not shown"),
        (block("text", "a"), "nothing was printed that could stand here"),
        (block("python", "1 / 0"), "page.md:1: ZeroDivisionError"),
        (block("console", "$ rm -r folder"), "pages run onnxplain and python, and not rm"),
        (block("console", "$ python -c 'print(3)'", "4"), "the page has '4', and running it gives '3'"),
        ("![a picture](missing.png)", "missing.png is shown, and not drawn"),
    ],
)
def test_a_page_that_is_not_true_is_found(page, text, said) -> None:
    with pytest.raises(PageError) as found:
        tutorials.check(page(text))
    assert said in str(found.value)


def test_integers_are_exact() -> None:
    assert list(tutorials.differences("7 of 9", "8 of 9"))
    assert not list(tutorials.differences("1e-05 of 0.00001", "1e-05 of 0.00002"))


DRAWS = "from PIL import Image\n\nImage.new('RGB', (40, 40), {!r}).save('drawn.png')"


@pytest.mark.parametrize(
    ("size", "colour", "said"),
    [((40, 40), "red", None), ((40, 40), "blue", "another picture"), ((40, 41), "red", "another picture")],
)
def test_pictures_are_compared(page, tmp_path, size, colour, said) -> None:
    Image.new("RGB", size, colour).save(tmp_path / "drawn.png")
    made = page(block("python", DRAWS.format("red")) + "![a picture](drawn.png)")
    if said is None:
        tutorials.check(made)
    else:
        with pytest.raises(PageError, match=said):
            tutorials.check(made)


def test_what_a_page_prints_is_written_into_it(page) -> None:
    stale = page(PRINTS + block("text") + block("console", "$ python -c 'print(3)'", "old"))
    tutorials.write(stale)
    lines = stale.text.splitlines()
    assert lines[4:7] == ["```text", "a 0.3333333333333333", "```"]
    assert lines[8:12] == ["```console", "$ python -c 'print(3)'", "3", "```"]
    tutorials.check(stale)


def test_a_page_says_which_models_it_needs(page, tmp_path) -> None:
    made = page(block("python", "from pathlib import Path; Path('models/a.txt').read_text()"))
    assert made.missing() == ["a.txt"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.txt").write_text("here")
    assert made.missing() == []
    tutorials.check(made)
    with pytest.raises(PageError, match="there is no tutorial nothing"):
        tutorials.pages(["nothing"])
