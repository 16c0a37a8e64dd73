"""An InferenceService: what KServe is told of a model repository."""

from __future__ import annotations

import json
import re

from onnxplain.errors import OptionError

__all__ = ["check_uri", "service", "service_name"]

_LONGEST = 63
_URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


def check_uri(uri: str) -> str:
    """Return where a repository will be found.

    Raises
    ------
    OptionError
        If it is no URI.
    """
    if _URI.fullmatch(uri) is None:
        raise OptionError(
            f"'{uri}' does not say where the cluster finds the repository: give s3://..., gs://..., "
            "pvc://NAME/PATH or https://..."
        )
    return uri


def service_name(name: str) -> str:
    """Return a name as Kubernetes takes it: lower letters, digits and dashes, of which the first is a letter.

    Raises
    ------
    OptionError
        If nothing is left of it.
    """
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-")
    if not made or not made[0].isalpha():
        raise OptionError(f"'{name}' is no name for a service: give one that begins with a letter (--name)")
    return made


def service(name: str, uri: str, namespace: str | None = None) -> str:
    """Return the YAML of a service that runs a repository in Triton, and speaks V2.

    Parameters
    ----------
    name
        Of the model.
    uri
        Where the cluster finds the repository.
    namespace
        Of the service; None leaves it to ``kubectl``.
    """
    lines = ["apiVersion: serving.kserve.io/v1beta1", "kind: InferenceService", "metadata:"]
    lines.append(f"  name: {service_name(name)}")
    if namespace is not None:
        lines.append(f"  namespace: {service_name(namespace)}")
    lines += ["spec:", "  predictor:", "    model:", "      modelFormat:", "        name: onnx"]
    lines += ['        version: "1"', "      protocolVersion: v2", "      runtime: kserve-tritonserver"]
    lines.append(f"      storageUri: {json.dumps(check_uri(uri))}")  # JSON's texts are YAML's
    return "\n".join(lines) + "\n"
