"""What models trained on data without some of the features get right: what ROAR finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import DataInputError
from onnxplain.explainer import Explainer
from onnxplain.graph.load import ModelSource

__all__ = ["Retrained", "Trained", "accuracy"]

#: A trained model: an explainer, what that takes, or a function from inputs to scores (N, classes) or labels.
Trained: TypeAlias = "Explainer | ModelSource | Callable[[Array], Any]"

_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Retrained:
    """How right models are that were trained anew without some of the features.

    Attributes
    ----------
    shares
        (K,): the share of the features that is gone (or kept), ascending; the first is the whole data set.
    accuracies
        By what gave the order, (K, R): the share of the test samples that each of R models gets right.
    keep
        Whether the features that come first in the order were kept, instead of taken away.
    """

    shares: FloatArray
    accuracies: Mapping[str, FloatArray]
    keep: bool = False

    @property
    def higher_is_better(self) -> bool:
        """Whether higher areas speak for an explanation: where features are taken away, lower ones do."""
        return self.keep

    def areas(self, name: str) -> FloatArray:
        """Return the areas under the R curves of accuracy over share, over the length of the way, (R,)."""
        values = self.accuracies[name].T
        sides = (values[:, 1:] + values[:, :-1]) / 2
        found: FloatArray = (sides * np.diff(self.shares)).sum(1) / (self.shares[-1] - self.shares[0])
        return found

    @property
    def area(self) -> dict[str, float]:
        """The mean area of each, best first."""
        means = {name: float(self.areas(name).mean()) for name in self.accuracies}
        return dict(sorted(means.items(), key=lambda item: item[1], reverse=self.higher_is_better))

    def table(self) -> str:
        """Return a Markdown table, best first: accuracies in percent, means of the runs, and the areas."""
        lines = ["| order | " + " | ".join(f"{100 * s:g} %" for s in self.shares) + " | area |"]
        lines.append("|---" * (len(self.shares) + 2) + "|")
        for name, area in self.area.items():
            cells = [f"{100 * a:.1f}" for a in self.accuracies[name].mean(1)]
            spread = (
                f" ± {np.std(self.areas(name), ddof=1):.3f}" if self.accuracies[name].shape[1] > 1 else ""
            )
            lines.append(f"| `{name}` | " + " | ".join(cells) + f" | {area:.3f}{spread} |")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Summarise: the areas, best first."""
        return f"Retrained({', '.join(f'{name}: {area:.4g}' for name, area in self.area.items())})"


def accuracy(model: Trained, x: Array, y: Array) -> float:
    """Return the share of samples of which a model's highest score is that of the true class.

    Parameters
    ----------
    model
        Of a model, its first output of floats is read.
    x, y
        (N, ...) and (N,).

    Raises
    ------
    DataInputError
        If what the model gives are neither scores (N, classes) nor labels (N,).
    """
    ask: Callable[[Array], Any]
    if isinstance(model, Explainer) or not callable(model):
        explainer = model if isinstance(model, Explainer) else Explainer(model)
        floats = [o.name for o in explainer.outputs if o.dtype is None or o.dtype.kind == "f"]
        if not floats:
            raise DataInputError("the trained model has no output of floats, where its scores would be")

        name = floats[0]

        def ask(rows: Any) -> Any:
            return explainer.predict(rows)[name]

    else:
        ask = model
    right = 0
    for first in range(0, len(x), _ROWS):
        rows = x[first : first + _ROWS]
        found = np.asarray(ask(rows))
        if found.ndim == 2 and found.shape[1] > 1:
            found = found.argmax(1)
        if found.shape != (len(rows),):
            raise DataInputError(
                f"the trained model gives {found.shape} for {len(rows)} samples; accuracy takes scores "
                "(N, classes), or labels (N,)"
            )
        right += int((found == y[first : first + _ROWS]).sum())
    return right / len(x)
