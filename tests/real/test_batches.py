"""What the batch analysis says of trained models, compared with two samples at once and one by one."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from onnxplain.backward.adjoint import needs_body
from onnxplain.graph.batch import Batch, analyse
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

pytestmark = pytest.mark.models

# The axis of the samples where it is not the first; states of recurrent layers have it behind.
AXES = {
    "silero": {"state": 1},
    "silero_op15": {"state": 1},
    "silero_ifless": {"state": 1},
    "silero_half": {"state": 1},
    "silero_openvino": {"state": 1},
    "silero_sequence": {"h": 1, "c": 1},
    "aecmos_16k": {"h0": 1},
    "aecmos_16k_free": {"h0": 1},
    "aecmos_48k": {"h0": 1},
}
# Not proven for any number of samples, the node that is named, and why that is right.
REFUSED = {
    "aecmos_16k": ("Squeeze", "written for one sample"),
    "aecmos_16k_free": ("Squeeze", "written for one sample"),
    "aecmos_48k": ("Squeeze", "written for one sample"),
    "plcmos": ("Squeeze", "written for one sample"),
    "yunet": ("Sigmoid", "its places were laid out for one sample"),
    "u2netp": ("Resize", "its sizes hold the batch size that it was exported with"),
    "silero_sequence": ("", "its frames are steps of one recording"),
}


def _twice(feeds, axes):
    """Put a second sample beside the first: the same numbers halved, or in reverse order."""
    out = {}
    for name, x in feeds.items():
        x = np.asarray(x)
        if axes[name] is None:
            out[name] = x
            continue
        x = x.take([0], axes[name])
        other = (x * 0.5).astype(x.dtype) if x.dtype.kind == "f" else x.ravel()[::-1].reshape(x.shape)
        out[name] = np.concatenate([x, other], axes[name])
    return out


def test_samples_are_proven_independent_and_are(real_name, real_model):
    model = real_model(real_name)
    own = AXES.get(real_name, {})
    axes = {k: own.get(k, 0) if np.ndim(v) else None for k, v in model.feeds.items()}
    shapes = {k: np.shape(v) for k, v in model.feeds.items()}
    found = analyse(normalize(load(model.path), expand=needs_body).model, axes, shapes)
    if real_name in REFUSED:
        assert not isinstance(found, Batch)
        assert found.node.startswith(REFUSED[real_name][0])
        return
    assert isinstance(found, Batch), found
    session = ort.InferenceSession(model.path, providers=["CPUExecutionProvider"])
    feeds = _twice(model.feeds, axes)
    names = [o.name for o in session.get_outputs()]
    if any(isinstance(i.shape[axes[i.name]], int) for i in session.get_inputs() if axes[i.name] is not None):
        return  # the file takes a fixed number of samples, its graph any
    whole = dict(zip(names, session.run(None, feeds), strict=True))
    for row in range(2):
        part = {k: v if axes[k] is None else v.take([row], axes[k]) for k, v in feeds.items()}
        for name, got in zip(names, session.run(None, part), strict=True):
            wanted = whole[name]
            if isinstance(wanted, list):
                assert got[0] == pytest.approx(wanted[row], abs=1e-5)
                continue
            axis = found.axes[name]
            if axis is not None:
                wanted = wanted.take([row], axis)
            np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * max(np.abs(wanted).max(), 1))
