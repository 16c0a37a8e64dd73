"""``onnxplain batch``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import MODEL, failure, run
from gathered import gathered

import onnxplain as ox
from onnxplain.data import diabetes_model_path, digits_samples
from onnxplain.scale import explain_files

NPZ = ("--form", "npz", "--out", "out")


def test_a_table_against_a_background(folder: Path) -> None:
    model = diabetes_model_path()
    table, usual = (str(model.with_name(f"{name}.csv")) for name in ("diabetes", "diabetes_train"))
    asking = ("batch", str(model), table, "--id", "progression", "--background", usual)
    said = run(*asking, *NPZ, "--rows", "15").output
    assert "wrote        3 parts of 40 rows to out" in said
    assert "method       TreeShap" in said
    found = gathered(Path("out"))
    assert len(found["attribution/bmi"]) == 40
    assert np.abs(found["delta"]).max() < 1e-3
    assert "3 of them there before" in run(*asking, *NPZ).output


def test_digits_and_what_is_said(folder: Path) -> None:
    run("batch", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_plus_flat", "-t", "3", *NPZ, "-q")
    images, _ = digits_samples()
    asked = ox.explain(MODEL, images[10:12], 3, "lrp", composite="epsilon_plus_flat")
    np.testing.assert_allclose(gathered(Path("out"))["attribution/image"], asked.values, rtol=1e-5)
    assert json.loads(Path("out/_summary.json").read_text())["explained"] == 2
    method = ox.LRP(composite="epsilon_plus_flat")  # asked again from Python, with more memory
    again = explain_files("digits.npy", MODEL, "out", method, target=3, form="npz", memory_budget=1 << 20)
    assert (again.kept, again.explained) == (1, 0)


def test_pictures_with_a_colour(folder: Path) -> None:
    run("batch", MODEL, "three.png", "--baseline", "white", "-p", "n_steps=5", *NPZ)
    run("explain", MODEL, "three.png", "--baseline", "white", "-p", "n_steps=5", "-o", "why.npz", "-q")
    asked = ox.Attribution.load("why.npz").values
    np.testing.assert_allclose(gathered(Path("out"))["attribution/image"], asked, rtol=1e-5, atol=1e-7)


def test_rows_that_fail_are_told(folder: Path, models: Any) -> None:
    onnx.save(models.single(), "single.onnx")
    Path("t.csv").write_text("a,b,c,d\n1,2,3,4\n" + "1,x,3,4\n" * 5)
    asking = ("batch", "single.onnx", "t.csv", "-m", "saliency", *NPZ, "-q", "--rows", "1")
    assert "line 3, column 'b'" in failure(*asking, "--strict")
    said = run(*asking, code=1)  # all that were left
    assert said.stderr == "5 rows could not be explained; the column 'error' says why\n"
    run(*asking)
    run(*asking, "--retry", code=1)
    assert gathered(Path("out"))["error"].astype(bool).tolist() == [False, *[True] * 5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv"], "there is no file 'nowhere.csv'"),
        (["digits.npy", "-m", "magic"], "no method 'magic'"),
        (["digits.npy", "--id", "a"], "ids is not for data of the kind npy"),
        (["digits.npy", "--size", "28"], "images is not for data of the kind npy"),
        (["digits.npy", "--baseline", "white"], "for images only"),
        (["digits.npy", "--rows", "0"], "rows_a_part is 0"),
        (["digits.npy", "--baseline", "1", "--background", "digits.npy"], "keep one of them"),
        ([".", "--kind", "tables"], "choose one of csv, parquet, images, npy"),
        (["."], "several kinds"),
        (["digits.npy", "--target", "ten"], "give a class number"),
    ],
)
def test_errors(folder: Path, arguments: list[str], words: str) -> None:
    assert words in failure("batch", MODEL, *arguments, *NPZ)
    assert not list(folder.glob("out/*"))
