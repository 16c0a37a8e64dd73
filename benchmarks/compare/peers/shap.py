"""shap's KernelExplainer, of a function that onnxruntime computes."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import shap

from benchmarks.compare.cases import Case
from benchmarks.compare.exactness import samples_to_error
from benchmarks.compare.settings import Entrant, Setting
from benchmarks.timing import session

__all__ = ["offer"]


def offer(case: Case, setting: Setting) -> dict[str, Entrant]:
    """Return its values, of as many samples as the same error takes."""
    logging.getLogger("shap").setLevel(logging.ERROR)
    plain = session(case.model.SerializeToString(), setting.threads)

    def score(rows: Any) -> Any:
        given = {case.input: np.asarray(rows, np.float32)}
        return plain.run([case.output], given)[0][:, case.target]

    explainer = shap.KernelExplainer(score, case.background)

    def values(samples: int) -> Any:
        np.random.seed(0)  # noqa: NPY002  (shap draws from it)
        return explainer.shap_values(case.x, nsamples=samples, silent=True, l1_reg=False)

    samples, off = samples_to_error(case, values, setting.size)
    return {
        "shap KernelExplainer": Entrant(lambda: values(samples), f"{samples} samples, {off:.1%} of error")
    }
