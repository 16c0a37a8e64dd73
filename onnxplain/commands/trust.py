"""What ``onnxplain evaluate`` is told besides, and what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxplain.archive import read_array
from onnxplain.commands.targets import target as one_target
from onnxplain.errors import TargetError
from onnxplain.report import write_trust_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain.evaluation import Evaluation

__all__ = ["target", "write"]


def target(text: str | None, labels: Sequence[str] | None, n: int | None) -> Any:
    """Read what is explained: a class, or a file with one for each of ``n`` samples.

    Raises
    ------
    TargetError
        If it is neither.
    """
    if text is None or not text.lower().endswith(".npy"):
        return one_target(text, labels)
    held = read_array(text)
    if held.dtype.kind not in "iu" or held.ndim != 1:
        raise TargetError(
            f"--target {text}: give whole numbers, one for each sample, not {held.dtype} {held.shape}"
        )
    return [int(k) for k in held[:n]]


def write(
    found: Evaluation,
    file: Path,
    model: Path,
    source: Path,
    steps: Sequence[str],
    class_names: Sequence[str] | None,
) -> None:
    """Write an evaluation in the form that the file's ending asks for.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    ending = file.suffix.lower()
    if ending in (".html", ".htm"):
        facts = [("model", model.name), ("samples", source.name)]
        facts += [("images", ", ".join(steps))] * bool(steps)
        title = f"What explanations of {model.stem} are worth"
        write_trust_report(file, found, title=title, facts=facts, class_labels=class_names)
    elif ending == ".csv":
        found.to_csv(file)
    elif ending == ".json":
        found.to_json(file)
    elif ending == ".npz":
        found.save(file)
    else:
        from onnxplain.plots.canvas import save

        save(found.plot(), file, dpi=130)
