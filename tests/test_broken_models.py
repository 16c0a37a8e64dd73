"""Broken files: an error with a name, or what onnxruntime says; no crash, and no hang.

A process of its own reads them, so that a crash is seen and named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import broken_models
import numpy as np
import onnx
import pytest

import onnxplain as ox
from onnxplain import errors

RUNNER = Path(__file__).with_name("helpers") / "broken_runner.py"
SECONDS = 10
FINE = ("ok", "refused", "predicts", "runs nowhere")


def outcomes(files: Iterable[tuple[str, bytes]], folder: Path) -> dict[str, str]:
    """Return what came of each file, by what was done to it."""
    titles = {}
    for k, (title, content) in enumerate(files):
        (folder / f"{k:05d}").write_bytes(content)
        titles[f"{k:05d}"] = title
    path = os.pathsep.join([str(Path(ox.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    found: dict[str, str] = {}
    while len(found) < len(titles):
        done = subprocess.run(
            [sys.executable, str(RUNNER), str(folder), str(SECONDS)], env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            if line.startswith("["):
                name, what, _ = json.loads(line)
                found[titles[name]] = what
                (folder / name).unlink()
        if done.returncode:
            name = min(p.name for p in folder.iterdir())
            found[titles[name]] = f"crashes ({done.returncode}): {done.stderr[-1000:]}"
            (folder / name).unlink()
    return found


def assert_fine(found: dict[str, str]) -> Counter[str]:
    wrong = {title: what for title, what in found.items() if what not in FINE}
    assert not wrong, wrong
    return Counter(found.values())


def test_bases_are_fine(tmp_path) -> None:
    """Before anything is broken, all that is compared is right."""
    files = ((name, model.SerializeToString()) for name, model in broken_models.bases().items())
    assert set(outcomes(files, tmp_path).values()) == {"ok"}


@pytest.mark.parametrize("seed", range(4))
def test_720_flipped_files(seed, tmp_path) -> None:
    counts = assert_fine(outcomes(broken_models.flipped(180, seed=seed), tmp_path))
    assert counts["ok"] > 3


def test_all_made_files(tmp_path) -> None:
    files = list(broken_models.made())
    assert len(files) > 600
    counts = assert_fine(outcomes(files, tmp_path))
    assert counts["ok"] > 100
    assert counts["refused"] > 300


@pytest.mark.parametrize("where", ["node", "output", "doc", "metadata", "dim"])
@pytest.mark.parametrize("method", ["saliency", "lrp"])
def test_names_in_gbk_run(where, method, models) -> None:
    """As in onnxruntime, and with the explanation of the same model with names in UTF-8."""
    base = models.mlp()
    content = broken_models.MADE[f"gbk {where}"](copy(base))
    x = models.random(2, 5)
    found = ox.explain(content, x, 1, method=method)
    expected = ox.explain(base, x, 1, method=method)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.predictions, expected.predictions)
    if where == "node" and method == "lrp":
        assert "\\xc4\\xe3\\xba\\xc3" in {row[0] for row in found.rule_table}
    ox.inspect(content)


def test_input_named_in_gbk(models, tmp_path) -> None:
    base = models.mlp()
    content = broken_models.MADE["gbk input"](copy(base))
    explainer = ox.Explainer(content)
    x = models.random(2, 5)
    (name,) = (i.name for i in explainer.inputs)
    assert name == "\\xc4\\xe3\\xba\\xc3"
    np.testing.assert_array_equal(
        explainer({name: x}, 1, "saliency").values, ox.explain(base, x, 1, method="saliency").values
    )
    (tmp_path / "gbk.onnx").write_bytes(content)
    made = ox.export(tmp_path / "gbk.onnx", tmp_path / "out.onnx", method="saliency")
    assert made.inputs[0] == name


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def test_outputs_that_are_inputs_or_initializers(models, tmp_path) -> None:
    model = models.mlp()
    for name, shape in (("x", ["N", 5]), ("v", [8, 3])):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, shape))
    explainer = ox.Explainer(model)
    x = models.random(2, 5)
    found = explainer.predict(x)
    assert list(found) == ["y", "x/output", "v"]
    np.testing.assert_array_equal(found["x/output"], x)
    np.testing.assert_array_equal(found["v"], onnx.numpy_helper.to_array(model.graph.initializer[1]))
    assert "output 'x' is an input; it is called 'x/output'" in explainer.notes
    expected = ox.explain(models.mlp(), x, 1, method="lrp").values
    np.testing.assert_array_equal(explainer(x, 1, "lrp", output="y").values, expected)
    unit = explainer(x, 3, "saliency", output="x/output").values
    np.testing.assert_array_equal(unit, np.tile(np.eye(5)[3], (2, 1)))
    ox.export(model, tmp_path / "a.onnx", method="saliency", output="y")


MENDS = {
    "no inputs": ("has no inputs", lambda m: m.graph.ClearField("input")),
    "optional input": ("optional type", broken_models._optional),
    "output twice": ("names the output 'y' twice", broken_models._double("output")),
    "dtype of Cast": ("dtype 99", lambda m: broken_models._first(m).CopyFrom(
        onnx.helper.make_node("Cast", ["x"], ["a"], to=99))),
}  # fmt: skip


@pytest.mark.parametrize("what", MENDS)
def test_errors_say_what_is_wrong(what, models) -> None:
    words, change = MENDS[what]
    model = models.mlp()
    if what == "no inputs":
        model.graph.node[0].input[0] = "w"
    change(model)
    with pytest.raises(errors.InvalidModelError, match=words):
        ox.Explainer(model)
