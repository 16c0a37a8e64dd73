"""What a call asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from onnxplain._types import ArrayLike
from onnxplain.baselines import Baselines, refuse_unused
from onnxplain.columns import Columns
from onnxplain.errors import MethodError
from onnxplain.grouping import Grouping, refuse_mask
from onnxplain.methods import Method
from onnxplain.options import Count, check_option

__all__ = ["Request"]


class Request(NamedTuple):
    """The arguments of one call, as :meth:`onnxplain.Explainer.__call__` describes them.

    Attributes
    ----------
    columns
        Where the columns of a table went.
    """

    inputs: ArrayLike
    target: Any
    method: Method
    baselines: Baselines | None
    feature_mask: Grouping | None
    output: str | None
    wrt: str | Sequence[str] | None
    through_softmax: bool
    batch_axes: int | Mapping[str, int | None] | None
    internal_batch_size: int | None
    progress: bool
    columns: Columns = Columns()

    def checked(self) -> Request:
        """Check what can be checked without the model.

        Raises
        ------
        OptionError, DataInputError
            If an option is not what it may be, or the method has no use for baselines or players.
        """
        if self.baselines is not None:
            refuse_unused(self.baselines, self.method)
        if self.feature_mask is not None:
            refuse_mask(self.feature_mask, self.method)
        usual = type(self.through_softmax) is bool and type(self.progress) is bool
        if usual and self.internal_batch_size is None:
            return self
        size = check_option("internal_batch_size", self.internal_batch_size, Count | None, MethodError)
        return self._replace(
            through_softmax=check_option("through_softmax", self.through_softmax, bool),
            progress=check_option("progress", self.progress, bool),
            internal_batch_size=size,
        )

    def laid_out(self, inputs: ArrayLike, columns: Columns) -> Request:
        """Return the request with its inputs as arrays, and what is known of their columns."""
        return Request(
            inputs, self.target, self.method, self.baselines, self.feature_mask, self.output, self.wrt,
            self.through_softmax, self.batch_axes, self.internal_batch_size, self.progress, columns,
        )  # fmt: skip
