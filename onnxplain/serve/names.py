"""Names under which models are served."""

from __future__ import annotations

import re

from onnxplain.errors import OptionError

__all__ = ["check_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(name: str) -> str:
    """Return a name under which a model can be served.

    Raises
    ------
    OptionError
        If it does not fit into an address.
    """
    if _NAME.fullmatch(name) is None:
        raise OptionError(
            f"'{name}' is no name for a model: give one of letters, digits, dots and dashes (--name)"
        )
    return name
