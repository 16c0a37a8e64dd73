"""A model, served as it is."""

from __future__ import annotations

from dataclasses import replace

from onnxplain._types import Arrays
from onnxplain.explainer import Explainer
from onnxplain.inputs import check_inputs
from onnxplain.runtime.cache import Cache
from onnxplain.samples import Samples
from onnxplain.serve.asked import Answer, Asked, Tensor
from onnxplain.serve.company import Trial, company_of

__all__ = ["Predicting"]

_REMEMBERED = 256


class Predicting:
    """Serves what a model says.

    Parameters
    ----------
    name
        Under which it is served.
    explainer
        That has read the model.

    Raises
    ------
    InvalidModelError
        If the protocol cannot carry the type of an input or output.
    """

    explains = False

    def __init__(self, name: str, explainer: Explainer) -> None:
        self.name = name
        self._explainer = explainer
        self.inputs = tuple(Tensor.of(i.name, i.dtype, i.shape, "input") for i in explainer.inputs)
        self.outputs = tuple(Tensor.of(o.name, o.dtype, o.shape, "output") for o in explainer.outputs)
        self._names = tuple(o.name for o in explainer.outputs)
        self._trials: Cache[Trial] = Cache(_REMEMBERED, 0, lambda _: 0)

    def prepare(self, asked: Asked) -> Asked:
        """Check a request; see :class:`~onnxplain.serve.asked.Served`."""
        arrays = check_inputs(asked.arrays, self._explainer.inputs, walked=False)
        samples = self._samples(replace(asked, arrays=arrays))
        company = company_of(samples.layout, samples.shapes, "", Trial())
        if company is not None:
            company = replace(company, trial=self._trials.get(company.key, Trial))
        return replace(asked, arrays=arrays, company=company, proven=samples.layout.axes)

    def answer(self, asked: Asked) -> Answer:
        """Run the model."""
        samples = self._samples(asked)
        made: Arrays = samples.values(self._names)
        found = {k: samples.batching.output(k, samples.shapes, samples.layout) for k in self._names}
        return Answer(made, {k: None if v is None else v.axis for k, v in found.items()})

    def _samples(self, asked: Asked) -> Samples:
        return self._explainer._answering.samples(asked.arrays, (), self._names, asked.axes)
