"""What is asked of an explainer about every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxplain.attribution import Attribution
from onnxplain.automatic import AUTO
from onnxplain.errors import DataInputError, MethodError, ModelRunError, NotFiniteError, TargetError
from onnxplain.explainer import Explainer
from onnxplain.features.removal import REMOVALS, Background
from onnxplain.methods import Method
from onnxplain.methods import method as make_method
from onnxplain.options import check_names
from onnxplain.scale.pieces import Block

__all__ = ["TOLD", "Question"]

#: What may be told besides the method and the target, as ``Explainer.__call__`` takes it.
TOLD = (
    "baselines", "feature_mask", "output", "wrt", "layer", "neuron", "through_softmax", "batch_axes",
    "internal_batch_size",
)  # fmt: skip
#: What one row may be to blame for.
_OF_A_ROW = (DataInputError, TargetError, NotFiniteError, ModelRunError)


@dataclass(frozen=True)
class Question:
    """A method, a target, and what the explainer is told besides.

    Attributes
    ----------
    method
        The method, or ``"auto"`` until a row has told which that is.
    target
        The same for all rows; where the data holds targets, these are asked for.
    told
        Of :data:`TOLD`.
    """

    method: str | Method
    target: Any
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, method: Any, target: Any, options: Mapping[str, Any], names: Sequence[str] | None = None
    ) -> Question:
        """Check what users give.

        Parameters
        ----------
        method, target
            The method or its name, and what is explained.
        options
            All of them, the method's own too.
        names
            Of the columns of the model's only input, in its order.

        Raises
        ------
        MethodError
            If a name, a parameter or a value makes no sense.
        TargetError
            If the target is not the same for all rows.
        """
        told = {k: v for k, v in options.items() if k in TOLD}
        parameters = {k: v for k, v in options.items() if k not in told}
        if names is not None:
            told["feature_names"] = list(names)
        if isinstance(target, (list, np.ndarray)):
            raise TargetError(
                f"target is a {type(target).__name__}, and rows are not counted before they are "
                "read; name a column of the data with target_column="
            )
        if method != AUTO:
            return cls(make_method(method, **parameters), target, told)
        check_names(parameters, TOLD, "method 'auto'")
        start = told.get("baselines")
        if not (start is None or isinstance(start, (int, float, str, Background, *REMOVALS))):
            raise MethodError("method 'auto' takes many baselines as ox.Background(rows); give them so")
        return cls(AUTO, target, told)

    @property
    def known(self) -> list[Any]:
        """What its answers are made from; what only says how they are computed is left out."""
        how = {k: v for k, v in self.told.items() if v is not None and v is not False}
        return [self.method, self.target, {k: v for k, v in how.items() if k != "internal_batch_size"}]

    def ask(self, explainer: Explainer, block: Block, rows: list[int]) -> Attribution:
        """Explain some rows of a block.

        Raises
        ------
        OnnxplainError
            If it cannot be done.
        """
        inputs, targets = block.take(rows)
        target = self.target if targets is None else targets
        return explainer(inputs, target, self.method, **self.told)

    def tried(self, explainer: Explainer, block: Block, count: int) -> tuple[Question, Attribution]:
        """Explain the first row that can be, so that what is wrong with the question is told before the run.

        Returns
        -------
        question : Question
            With the method that ``"auto"`` stands for: all rows are explained by one.
        result : Attribution

        Raises
        ------
        OnnxplainError
            What stands against the first row, if it stands against all of them.
        """
        first: Exception | None = None
        for row in range(count):
            try:
                found = self.ask(explainer, block, [row])
            except _OF_A_ROW as error:
                first = first or error
                continue
            assert isinstance(found.method, Method)
            return replace(self, method=found.method), found
        assert first is not None
        raise first
