"""kserve, imported when a server starts."""

from __future__ import annotations

import sys
from typing import Any

from onnxplain.errors import OptionalDependencyError

__all__ = ["import_kserve"]


def import_kserve() -> Any:
    """Import kserve, and hide the command line from it, which it would read for options of its own.

    Raises
    ------
    OptionalDependencyError
        If it is not installed.
    """
    given = sys.argv
    sys.argv = given[:1]
    try:
        import kserve
    except ImportError as error:
        raise OptionalDependencyError(
            f"a server needs the package kserve, which cannot be imported ({error}); "
            "pip install 'onnxplain[serve]'"
        ) from error
    finally:
        sys.argv = given
    return kserve
