"""Exported files run in a browser: headless Chromium, and the stock onnxruntime-web of npm.

``ONNXPLAIN_NODE_DIR`` names a folder in which onnxruntime-web is, or is to be, installed; without it, one in
pytest's cache is used. ``ONNXPLAIN_CHROMIUM`` names the browser, where it is not on the path.
"""

from __future__ import annotations

import pytest
from chromium import run_in_browser
from exported_digits import CASES, feeds, same, write

import onnxplain as ox
from onnxplain.data import digits_model_path

pytestmark = pytest.mark.node


def test_the_digits_explain_themselves(web, tmp_path) -> None:
    asked, jobs = [feeds(2), feeds(2, turn=1)], []
    for name, case in CASES.items():
        (tmp_path / name).mkdir()
        jobs.append((write(case, tmp_path / name), asked))
    for (name, case), answer in zip(CASES.items(), run_in_browser(web, jobs), strict=True):
        assert "error" not in answer, f"{name}: {answer['error']}"
        for given, found in zip(asked, answer["results"], strict=True):
            same(case, given, found)


def test_the_browser_says_what_does_not_fit(web, tmp_path) -> None:
    path = ox.export(digits_model_path(), tmp_path / "d.onnx", method="saliency").path
    given = feeds(2)
    wrong = {**given, "target": given["target"] + 70}
    (answer,) = run_in_browser(web, [(path, [wrong])])
    assert "index = " in answer["error"]


@pytest.mark.parametrize("name", ["saliency", "lrp"])
def test_walks_run_in_webgpu(name, web, tmp_path) -> None:
    (answer,) = run_in_browser(web, [(write(CASES[name], tmp_path), [feeds(2)])], provider="webgpu")
    if any(
        said in answer.get("error", "") for said in ("WebGPU is not supported", "Failed to get GPU adapter")
    ):
        pytest.skip("this Chromium has no WebGPU without a GPU")
    assert "error" not in answer, answer["error"]
    same(CASES[name], feeds(2), answer["results"][0])
