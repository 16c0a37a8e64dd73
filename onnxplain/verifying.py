"""Is an exported file right: beside the model that it was made of, and the explainer, on the same inputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Array, ArrayLike, Arrays
from onnxplain.errors import DataInputError, InvalidModelError, OnnxplainError, OptionError
from onnxplain.explainer import Explainer
from onnxplain.exported_file import OWN, Record, recorded
from onnxplain.exporting.halves import halves_of
from onnxplain.files import MODEL_BYTES, check_source
from onnxplain.graph.content import content_hash
from onnxplain.graph.load import ModelSource, load
from onnxplain.graph.normalize import normalize
from onnxplain.runtime import operators
from onnxplain.runtime.programs import Programs
from onnxplain.written import WrittenMethod

__all__ = ["Difference", "Verified", "verify"]

_FLOATS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
#: What two neighbours in float16 are apart, relative to the larger.
_STEP = 2.0**-10
#: Options of a file that the explainer takes as well.
_COMMON = ("output", "wrt", "through_softmax", "baselines", "feature_mask")


@dataclass(frozen=True)
class Difference:
    """How far one output of a file is from what it must be.

    Attributes
    ----------
    output
        Its name.
    against
        ``"model"`` or ``"explainer"``.
    largest
        The largest absolute difference; infinite where shapes or dtypes differ, or one holds NaN alone.
    scale
        The largest absolute number expected.
    equal
        Whether that is within the tolerance (equal, for whole numbers and text).
    """

    output: str
    against: str
    largest: float
    scale: float
    equal: bool

    @property
    def relative(self) -> float:
        """The difference beside the scale."""
        return 0.0 if not self.largest else self.largest / self.scale if self.scale else float("inf")


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes
    ----------
    differences
        Of each output, the worst first.
    notes
        What a person may want to know.
    """

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether all outputs are what they must be."""
        return all(d.equal for d in self.differences)

    def __bool__(self) -> bool:
        """Tell the same."""
        return self.equal


def verify(
    path: str | os.PathLike[str],
    against: ModelSource,
    inputs: ArrayLike,
    *,
    target: Any = None,
    tolerance: float = 1e-4,
    baselines: Any = None,
    feature_mask: Any = None,
) -> Verified:
    """Run an exported file, its model and the explainer on the same inputs, and compare.

    Parameters
    ----------
    path
        The file that :func:`~onnxplain.export` wrote.
    against
        The model.
    inputs
        An array, or a dict by input name, as :class:`~onnxplain.Explainer` takes them; where the file takes
        images (``preprocessing``), the images, uint8 (N, H, W, C): the model and the explainer get what the
        preprocessing makes of them.  What is under the name of the file's target is the target.
    target
        Which score of each sample (default: the predicted one); not where the file finds it itself.
    tolerance
        The largest difference from the expected numbers, relative to the largest of them (at least a step of
        float16, for outputs in float16).
    baselines, feature_mask
        Where the file was made with arrays: the same again.

    Returns
    -------
    Verified
        True where everything is equal.

    Raises
    ------
    InvalidModelError
        If this is no exported file.
    OptionError
        If something is to be given again.
    DataInputError
        If the file does not run on the inputs.
    """
    check_source(path, ".onnx file", InvalidModelError, MODEL_BYTES)
    session = _session(path, f"'{path}'")
    record = recorded(session.get_modelmeta().custom_metadata_map, f"'{path}'")
    loaded = load(against)
    notes: list[str] = []
    if content_hash(loaded) != record.source:
        notes.append("the file was made from a model of other content")
    explainer = Explainer(loaded)
    feeds = _as_taken(_by_name(inputs, session, record), session)
    wanted = feeds.pop(record.target, None) if record.target is not None else None
    images = record.images()
    given = {k: images[k].apply(v, f"input '{k}'") if k in images else v for k, v in feeds.items()}
    options = _options(record, {"baselines": baselines, "feature_mask": feature_mask})
    first = _target(explainer, given, record, options, target if target is not None else wanted)
    if record.target is not None:
        feeds[record.target] = first
    names = [o.name for o in session.get_outputs()]
    try:
        found = dict(zip(names, session.run(None, feeds), strict=True))
    except Exception as error:  # onnxruntime's errors have no common base
        raise DataInputError(f"'{path}' does not run on these inputs: {error}") from error
    expected = _predicted(against, loaded, given, notes)
    differences = [_difference(n, "model", found[n], v, tolerance) for n, v in expected.items() if n in found]
    for label, method in record.made().items():
        if isinstance(method, WrittenMethod):
            notes.append(f"{method} cannot be made from the file, and was not compared")
            continue
        explained = _explained(explainer, given, method, options, record, found, first)
        for name, values in explained.items():
            output = f"attribution/{label}/{name}" if label else f"attribution/{name}"
            if output in found:
                differences.append(_difference(output, "explainer", found[output], values, tolerance))
    done = {d.output for d in differences}
    left = [n for n in names if n.startswith("attribution/") and n not in done]
    if left:
        notes.append(f"not compared: {', '.join(left)}")
    if not any(d.against == "explainer" for d in differences):
        raise InvalidModelError(f"no attribution of '{path}' could be compared: {'; '.join(notes)}")
    return Verified(tuple(sorted(differences, key=lambda d: (d.equal, -d.relative))), tuple(notes))


def _session(model: Any, what: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if operators.why_not() is None:
        operators.register(options)
    if isinstance(model, ir.Model):
        model = ir.to_proto(model)
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base
        raise InvalidModelError(f"onnxruntime does not load {what}: {error}") from error


def _by_name(inputs: ArrayLike, session: ort.InferenceSession, record: Record) -> Arrays:
    if isinstance(inputs, Mapping):
        return {str(k): np.asarray(v) for k, v in inputs.items()}
    own = [i.name for i in session.get_inputs() if i.name != record.target]
    if len(own) != 1:
        raise DataInputError(f"the model takes {', '.join(own)}; give a dict by name")
    return {own[0]: np.asarray(inputs)}


def _options(record: Record, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the explainer is to be told.

    Raises
    ------
    OptionError
        If the file was made with arrays, which it does not hold by name.
    """
    found = {k: record.options.get(k) for k in _COMMON}
    for name, value in given.items():
        if value is not None:
            found[name] = value
        elif found[name] == OWN:
            raise OptionError(f"the file was made with {name} of its own; give them with {name}=")
    return {k: v for k, v in found.items() if v is not None}


def _target(explainer: Explainer, given: Arrays, record: Record, options: Any, target: Any) -> Any:
    """Return the target of each sample as the file takes it; None where it takes none."""
    if record.target is None:
        return None
    known = [m for m in record.made().values() if not isinstance(m, WrittenMethod)]
    if not known:
        raise InvalidModelError("the file's methods cannot be made from what it says of them")
    asked = "predicted" if target is None else target
    chosen = explainer(given, asked, method=known[0], **_for(known[0], options)).target
    return chosen[:, 0] if chosen.ndim == 2 and chosen.shape[1] == 1 else chosen


def _as_taken(feeds: Arrays, session: ort.InferenceSession) -> Arrays:
    """Return numbers in the precision in which a file takes them."""
    wanted = {i.name: _FLOATS.get(i.type) for i in session.get_inputs()}
    with np.errstate(over="ignore"):  # the explainer refuses what is infinite
        return {
            k: v.astype(dtype) if v.dtype.kind == "f" and (dtype := wanted.get(k)) is not None else v
            for k, v in feeds.items()
        }


def _predicted(against: ModelSource, loaded: ir.Model, given: Arrays, notes: list[str]) -> Arrays:
    """Run the model as it is; where it is of half precision, in float32, and say how far it is from that."""
    half = halves_of(loaded)
    if not half.any:
        return _stock(_session(against, "the model"), given)
    normal = normalize(loaded.clone())
    names = [str(v.name) for v in normal.model.graph.outputs]
    made = Programs(normal, "cpu").values(tuple(names), {k: _wide(v) for k, v in given.items()})
    with np.errstate(over="ignore"):
        made |= {names[k]: made[names[k]].astype(np.float16) for k in half.outputs}
    notes.append("the model holds numbers of half precision; it was compared as computed in float32")
    try:
        stored = _stock(_session(against, "the model"), given)
    except OnnxplainError:
        notes.append("onnxruntime does not run it as it is stored")
        return made
    for name in (n for n in names if n in stored):
        apart = _difference(name, "model", _wide(stored[name]), _wide(made[name]), 0.0).relative
        notes.append(
            f"as it is stored, its output '{name}' is {apart:.2g} of the largest number away from that"
        )
    return made


def _stock(session: ort.InferenceSession, given: Arrays) -> Arrays:
    """Run a model on as many samples as it takes at once, and join what it gives."""
    names = [o.name for o in session.get_outputs()]
    try:
        made = [session.run(None, part) for part in _pieces(_as_taken(given, session), session)]
    except Exception as error:  # onnxruntime's errors have no common base
        raise DataInputError(f"the model does not run on these inputs: {error}") from error
    joined = made[0] if len(made) == 1 else [np.concatenate(each) for each in zip(*made, strict=True)]
    return dict(zip(names, joined, strict=True))


def _pieces(given: Arrays, session: ort.InferenceSession) -> list[Arrays]:
    """Cut inputs along the first axis, where the model has a fixed number of samples there."""
    first = {i.name: i.shape[0] for i in session.get_inputs() if i.shape}
    lengths = {k: n for k, n in first.items() if isinstance(n, int) and n > 0}
    cut = {k: n for k, n in lengths.items() if k in given and given[k].ndim and len(given[k]) != n}
    counts = {divmod(len(given[k]), n) for k, n in cut.items()}
    if len(counts) != 1:
        return [given]
    ((count, rest),) = counts
    if rest:
        return [given]
    parts = {k: np.split(given[k], count) for k in cut}
    return [{k: parts[k][at] if k in parts else v for k, v in given.items()} for at in range(count)]


def _wide(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _explained(
    explainer: Explainer, given: Arrays, method: Any, options: Any, record: Record, found: Arrays, target: Any
) -> Arrays:
    """Explain, for the targets that the file explained."""
    told = _for(method, options)
    if record.target is not None:
        return explainer(given, target, method=method, **told).arrays
    index = found.get("target")
    if record.options.get("top_k") is None or index is None:
        asked = "predicted" if record.options.get("target") == "predicted" else None
        return explainer(given, asked, method=method, **told).arrays
    each = [explainer(given, index[:, j], method=method, **told).arrays for j in range(index.shape[1])]
    return {name: np.stack([one[name] for one in each], 1) for name in each[0]}


def _for(method: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a method does not take."""
    wants = {"baselines": method.wants_baselines(), "feature_mask": method.wants_players()}
    return {k: v for k, v in options.items() if wants.get(k, True)}


def _difference(output: str, against: str, found: Any, expected: Any, tolerance: float) -> Difference:
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape != b.shape or (a.dtype != b.dtype and np.float16 in (a.dtype, b.dtype)):
        return Difference(output, against, float("inf"), 0.0, False)
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        same = bool(np.array_equal(a, b))
        return Difference(output, against, 0.0 if same else float("inf"), 0.0, same)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    scale = float(np.abs(wide_b[np.isfinite(wide_b)]).max(initial=0))
    alike = (wide_a == wide_b) | (np.isnan(wide_a) & np.isnan(wide_b))
    with np.errstate(invalid="ignore"):
        apart = np.where(alike, 0.0, np.abs(wide_a - wide_b))
    apart[np.isnan(apart)] = np.inf
    largest = float(apart.max(initial=0))
    rounding = _STEP if a.dtype == np.float16 else 0.0
    allowed = max(tolerance, rounding) * scale if a.dtype.kind == "f" else 0.0
    return Difference(output, against, largest, scale, largest <= allowed)
