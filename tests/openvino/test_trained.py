"""Files of trained models say in OpenVINO what they say in onnxruntime, or OpenVINO refuses them at load.

What is equal is within 1e-4 of the largest number.  A number near a kink (of a rectifier, of a maximum) may
fall on its other side, and a gradient jumps there: a few of millions do.  Such files are run in onnxruntime
with OpenVINO's decisions, and both must be equal again, or apart by no more than a few times what a rounding
of the input makes of them.  Where a method divides by what is nearly 0, rounding itself is made larger, and
others' decisions do not fit: there each node is run on what OpenVINO gave it, and must make the same of it.
"""

from __future__ import annotations

import pytest
from elsewhere import METHODS, compare, runs_plain

pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")
pytestmark = pytest.mark.models

#: Small ones of each kind, and those that found faults; tools/make_openvino.py runs all.
MODELS = ("mnist", "mnist_tf", "shapes", "leafsnap", "mobilenetv2", "opennsfw", "ocr_cls", "ocr_rec", "yunet",
          "movie_review", "penguin", "season", "sunshine", "lac", "magika", "minilm_int8", "silero_ifless",
          "silero_openvino", "basic_pitch", "dnsmos_p808")  # fmt: skip
HELD = (
    "equal", "equal, given the same decisions", "equal up to rounding, given the same decisions",
    "equal node by node",
)  # fmt: skip
ELSE = ("refused by OpenVINO", "no file", "no numbers in onnxruntime")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_right_or_refused(model, method, real_model, tmp_path) -> None:
    real = real_model(model)
    assert runs_plain(real) is None
    found = compare(real, method, tmp_path)
    assert found.verdict in (*HELD, *ELSE), found
