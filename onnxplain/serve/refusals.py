"""Refusals as the protocols tell them: a status and one line."""

from __future__ import annotations

from onnxplain.errors import (
    NotFiniteError,
    OnnxplainError,
    OptionalDependencyError,
    RuntimeUnavailableError,
)
from onnxplain.text import visible_line

__all__ = ["RefusedError", "refusal_of"]


class RefusedError(OnnxplainError):
    """A request that is not answered.

    Attributes
    ----------
    status
        HTTP status.
    message
        Why, and the way out.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = visible_line(message)


#: The server's own doing, not the request's.
_OURS = (NotFiniteError, OptionalDependencyError, RuntimeUnavailableError)


def refusal_of(error: Exception) -> RefusedError:
    """Say what a client is told of an error; of those that nobody foresaw no more than that there was one."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, OnnxplainError):
        return RefusedError(500 if isinstance(error, _OURS) else 400, str(error))
    if isinstance(error, MemoryError):
        return RefusedError(503, "there is not enough memory for this request; send fewer samples at once")
    return RefusedError(500, f"internal error ({type(error).__name__}); the server's log has it")
