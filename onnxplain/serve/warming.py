"""A first explanation before the server says that it is ready."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain._types import Arrays
from onnxplain.errors import (
    MethodError,
    NotExplainableError,
    OnnxplainError,
    UnsupportedOperatorError,
    UnsupportedRuleError,
)
from onnxplain.serve.asked import Asked
from onnxplain.serve.explaining import Explaining

__all__ = ["warm_up"]

#: What no input would help.
_HOPELESS = (MethodError, NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError)


def warm_up(served: Explaining, methods: Sequence[str]) -> None:
    """Explain one sample of zeros (or empty texts) with each method, where the shapes of inputs are known.

    What is compiled then need not be compiled for the first request.

    Parameters
    ----------
    served
        What explains.
    methods
        Labels of its methods.

    Raises
    ------
    MethodError, NotExplainableError, UnsupportedOperatorError, UnsupportedRuleError
        If a method cannot explain the model.
    """
    arrays: Arrays = {}
    for tensor in served.inputs:
        if tensor.optional:
            continue
        if -1 in tensor.shape[1:] or not tensor.shape:
            return
        shape = tuple(1 if d == -1 else d for d in tensor.shape)
        arrays[tensor.name] = np.full(shape, "" if tensor.dtype.kind == "O" else 0, tensor.dtype)
    for method in methods:
        _try(served, Asked(arrays, method=method))


def _try(served: Explaining, asked: Asked) -> None:
    try:
        served.answer(served.prepare(asked))
    except _HOPELESS:
        raise
    except OnnxplainError:
        pass  # zeros are nothing to this model
