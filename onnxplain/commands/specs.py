"""Lists of names with parameters, as they are typed: ``integrated_gradients:n_steps=20,lrp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain.commands.arguments import baselines, parameters
from onnxplain.errors import MethodError
from onnxplain.methods import Method, method
from onnxplain.metrics import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnxplain.image_files import LoadedImage

__all__ = ["method_specs", "methods_by_specs", "metric_specs"]

_OPEN, _CLOSE = "([{", ")]}"


def method_specs(texts: Sequence[str], image: LoadedImage | None, option: str = "--methods") -> list[Any]:
    """Read methods: names, or pairs of a name and parameters.

    Parameters
    ----------
    texts
        Names with commas between them, each with its parameters behind colons.
    image
        The first picture of the samples, if these are pictures: baselines may be named by colours.
    option
        Where they were typed.

    Raises
    ------
    MethodError
        If one is malformed, or there is none.
    """
    found = [_spec(one, option) for one in _all(texts, option)]
    for _, given in (one for one in found if isinstance(one, tuple)):
        if isinstance(given.get("baselines"), str):
            given["baselines"] = baselines(given["baselines"], image)
    return found


def methods_by_specs(texts: Sequence[str]) -> list[Method]:
    """Read methods likewise, and make them.

    Raises
    ------
    MethodError
        If one is malformed or unknown, there is none, or one is given what is no parameter of its own.
    """
    found = [one if isinstance(one, tuple) else (one, {}) for one in method_specs(texts, None)]
    return [method(name, **given) for name, given in found]


def metric_specs(texts: Sequence[str]) -> list[Any]:
    """Read metrics likewise; the name of a family stands for all of it.

    Raises
    ------
    MethodError
        If one is malformed, or there is none.
    """
    found: list[Any] = []
    of_families: set[Any] = set()
    for one in _all(texts, "--metrics"):
        family = FAMILIES.get(one.strip())
        if family is None:
            found.append(_spec(one, "--metrics"))
        else:
            of_families.update(kind.name for kind in family)
            found += [kind.name for kind in family]
    return [
        one
        for k, one in enumerate(found)
        if not (isinstance(one, str) and one in of_families and one in found[:k])
    ]


def _all(texts: Sequence[str], option: str) -> list[str]:
    found = [one for text in texts for one in _split(text, ",") if one.strip()]
    if not found:
        raise MethodError(f"{option}: name at least one")
    return found


def _spec(text: str, option: str) -> Any:
    name, *rest = (part.strip() for part in _split(text, ":"))
    if not name:
        raise MethodError(f"{option} {text}: give a name, such as {option[2:-1]}:parameter=value")
    for pair in rest:
        if "=" not in pair:
            raise MethodError(f"{option} {text}: '{pair}' is no parameter=value, such as seed=1")
    return (name, parameters(rest)) if rest else name


def _split(text: str, mark: str) -> Iterator[str]:
    """Split a text at a mark, but not inside brackets and quotes."""
    depth, quote, part = 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _OPEN:
            depth += 1
        elif letter in _CLOSE:
            depth -= 1
        if letter == mark and depth <= 0 and not quote:
            yield part
            part = ""
        else:
            part += letter
    yield part
