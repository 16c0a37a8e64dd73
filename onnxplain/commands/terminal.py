"""How commands speak: one line for what goes wrong, nothing that steers the terminal."""

from __future__ import annotations

import io
import sys
import traceback
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from onnxplain.errors import OnnxplainError
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

__all__ = ["app", "speaker", "tell"]


class _Group(TyperGroup):
    """Commands whose errors take one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter shows its number
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:
            if not standalone_mode:
                raise
            if "--debug" in given:
                traceback.print_exc()
            message, code = _told(error)
            tell(f"error: {message}", sys.stderr)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _told(error: Exception) -> tuple[str, int]:
    """Say an error in one line, and choose the exit code."""
    if isinstance(error, typer.Abort):
        return "stopped", 130
    code = 2
    if hasattr(error, "format_message"):  # a wrong option, found by typer
        text = error.format_message()
        where = getattr(error, "ctx", None)
        if where is not None:
            text = f"{text.rstrip('.')}; '{where.command_path} --help' says what it takes"
    elif isinstance(error, OSError) and not isinstance(error, OnnxplainError) and error.filename is not None:
        text = f"'{error.filename}': {error.strerror}"
    elif isinstance(error, OnnxplainError | OSError):
        text = str(error)
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (a bug? --debug shows where)", 1
    return " ".join(text.split()), code


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Explain why an ONNX model says what it says.",
)


def tell(text: str, file: TextIO | None = None) -> None:
    """Print one line; what a name or label holds can neither steer the terminal nor end the run."""
    print(visible_line(text), file=file or sys.stdout)


def speaker(quiet: bool) -> Callable[[str, str], None]:
    """Return what prints a name and a text, unless it is to be quiet."""

    def say(name: str, text: str) -> None:
        if not quiet:
            tell(f"{name:<12} {text}")

    return say
