"""What an exported file says of itself: from which model it was made, how, and by which version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from onnxplain.errors import InvalidModelError, OnnxplainError
from onnxplain.files import MODEL_BYTES, check_source
from onnxplain.preprocessing import Preprocessing
from onnxplain.versions import VERSION
from onnxplain.written import from_record, to_record

__all__ = ["KEY", "OWN", "Record", "read_record", "recorded"]

#: Where the record stands among a model's metadata.
KEY = "onnxplain.export"
#: Stands for what was given as arrays, which a record does not hold.
OWN = "given"


@dataclass(frozen=True)
class Record:
    """How a file was made.

    Attributes
    ----------
    source
        SHA-256 of the model's content (:func:`~onnxplain.graph.content.content_hash`).
    methods
        By label (empty where there is one, which needs none): as :func:`~onnxplain.written.to_record` tells.
    options
        As :func:`onnxplain.export` took them; :data:`OWN` for arrays.
    target
        The input that names the target; None where the file finds it, or there is one score.
    preprocessing
        By input: what the file makes of images first, fields of
        :class:`~onnxplain.preprocessing.Preprocessing`.
    version
        Of this package.
    """

    source: str
    methods: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    target: str | None = None
    preprocessing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: str = field(default=VERSION)

    def text(self) -> str:
        """Return what stands in the file."""
        return json.dumps(asdict(self), sort_keys=True)

    def made(self) -> dict[str, Any]:
        """Return the methods by label; text where a record cannot make them."""
        return {label: from_record(each) for label, each in self.methods.items()}

    def images(self) -> dict[str, Preprocessing]:
        """Return what the file makes of images, by input."""
        return {name: Preprocessing(**_tuples(fields)) for name, fields in self.preprocessing.items()}

    @staticmethod
    def of(
        source: str,
        methods: Mapping[str | None, object],
        options: Mapping[str, Any],
        target: str | None,
        images: Mapping[str, Preprocessing],
    ) -> Record:
        """Describe an export; what JSON does not hold is left out of the options."""
        plain = {k: v if _is_plain(v) else OWN for k, v in options.items()}
        made = {label or "": to_record(m) for label, m in methods.items()}
        return Record(source, made, plain, target, {name: asdict(plan) for name, plan in images.items()})


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(v, str) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def recorded(metadata: Mapping[str, str], what: str) -> Record:
    """Read a file's record.

    Parameters
    ----------
    metadata
        The model's.
    what
        The file, as errors name it.

    Raises
    ------
    InvalidModelError
        If there is none, or it is damaged.
    """
    text = metadata.get(KEY)
    if text is None:
        raise InvalidModelError(
            f"{what} does not say how it was made; only files that onnxplain.export wrote (0.1.0 or newer) do"
        )
    try:
        found = json.loads(text)
        made = Record(**found)
        if not isinstance(made.methods, dict) or not isinstance(made.options, dict):
            raise TypeError("no record")
        made.made()
        made.images()
    except (ValueError, TypeError, KeyError, AttributeError, OnnxplainError) as error:
        raise InvalidModelError(f"what {what} says of itself is damaged; export it again") from error
    return made


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read the record of a file, whose weights stay where they are.

    Raises
    ------
    InvalidModelError
        If it is missing, is no model, or has none.
    """
    check_source(path, ".onnx file", InvalidModelError, MODEL_BYTES)
    try:
        proto = onnx.load(Path(path), load_external_data=False)
    except (OSError, DecodeError, RuntimeError) as error:
        raise InvalidModelError(f"'{path}' is no ONNX model, or cannot be read ({error})") from error
    return recorded({entry.key: entry.value for entry in proto.metadata_props}, f"'{path}'")
