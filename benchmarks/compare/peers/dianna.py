"""DIANNA's RISE, with the model's file, and with a session that is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from dianna.methods.rise_image import RISEImage

from benchmarks.compare.cases import Case, LeftOut
from benchmarks.compare.settings import Entrant, Setting
from benchmarks.compare.works import WORKS
from benchmarks.timing import session

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return its RISE of one image."""
    if len(case.x) > 1:
        raise LeftOut("takes one image")
    folder = case.once("DIANNA's folder", tempfile.TemporaryDirectory)
    path = Path(folder.name, "model.onnx")
    path.write_bytes(case.model.SerializeToString())
    plain = session(str(path), setting.threads)

    def kept(rows: Any) -> Any:
        return plain.run([case.output], {case.input: rows})[0]

    def explain(model: str | Callable[[Any], Any]) -> Any:
        np.random.seed(0)  # noqa: NPY002  (DIANNA draws from it)
        count = setting.size or WORKS["rise"].size
        method = RISEImage(n_masks=count, feature_res=8, p_keep=0.5, axis_labels={0: "channels"})
        (made,) = method.explain(model, case.x[0], [case.target], batch_size=100)
        return np.broadcast_to(made, case.x.shape)

    return {
        "DIANNA RISE": Entrant(lambda: explain(str(path)), "a session for each 100 masks, as it does"),
        "DIANNA RISE, one session": Entrant(lambda: explain(kept), "a session that is kept"),
    }
