"""Reading the equations of Einsum."""

from __future__ import annotations

import string
from collections.abc import Sequence

__all__ = ["spelled_out"]


def spelled_out(equation: str, ranks: Sequence[int]) -> tuple[list[str], str, str]:
    """Write an equation without ellipsis, and with its output.

    Returns
    -------
    list of str, str, str
        The terms, the output, and the letters that stand for the ellipsis.
    """
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [c for c in string.ascii_letters if c not in equation]
    hidden = [r - len(t.replace("...", "")) if "..." in t else 0 for t, r in zip(terms, ranks, strict=True)]
    dots = "".join(free[: max(hidden)])
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        out = "..." * ("..." in left) + "".join(once)
    terms = [t.replace("...", dots[len(dots) - h :]) for t, h in zip(terms, hidden, strict=True)]
    return terms, out.replace("...", dots), dots
