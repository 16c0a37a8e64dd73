"""Text that came with a file, made fit to be shown.

Names of nodes and classes are whatever bytes a file holds, and a terminal obeys some of them.
"""

from __future__ import annotations

import re

__all__ = ["visible", "visible_line"]

#: Control characters, marks that turn the direction of text, and halves of characters.
_UNFIT = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Write what a terminal would obey rather than show as ``\x1b``; line breaks stay."""
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def visible_line(text: str) -> str:
    """Make text :func:`visible`, and each line break or tab in it one blank."""
    return re.sub(r"[ ]*[\t\n\v\f\r]\s*", " ", visible(text))
