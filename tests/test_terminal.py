"""What names and labels hold can neither steer a terminal nor end a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.report import rules_of, sample_section, write_report
from onnxplain.text import visible, visible_line

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eback\r\n\x00end"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def evil_model(models) -> onnx.ModelProto:
    """Name everything so that a terminal would obey it."""
    model = models.mlp()
    names = {v: f"{v}{EVIL}" for v in "xyah"}
    for node in model.graph.node:
        node.name = f"node {EVIL}"
        node.input[:] = [names.get(i, i) for i in node.input]
        node.output[:] = [names.get(o, o) for o in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = f"N{EVIL}"
    return model


def test_text() -> None:
    assert visible("a\x1b[1m\n你好 é 👩‍👩‍👧") == "a\\x1b[1m\n你好 é 👩‍👩‍👧"
    assert visible_line("a\r\n\tb\udc80\u202e") == "a b\\udc80\\u202e"
    assert not STEERS.search(visible_line(EVIL))


@pytest.mark.parametrize("kind", [k for k in errors.__all__ if k != "OnnxplainError"])
def test_every_error_is_clean(kind) -> None:
    error = getattr(errors, kind)(f"node '{EVIL}' is broken")
    assert not STEERS.search(str(error))
    assert "\\x1b[31mred" in str(error)
    assert "\n" not in str(error)


def test_errors_of_a_model(models) -> None:
    model = evil_model(models)
    explainer = ox.Explainer(model)
    x = models.random(2, 5)
    calls = (
        lambda: explainer(x[:, :3], 1),
        lambda: explainer({EVIL: x}, 1),
        lambda: explainer(x, 1, output=EVIL),
        lambda: explainer(x, 1, wrt=EVIL),
        lambda: explainer(x, 7),
        lambda: explainer(x, 1, EVIL),
        lambda: ox.Explainer(f"{EVIL.replace(chr(0), '')}.onnx"),
        lambda: ox.Explainer(broken(model)),
    )
    for call in calls:
        with pytest.raises(errors.OnnxplainError) as caught:
            call()
        assert not STEERS.search(str(caught.value))
    found = explainer(x, 1, "lrp")
    assert not STEERS.search(repr(found))
    assert not STEERS.search(str(found.rule_table)), "a tuple's repr escapes"


def broken(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.node[1].op_type = f"Odd{EVIL}"
    return made


def test_reports_escape(models, tmp_path) -> None:
    found = ox.explain(evil_model(models), models.random(2, 5), 1, method="lrp")
    labels = [f"<script>alert(1)</script>{k}{EVIL}" for k in range(5)]
    section = sample_section([found], title="<b>bold", class_labels=labels, labels=labels)
    write_report(tmp_path / "a.html", "<i>title", [section], notes=["<u>"], rules=rules_of([found]))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert "<i>title" not in page


SCRIPT = """
import sys
from onnxplain.commands.cli import app
for line in sys.stdin.buffer.read().split(b"\\1"):
    try:
        app([part.decode() for part in line.split(b"\\2")])
    except SystemExit as end:
        sys.stdout.write(f"\\n<{end.code}>\\n")
"""


def commands(folder: Path, *lines: str, **environment: str) -> tuple[str, list[int]]:
    """Run command lines, one after the other, in a process of their own: all they say, and the exit codes."""
    path = os.pathsep.join(filter(None, [str(Path(ox.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="\1".join(line.replace(" ", "\2") for line in lines).encode(),
        cwd=folder, check=False, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    text = done.stdout.decode()
    assert "Traceback" not in text
    return text, [int(code) for code in re.findall(r"^<(\d+)>$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("terminal")
    onnx.save(evil_model(models), place / "evil.onnx")
    plain = models.mlp()
    for node in plain.graph.node:
        node.name = f"你好 {node.name}"
        node.output[:] = [o if o == "y" else f"é{o}" for o in node.output]
        node.input[:] = [f"é{i}" if i in "ah" else i for i in node.input]
    onnx.save(plain, place / "unicode.onnx")
    np.save(place / "x.npy", models.random(1, 5))
    (place / "labels.txt").write_text(
        "\n".join(["你好", EVIL.replace("\n", " ").replace("\r", " "), "c"]), "utf-8"
    )
    return place


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "C"])
def test_any_terminal(encoding, folder) -> None:
    """Terminals that cannot show a letter show its number."""
    environment = {"PYTHONIOENCODING": encoding}
    if encoding == "C":
        environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    text, codes = commands(
        folder,
        "inspect unicode.onnx -c epsilon",
        "explain unicode.onnx x.npy -m saliency -t 0 -o a.npz --labels labels.txt",
        "explain unicode.onnx x.npy --output-name 你好",
        **environment,
    )
    assert codes == [0, 0, 2]
    assert text.count("你好" if encoding == "utf-8" else "\\u4f60\\u597d") > 4
    assert re.search("^error: .*no output", text, re.MULTILINE)


def test_nothing_reaches_the_terminal(folder) -> None:
    text, codes = commands(
        folder,
        "inspect evil.onnx -c epsilon",
        "explain evil.onnx x.npy -m saliency -t 1 -o a.npz -o a.png --labels labels.txt",
        "explain evil.onnx x.npy -t 9",
        "explain evil.onnx x.npy --input z",
        "export evil.onnx b\x1b[31m.onnx",
    )
    assert codes == [0, 0, 2, 2, 0]
    assert not STEERS.search(text.replace("\r", "")), "but for the progress bar's own returns"
    assert text.count("\\x1b[31m") > 10
