"""Everything that can go wrong, by name.

Every error derives from :class:`OnnxplainError`, says which node, value or argument is at fault, and
ends with a way out. Those that report a wrong argument are also :class:`ValueError`.
"""

from __future__ import annotations

from typing import Any

from onnxplain.text import visible_line

__all__ = [
    "CheckFailedError",
    "DataInputError",
    "ExternalDataError",
    "InvalidModelError",
    "MethodError",
    "ModelNotFoundError",
    "ModelRunError",
    "NotExplainableError",
    "NotFiniteError",
    "OnnxplainError",
    "OptionError",
    "OutputError",
    "RuntimeUnavailableError",
    "TargetError",
    "UnsupportedOperatorError",
    "UnsupportedRuleError",
]


class OnnxplainError(Exception):
    """Base of all errors of this package.

    What a message quotes from a model or a file is made fit for a terminal here, for all errors at once.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*(visible_line(a) if isinstance(a, str) else a for a in args), **options)


class ModelNotFoundError(OnnxplainError, FileNotFoundError):
    """The model's path does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidModelError(OnnxplainError, ValueError):
    """The bytes are no ONNX model, or a truncated or inconsistent one."""


class ExternalDataError(InvalidModelError):
    """A file with the model's weights is missing, or lies outside the model's folder."""


class UnsupportedOperatorError(OnnxplainError):
    """An operator between the input and the output has no gradient here."""


class UnsupportedRuleError(OnnxplainError):
    """A modified backward rule cannot be applied to an operator."""


class NotExplainableError(OnnxplainError):
    """No differentiable path leads from the output to the values that were asked for."""


class NotFiniteError(OnnxplainError, ArithmeticError):
    """An explanation of finite inputs holds NaN or infinite numbers."""


class CheckFailedError(OnnxplainError, ArithmeticError):
    """An explanation is further from what it promises than is allowed, or promises nothing."""


class DataInputError(OnnxplainError, ValueError):
    """An input has the wrong name, shape, dtype or content."""


class TargetError(OnnxplainError, ValueError):
    """The target does not fit the model's output."""


class ModelRunError(OnnxplainError, RuntimeError):
    """onnxruntime could not run the model on the given inputs."""


class OptionError(OnnxplainError, ValueError):
    """An option of an explainer or of a call is not what it may be."""


class MethodError(OptionError):
    """A method's parameters make no sense, or do not fit the model."""


class RuntimeUnavailableError(OnnxplainError):
    """The asked-for device or execution provider is not there."""


class OptionalDependencyError(OnnxplainError, ImportError):
    """A feature needs a package that is not installed."""


class OutputError(OnnxplainError, OSError):
    """A file cannot be written; what was there before is still there."""

    def __str__(self) -> str:
        return str(self.args[0])
