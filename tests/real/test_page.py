"""A page of a trained classifier, visited in Chromium."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_visit import visit
from PIL import Image

import onnxplain as ox
from onnxplain.data import imagenet_classes
from onnxplain.image_files import load_image
from onnxplain.page import write_page

pytestmark = [pytest.mark.models, pytest.mark.node]


def test_a_photograph(modules, real_model, tmp_path) -> None:
    path = tmp_path / "cat.png"
    Image.fromarray(pytest.importorskip("skimage.data").chelsea()).save(path)
    model = real_model("mobilenetv2").path
    methods: dict[str, Any] = {"grad_cam": ox.GradCam(), "lrp": ox.LRP()}
    write_page(
        model, tmp_path / "site", methods=methods, examples=[path], labels=imagenet_classes(),
        preprocessing=ox.Preprocessing.named("imagenet"), runtime=modules,
    )  # fmt: skip
    settle, read = {"do": "settle"}, {"do": "read"}
    lrp = {"do": "choose", "name": "method", "value": "lrp"}
    found = visit(modules, tmp_path / "site", [settle, read, {"do": "axe"}, lrp, settle, read])
    assert found.answers[2] == []
    image = load_image(path, preset="imagenet").array
    explainer = ox.Explainer(model)
    for answer, name in ((found.answers[1], "grad_cam"), (found.answers[5], "lrp")):
        assert (answer["target"], answer["trouble"]) == (285, None)
        expected = explainer(image, 285, method=methods[name])
        for given, wanted in (
            (answer["scores"], expected.predictions[0]),
            (answer["values"]["data"]["data"], expected.values.ravel()),
        ):
            # pixels that lie half-way between two numbers are rounded otherwise by Pillow, see docs/files.md
            assert np.abs(np.asarray(given) - wanted).max() < 0.02 * np.abs(wanted).max()
