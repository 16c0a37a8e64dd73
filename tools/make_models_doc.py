"""Explain every trained model of the catalogue and write ``docs/models.md``.

Run ``python tools/fetch_models.py`` first; then ``python tools/make_models_doc.py`` (some minutes).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import real_check
import real_inputs

import onnxplain as ox

ROOT = Path(__file__).resolve().parents[1]

HEAD = """# Trained models, explained

Made by `tools/make_models_doc.py` from the models that `tools/fetch_models.py` fetches, each with a real
input.

* **gradient**: relative error of a directional derivative of the explained score against central
  differences, both in float64, on the very program that the explainer runs. Of four steps (1e-9 to 1e-6
  of the input's size) the one counts that agrees best: short ones show the score's rounding, long ones kinks.
  Token inputs are varied at their embedding, classifiers are explained before their Softmax. A dash: the
  reference evaluator cannot run the model in float64 in the time given.
* **IG**: |delta| of integrated gradients with 50 Gauss-Legendre steps from a zero baseline, relative to
  the score difference. Networks of ReLUs have gradients that jump along the path, so more steps help
  little by little; a saturated score (a probability of 1) concentrates the whole change in a short
  stretch of the path; where the baseline scores like the input, the relative delta says little.
* **LRP**: |delta| of the default, `conserving` (`epsilon_plus` with `bias="scale"`), relative to the
  score; in brackets the operators that kept most of what is missing, as shares of the score
  (`LRP(account=True)` gives it by node; what nodes keep adds up to the delta on every row). Layers and
  normalisations hand the shares of their biases and shifts on; Softmax keeps the constant term of its
  linearisation, and sums whose terms nearly cancel keep the stabiliser's share, in recurrent cells too.
  Recurrent and control-flow operators count as one.
* **keep**: the same with `bias="keep"`, zennit's convention: Conv, Gemm and Add keep the shares of their
  biases, which no input gets. z+ counts only the positive ones, and with many layers nearly everything can
  end in them.
* **deep Taylor**: the same for `deep_taylor`, whose z+ leaves biases out. It is made for networks of ReLUs
  with a score above 0, where it conserves but for layers without a positive contribution; elsewhere
  (recurrent cells, transformers, sums of values of either sign) it keeps or multiplies relevance.
* **DeepLIFT**: |delta| of DeepLift (Rescale) from a zero baseline relative to the score difference. It
  is rounding, amplified where a difference is close to zero.

| model | input | nodes | gradient | IG | LRP (kept by) | keep | deep Taylor | DeepLIFT |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def target_of(model: Any, explainer: ox.Explainer) -> Any:
    """Return the model's target as the explainer takes it: a score of each sample, or of the whole output."""
    shape = explainer.predict(model.feeds)[model.output].shape
    inner = tuple(model.target[1:])
    each = None if int(np.prod(shape[1:])) == 1 else [inner if len(inner) > 1 else inner[0]] * shape[0]
    whole = None if int(np.prod(shape)) == 1 else tuple(model.target)
    for target in (each, whole):
        try:
            explainer(model.feeds, method="saliency", target=target, output=model.output)
        except ox.errors.TargetError:
            continue
        return target
    raise SystemExit(f"{model.name}: neither {each} nor {whole} is a target")


def percent(result: ox.Attribution) -> str:
    """Return the largest relative delta of a batch."""
    relative = result.relative_delta
    return "" if relative is None else f"{float(np.max(relative)):.2%}"


def gradient(model: Any) -> str:
    """Return the error of the gradient, or a dash."""
    try:
        return f"{real_check.check(model, jitter=1e-3).relative_error:.0e}"
    except (MemoryError, RuntimeError, ValueError, NotImplementedError):
        return "-"


def row(name: str, quick: frozenset[str]) -> str:
    """Explain one model and return its line of the table."""
    model = real_inputs.load(name)
    shapes = ", ".join(f"`{k}` {'x'.join(map(str, v.shape)) or 'scalar'}" for k, v in model.feeds.items())
    found = ox.inspect(model.path, output=model.output)
    nodes = sum(r.count for r in found.operators)
    if found.problems:
        return f"| {name} | {shapes} | {nodes} | refused: {found.problems[0]} | | | | | |"
    explainer = ox.Explainer(model.path)
    target = target_of(model, explainer)
    options = {"target": target, "output": model.output}
    path = told(lambda: percent(explainer(model.feeds, method="integrated_gradients", **options)))
    relevance = told(lambda: lrp(explainer, model, options))
    kept = told(lambda: percent(explainer(model.feeds, method="lrp", bias="keep", **options)))
    taylor = told(lambda: percent(explainer(model.feeds, method="lrp", composite="deep_taylor", **options)))
    lift = told(lambda: percent(explainer(model.feeds, method="deep_lift", **options)))
    checked = "-" if name in quick else gradient(model)
    return f"| {name} | {shapes} | {nodes} | {checked} | {path} | {relevance} | {kept} | {taylor} | {lift} |"


def told(explain: Any) -> str:
    """Explain, or say which operator the rules refuse, or that a slope is infinite (at a baseline of 0)."""
    try:
        return str(explain())
    except ox.errors.UnsupportedRuleError as error:
        return str(error).split(" node ")[0].split()[-1]
    except ox.errors.NotFiniteError:
        return "not finite"


def lrp(explainer: ox.Explainer, model: Any, options: dict[str, Any]) -> str:
    """Return the relative delta, and what the operators that kept most kept of the score."""
    found = explainer(model.feeds, method=ox.LRP(account=True), **options)
    kept: Counter[str] = Counter()
    for node, amount in found.extras["kept"].items():
        kept[node.split()[0]] += float(amount)
    whole = float(found.score.sum())
    missing = float(found.delta.sum()) + sum(kept.values())
    size = sum(float(np.abs(v).sum()) for v in found.extras["kept"].values())
    size = max(size, float(np.abs(found.score).sum()))
    if abs(missing) > 5e-3 * size:  # single precision, over hundreds of nodes
        raise SystemExit(f"{model.name}: what nodes keep does not add up, {missing} is left")
    most = sorted(kept.items(), key=lambda item: -abs(item[1]))[:3]
    shares = ", ".join(f"{k} {v / whole:.0%}" for k, v in most if abs(v) >= 0.005 * abs(whole))
    return percent(found) + (f" ({shares})" if shares else "")


def main() -> int:
    """Write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these models, printed")
    parser.add_argument(
        "--skip-gradient",
        nargs="*",
        default=["u2netp", "silero_sequence", "dnsmos", "ocr_det"],
        help="models whose float64 check takes too long",
    )
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    lines = []
    for name in given.names or real_inputs.NAMES:
        lines.append(row(name, frozenset(given.skip_gradient)))
        print(lines[-1], flush=True)
    if not given.names:
        (ROOT / "docs" / "models.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
