"""Values inside a model, as users name them."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import cached_property

import numpy as np

from onnxplain.errors import DataInputError, OnnxplainError, TargetError
from onnxplain.graph.interface import InputInfo, OutputInfo, output_of, outputs_of
from onnxplain.graph.normalize import Normalized
from onnxplain.text import visible_line

__all__ = ["Inner"]

_MOST_LISTED = 8


class Inner:
    """Finds the values of one model by their names, or by those of the nodes that make them.

    Parameters
    ----------
    normal
        The model.
    """

    def __init__(self, normal: Normalized) -> None:
        self._normal = normal

    @cached_property
    def _outputs(self) -> tuple[OutputInfo, ...]:
        return outputs_of(self._normal.model.graph)

    @cached_property
    def _infos(self) -> dict[str, OutputInfo]:
        graph = self._normal.model.graph
        return {str(v.name): output_of(v) for node in graph for v in node.outputs if v.name}

    @cached_property
    def _nodes(self) -> dict[str, str]:
        return {str(n.name): str(n.outputs[0].name) for n in self._normal.model.graph if n.name and n.outputs}

    def value(self, name: str, error: type[OnnxplainError] = DataInputError) -> str:
        """Return the name of an inner value that a user names by itself, or by the node that makes it.

        Parameters
        ----------
        name
            As given.
        error
            What to raise.

        Raises
        ------
        OnnxplainError
            Of the kind asked for, if there is none: it tells the nearest names, or where the value went when
            the model was read.
        """
        if name in self._infos or any(v.name == name for v in self._normal.model.graph.inputs):
            return name
        if name in self._nodes:
            return self._nodes[name]
        raise error(f"the model has no input or inner value '{name}'{self._instead(name)}")

    def explained(self, name: str) -> InputInfo:
        """Return an inner value as something to explain.

        Raises
        ------
        DataInputError
            If there is none of this name.
        """
        found = self.value(name)
        return InputInfo(found, None, None, "float", (found,))

    def outputs(self, name: str | None) -> tuple[tuple[OutputInfo, ...], str | None]:
        """Return the model's outputs, and the explained one by its name.

        Parameters
        ----------
        name
            What is explained, as given; None leaves it open.

        Returns
        -------
        tuple of OutputInfo, str or None
            The outputs, behind them the inner value where that is named, and its own name where its node is.

        Raises
        ------
        TargetError
            If there is nothing of this name.
        """
        outputs = self._outputs
        if name is None or any(o.name == name for o in outputs):
            return outputs, name
        if not isinstance(name, str) or (name not in self._infos and name not in self._nodes):
            listed = ", ".join(o.name for o in outputs)
            raise TargetError(
                f"the model has no output '{name}'; it has {listed}, and no inner value of this name"
                f"{self._instead(name)}"
            )
        found = self.value(name)
        info = self._infos[found]
        return (*outputs, replace(info, dtype=info.dtype or np.dtype(np.float32))), found

    def _instead(self, name: object) -> str:
        """Say what might have been meant."""
        behind = self._normal.gone.get(str(name))
        if behind is not None:
            return f": it was folded into others while reading; name '{behind}', the value behind it"
        known = [k for k, info in self._infos.items() if info.dtype is None or info.dtype.kind == "f"]
        near = difflib.get_close_matches(str(name), [*known, *self._nodes], 3)
        if near:
            return f" (did you mean {' or '.join(repr(visible_line(n)) for n in near)}?)"
        more = ", ..." if len(known) > _MOST_LISTED else ""
        listed = ", ".join(visible_line(k) for k in known[:_MOST_LISTED])
        return f"; its inner values are {listed}{more}" if known else "; it has no inner values"
