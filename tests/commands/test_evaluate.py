"""``onnxplain evaluate``: samples in, tables and a report out."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, failure, run
from PIL import Image

import onnxplain as ox
from onnxplain.commands.specs import method_specs, metric_specs
from onnxplain.data import digits_samples
from onnxplain.errors import MethodError
from onnxplain.metrics import FAMILIES

METHODS = "saliency,integrated_gradients:n_steps=4:baselines=blur,tree_shap"
METRICS = "pixel_flipping:features_in_step=100,pointing_game,sparseness"


@pytest.fixture
def data(folder: Path) -> Path:
    """Six digits as an array and in a folder, with masks and targets."""
    images, truth = digits_samples()
    np.save("six.npy", images[:6])
    np.save("truth.npy", truth)
    np.save("masks.npy", images[:, 0] > 0.3)
    for where, level in (("pictures", 0.0), ("masks", 0.3)):
        (folder / where).mkdir()
        for k, image in enumerate(images[:6, 0]):
            shown = np.where(image > level, np.maximum(image, level and 1), 0)
            Image.fromarray((shown * 255).round().astype(np.uint8)).save(folder / where / f"{k}.png")
    (folder / "pictures" / "notes.txt").write_text("no picture")
    return folder


def test_an_array_gives_all_files(data: Path) -> None:
    outs = [f"trust{ending}" for ending in (".html", ".csv", ".json", ".npz", ".png")]
    told = run(
        "evaluate", MODEL, "six.npy", "-n", "4", "-t", "truth.npy", "--masks", "masks.npy", "-m", METHODS,
        "--metrics", METRICS, "--seed", "0", *(part for out in outs for part in ("-o", out)),
    )  # fmt: skip
    assert all(Path(out).stat().st_size for out in outs)
    assert "failed: tree_shap: MethodError: the model has no trees" in told.stdout
    found = ox.Evaluation.load("trust.npz")
    assert found.n == 4
    assert found.seed == 0
    assert told.stdout.startswith(found.table().splitlines()[0])
    images, truth = digits_samples()
    expected = ox.evaluate(
        MODEL, images[:4], truth[:4].tolist(),
        ["saliency", ("integrated_gradients", {"n_steps": 4, "baselines": "blur"}), "tree_shap"],
        [("pixel_flipping", {"features_in_step": 100}), "pointing_game", "sparseness"],
        masks=images[:4, 0] > 0.3,
    )  # fmt: skip
    np.testing.assert_array_equal(found.means, expected.means)
    with Path("trust.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["method"], r["metric"]) for r in rows] == list(expected.cells)
    assert len(json.loads(Path("trust.json").read_text())["cells"]) == 9


def test_the_report_holds_what_it_must(data: Path) -> None:
    run(
        "evaluate", MODEL, "pictures", "--masks", "masks", "-m", METHODS, "--metrics", METRICS, "-q",
        "-o", "trust.html", "-o", "trust.npz",
    )  # fmt: skip
    page, found = Path("trust.html").read_text(), ox.Evaluation.load("trust.npz")
    assert "http" not in page.replace("http-equiv", "")
    for text in (
        "pixel_flipping ↓", "pointing_game ↑", "mean rank", "How metrics agree", "Curves", "What was run",
        "What could not work here", "tree_shap: MethodError: the model has no trees",
        "IntegratedGradients(n_steps=4", "with baselines=&#39;blur&#39;", found.model_hash,
        "What the methods find in the first samples", 'alt="integrated_gradients, 0"', "6 samples",
        'class="best"',
    ):  # fmt: skip
        assert text in page, text
    low, high = found["saliency", "sparseness"].interval()
    assert f"{low:.3g} to {high:.3g}" in page
    assert page.count(">failed</td>") == 3
    assert page.count('class="failed" title="MethodError') == 3
    assert page.count("<h2>") == 5


def test_one_picture_has_no_interval(data: Path) -> None:
    run("evaluate", MODEL, "three.png", "-m", "saliency,lrp", "--metrics", "sparseness", "-q", "-o", "a.npz")
    found = ox.Evaluation.load("a.npz")
    assert found.level is None
    assert found.n == 1
    run("evaluate", MODEL, "three.png", "-m", "saliency,lrp", "--metrics", "sparseness", "-q")
    assert "three-trust.html" in [p.name for p in data.iterdir()]


def test_a_run_goes_on(data: Path) -> None:
    line = (
        "evaluate",
        MODEL,
        "six.npy",
        "-m",
        "saliency,lrp",
        "--metrics",
        "sparseness",
        "-q",
        "--resume",
        "kept",
    )
    run(*line, "-o", "a.npz")
    kept = {p: p.stat().st_mtime_ns for p in Path("kept").iterdir()}
    assert len(kept) == 4
    run(*line, "-o", "b.npz")
    assert {p: p.stat().st_mtime_ns for p in Path("kept").iterdir()} == kept
    assert ox.Evaluation.load("a.npz").table() == ox.Evaluation.load("b.npz").table()


def test_a_table(data: Path) -> None:
    from onnxplain.data import diabetes_model_path

    table = diabetes_model_path().with_name("diabetes.csv")
    run(
        "evaluate", str(diabetes_model_path()), str(table), "--id", "progression", "-n", "5",
        "-m", "tree_shap,feature_ablation", "--metrics", "pixel_flipping,sparseness", "-q", "-o", "a.npz",
        "-o", "a.html",
    )  # fmt: skip
    found = ox.Evaluation.load("a.npz")
    assert found.n == 5
    assert not found.failures


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "method": (("-m", "salency"), "no method 'salency'.*did you mean 'saliency'"),
    "metric": (("--metrics", "sparsenes"), "no metric 'sparsenes'.*did you mean 'sparseness'"),
    "parameter": (("-m", "ig:n_step=3"), "does not take 'n_step'.*did you mean 'n_steps'"),
    "no pair": (("-m", "ig:3"), "'3' is no parameter=value"),
    "nothing": (("-m", " , "), "--methods: name at least one"),
    "no name": (("--metrics", ":a=1"), "give a name"),
    "ending": (("-o", "trust.txt"), "the ending says what to write"),
    "read file": (("-o", "six.npy"), "the ending says what to write"),
    "folder": (("-o", "nowhere/trust.html"), "no folder"),
    "masks": (("--metrics", "pointing_game", "--masks", "short.npy"), "masks of 'image' have shape"),
    "pictures": (("--metrics", "pointing_game", "--masks", "masks"), "pictures, and DATA are none"),
    "unused": (("--masks", "masks.npy", "--metrics", "sparseness"), "no.* use for masks|none of the metrics"),
    "target": (("-t", "masks.npy"), "whole numbers, one for each sample"),
    "seed": (("--seed", "-1"), "seed is -1"),
    "level": (("--level", "95"), "level is 95"),
    "image option": (("--size", "28x28"), "for images only"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_in_a_line(what: str, data: Path) -> None:
    np.save("short.npy", np.ones((6, 7, 7), bool))
    given, words = WRONG[what]
    line = failure("evaluate", MODEL, "six.npy", "-q", *given)
    assert re.search(words, line), line
    assert not list(data.glob("*trust*"))


def test_folders_that_do_not_fit(data: Path) -> None:
    (data / "empty").mkdir()
    assert "the folder 'empty' holds no images" in failure("evaluate", MODEL, "empty", "-q")
    (data / "masks" / "5.png").unlink()
    line = failure("evaluate", MODEL, "pictures", "--metrics", "iou", "--masks", "masks", "-q")
    assert "5 pictures for 6 samples" in line
    assert "5.png" in line


def test_specs() -> None:
    assert method_specs(["a, b:x=1:y=(1,2)", "c:k='u:v,w'"], None) == [
        "a", ("b", {"x": 1, "y": (1, 2)}), ("c", {"k": "u:v,w"}),
    ]  # fmt: skip
    assert method_specs(["ig:baselines=0.5:n-steps=3"], None) == [("ig", {"baselines": 0.5, "n_steps": 3})]
    found = metric_specs(["complexity", "axioms,sparseness:absolute=true"])
    assert {"complexity", "effective_complexity", "completeness", "non_sensitivity"} <= set(found[:-1])
    assert found[-1] == ("sparseness", {"absolute": True})
    for texts in (["complexity,sparseness"], ["sparseness,complexity"]):  # one of a family is there once
        assert sorted(metric_specs(texts)) == sorted(kind.name for kind in FAMILIES["complexity"])
    with pytest.raises(MethodError, match="name at least one"):
        metric_specs([""])


def test_a_run_in_which_nothing_worked_fails(data: Path) -> None:
    told = run("evaluate", MODEL, "six.npy", "-m", "tree_shap", "--metrics", "sparseness", "-q", code=1)
    assert "error: nothing could be measured; MethodError: the model has no trees" in told.stderr
