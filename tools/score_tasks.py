"""Score methods on tasks of known truth, and write the tables of ``docs/tasks.md``.

    python tools/score_tasks.py [-n 16] [--seed 0] [--out docs/tasks.md]

Every method that works on a task is measured by how well it finds what provably matters
(``onnxplain.testing.tasks``).  Attributions count by magnitude: what matters may speak against the score.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import onnxplain as ox
from onnxplain.errors import OnnxplainError
from onnxplain.metrics import AUC, RelevanceMassAccuracy, RelevanceRankAccuracy
from onnxplain.testing.tasks import Task, tasks

OUT = Path(__file__).resolve().parent.parent / "docs" / "tasks.md"

#: Of sampling methods: so many samples that all tasks are done within minutes.
SETTINGS: dict[str, dict[str, Any]] = {
    "blur_ig": {"n_steps": 20},
    "kernel_shap": {"n_samples": 2048},
    "lime": {"n_samples": 2048},
    "permutation_shapley": {"npermutations": 10},
    "regression_adjusted_shapley": {"n_samples": 2048},
    "rise": {"n_masks": 1000},
    "shapley_value_sampling": {"n_samples": 10},
}
#: They take an image's pixels for players, channels together.
BY_PIXELS = (
    "feature_ablation", "feature_permutation", "kernel_shap", "lime", "partition_shap", "permutation_shapley",
    "regression_adjusted_shapley", "shapley_value_sampling",
)  # fmt: skip
#: They explain something else than inputs by default, or all inputs of a batch together.
LEFT_OUT = (
    "activation_maximisation", "layer_activation", "layer_conductance", "layer_gradient_x_activation",
    "internal_influence", "neuron_conductance", "neuron_gradient", "shapley_interactions", "d_rise",
)  # fmt: skip
METRICS = {
    "AUC": AUC(absolute=True),
    "rank": RelevanceRankAccuracy(absolute=True),
    "mass": RelevanceMassAccuracy(absolute=True),
}


HEAD = """\
# Tasks of known truth

<!-- Written by tools/score_tasks.py -n {n}; do not edit. -->

Models of a few nodes of which it is provable what they look at (`onnxplain.testing.tasks`;
`tests/testing/test_tasks.py` shows it), and how well methods find it, sampling ones with fewer samples than
by default (`tools/score_tasks.py`). A feature matters if taking it away ever changes the score, whatever else
is gone.

| task | the score depends on | share that matters |
|---|---|---|"""
TABLE = """
Each cell is AUC / rank accuracy / mass accuracy of the magnitudes, means over {n} samples. 1 is perfect; 0.5,
the share and the share are chance, and what a method gets that finds nothing at all (of mass: 0). Methods
that do not work on a task have a dash, and come last if there are many. The best of a task are bold.
"""

NOTES = """\
What the table shows:

- **Gradients at the sample itself** (`saliency`, `input_x_gradient`, guided backpropagation) find nothing
  where the score is saturated, and in `xor` nothing at `a = b`, the kink.
- **Ablation of one feature at a time** finds nothing where each of two is enough (`saturated`).
- **Paths from zero and Shapley values** find all of that, but not `xor` at `a = b`: taking away one sign
  raises the score by 1 if the other is there, and lowers it by 1 if not, so that the exact values are 0. What
  `shapley_value_sampling` and `smooth_grad` find there is their error, or their noise.
- **Opinions that are turned round**: the Shapley value of such a word is 0 for the same reason, though the
  score is about little else. Attributions share out a score; they do not list what matters.
- **`saliency` and guided backpropagation** point at what *would* matter: in `negation`, at any word.
- **`gradient_shap`** draws few points on the way, of which none may lie where a pattern fires (`patch`);
  in none of the blurs that `blur_ig` goes through does one fire.
- **Coalitions** (`kernel_shap`, `lime`: 2,048 of 576 pixels): a pattern fires only where nearly all of it is
  left, which random halves never are.
- **Class activation maps** look at the last place that all ways lead through, the grey image, and weigh it as
  a whole: they do not tell one pattern from the others. `hi_res_cam` weighs place by place, and does.
"""


@dataclass(frozen=True)
class Score:
    """A method on a task: the mean of each metric, seconds; or why not."""

    means: dict[str, float]
    seconds: float = 0.0
    error: str = ""


def score(task: Task, name: str) -> Score:
    """Measure a method on a task."""
    explainer = ox.Explainer(task.model, device="cpu")
    try:
        method = ox.method(name, **SETTINGS.get(name, {}))
        start = time.perf_counter()
        pixels = task.name == "patch" and name in BY_PIXELS
        found = explainer(task.inputs, task.target, method, feature_mask="pixels" if pixels else None)
        seconds = time.perf_counter() - start
        means = {}
        for label, metric in METRICS.items():
            held = metric(explainer, task.inputs, task.target, attributions=found, masks=task.masks)
            means[label] = float(np.nan_to_num(held.values).mean())  # nothing at all is found nowhere
    except OnnxplainError as error:
        return Score({}, error=f"{type(error).__name__}: {error}")
    return Score(means, seconds)


def main() -> None:
    """Score all, and write."""
    parser = argparse.ArgumentParser(description="Score methods on tasks of known truth.")
    parser.add_argument("-n", type=int, default=16, help="samples of each task (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    parser.add_argument("--out", type=Path, default=OUT, help="the document (default: docs/tasks.md)")
    parser.add_argument("--methods", help="names, separated by commas (default: all that explain inputs)")
    args = parser.parse_args()
    names = args.methods.split(",") if args.methods else [m for m in ox.METHODS if m not in LEFT_OUT]
    all_tasks = tasks(args.n, args.seed)
    table: dict[str, dict[str, Score]] = {name: {} for name in names}
    for task in all_tasks:
        for name in names:
            table[name][task.name] = found = score(task, name)
            told = found.error[:150] or " ".join(f"{k} {v:.2f}" for k, v in found.means.items())
            print(f"{task.name:14} {name:28} {told} ({found.seconds:.1f} s)", flush=True)
    args.out.write_text(document(all_tasks, table, args.n))


def document(all_tasks: list[Task], table: dict[str, dict[str, Score]], n: int) -> str:
    """Return the document."""
    lines = [HEAD.format(n=n)]
    lines += [f"| `{task.name}` | {task.about} | {task.masks.mean():.2g} |" for task in all_tasks]
    lines += [
        TABLE.format(n=n),
        "| method | " + " | ".join(f"`{t.name}`" for t in all_tasks) + " |",
        "|---" * (len(all_tasks) + 1) + "|",
    ]
    best = {
        task.name: max((sum(row[task.name].means.values()) for row in table.values()), default=0)
        for task in all_tasks
    }
    ranked = sorted(table, key=lambda name: _overall(table[name], all_tasks), reverse=True)
    for name in ranked:
        if not any(found.means for found in table[name].values()):
            continue
        cells = []
        for task in all_tasks:
            found = table[name][task.name]
            text = " / ".join(f"{v:.2f}" for v in found.means.values()) or "-"
            first = found.means and sum(found.means.values()) > best[task.name] - 0.005
            cells.append(f"**{text}**" if first else text)
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    nowhere = [name for name in ranked if not any(found.means for found in table[name].values())]
    lines += ["", f"On none of these models: {', '.join(f'`{name}`' for name in nowhere)}.", "", NOTES]
    return "\n".join(lines)


def _overall(row: dict[str, Score], all_tasks: list[Task]) -> tuple[bool, float]:
    held = [np.mean(list(row[t.name].means.values())) for t in all_tasks if row[t.name].means]
    return len(held) > len(all_tasks) / 2, float(np.mean(held)) if held else 0.0


if __name__ == "__main__":
    main()
