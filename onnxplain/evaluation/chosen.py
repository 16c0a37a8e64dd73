"""Which methods and metrics take part: by name or as they are, with what tables call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from onnxplain.errors import MethodError
from onnxplain.methods import METHODS, Method
from onnxplain.methods import method as make_method
from onnxplain.metrics import METRICS, Metric
from onnxplain.metrics import metric as make_metric

__all__ = ["TOLD", "Entry", "chosen_methods", "chosen_metrics"]

_Kind = TypeVar("_Kind", Method, Metric)

#: What an explainer takes beside a method's own parameters.
TOLD = ("baselines", "feature_mask")


@dataclass(frozen=True, eq=False)
class Entry(Generic[_Kind]):
    """A method or a metric that takes part.

    Attributes
    ----------
    label
        What tables call it.
    made
        It.
    options
        What the explainer is told besides, for this method alone.
    """

    label: str
    made: _Kind
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """As written in Python, with what the explainer is told."""
        told = ", ".join(f"{k}={v!r:.60}" for k, v in self.options.items())
        return f"{self.made!r}{f' with {told}' if told else ''}"


def chosen_methods(given: Any, seed: int | None = None) -> tuple[Entry[Method], ...]:
    """Return methods that take part.

    Parameters
    ----------
    given
        Names, methods, or pairs of a name and parameters; or a dict of such, by what tables are to call
        them.  Among the parameters ``baselines`` and ``feature_mask`` are told to the explainer.
    seed
        For what is given by name, and has no seed of its own.

    Raises
    ------
    MethodError
        If there is none, or one does not exist, or is given twice.
    """

    def make(name: Any, parameters: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
        told = {k: parameters.pop(k) for k in TOLD if k in parameters}
        return make_method(name, **parameters), told

    return _entries(given, seed, make, "methods")


def chosen_metrics(given: Any, seed: int | None = None) -> tuple[Entry[Metric], ...]:
    """Return metrics that take part; see :func:`chosen_methods`."""

    def make(name: Any, parameters: dict[str, Any]) -> tuple[Metric, dict[str, Any]]:
        return make_metric(name, **parameters), {}

    return _entries(given, seed, make, "metrics")


def _entries(
    given: Any,
    seed: int | None,
    make: Callable[[Any, dict[str, Any]], tuple[_Kind, dict[str, Any]]],
    what: str,
) -> tuple[Entry[_Kind], ...]:
    if isinstance(given, (str, Method, Metric)):
        given = [given]
    if not isinstance(given, (Mapping, Sequence)):
        raise MethodError(f"{what} is {given!r:.60}; give a list of names")
    if not given:
        raise MethodError(f"{what} is empty; name at least one")
    named = isinstance(given, Mapping)
    pairs = list(given.items()) if isinstance(given, Mapping) else [(None, one) for one in given]
    made = []
    for label, one in pairs:
        name, parameters = _parts(one, what)
        kind, told = make(name, dict(parameters))
        own = isinstance(name, str) and "seed" not in parameters
        if seed is not None and own and "seed" in {f.name for f in fields(kind)}:  # type: ignore[arg-type]  # they are dataclasses
            kind, told = make(name, {**parameters, "seed": seed})
        made.append((str(label), Entry(str(label), kind, told), parameters))
    if not named:
        names = [entry.made.name for _, entry, _ in made]
        made = [(_label(e, p, names.count(e.made.name) > 1), e, p) for _, e, p in made]
    labels = [label for label, _, _ in made]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise MethodError(f"{what}: {twice} is given twice; leave one out, or call them by a dict's keys")
    return tuple(Entry(label, entry.made, entry.options) for label, entry, _ in made)


def _parts(one: Any, what: str) -> tuple[Any, Mapping[str, Any]]:
    """Return a name, or what was given, and parameters."""
    if not isinstance(one, (tuple, list)):
        return one, {}
    if len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], Mapping):
        return one[0], one[1]
    raise MethodError(f"{what}: {one!r:.60} is no pair of a name and a dict of parameters; give such pairs")


def _label(entry: Entry[Any], parameters: Mapping[str, Any], shared: bool) -> str:
    """Call it by its name; where several have it, by its parameters, too."""
    if not shared:
        return str(entry.made.name)
    if not parameters:
        default = (METHODS | METRICS).get(entry.made.name)
        return str(entry.made.name) if default is not None and _plain(default, entry) else repr(entry.made)
    return ":".join([entry.made.name, *(f"{k}={v!r:.60}" for k, v in parameters.items())])


def _plain(kind: Any, entry: Entry[Any]) -> bool:
    """Tell whether it is as its name alone would make it, a seed apart."""
    try:
        usual = kind()
    except TypeError:
        return False
    differs = [f.name for f in fields(kind) if getattr(usual, f.name) != getattr(entry.made, f.name)]
    return type(entry.made) is kind and set(differs) <= {"seed"}
