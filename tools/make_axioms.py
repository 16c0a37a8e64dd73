"""Write docs/axioms.md: which method keeps which axiom.

python tools/make_axioms.py            # run all methods at their witnesses, and write it
python tools/make_axioms.py --check    # exit code 1 if it is not what the table of the tests says
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "tests", ROOT / "tests" / "helpers"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from axiom_witnesses import Witnesses
from axioms_held import AXIOMS, BROKEN, LIMITS, NONE, expected, measured

import onnxplain as ox

DOCUMENT = ROOT / "docs" / "axioms.md"
HEADER = """\
# Axioms

Made by `python tools/make_axioms.py` from running every method at small models; do not edit.

An axiom is a sentence about explanations that one may want to be true. No method keeps all that are wanted,
and which it breaks can be known before it is used. Here each method is held to seven:

{axioms}

* *kept*: at every witness, to rounding (1e-4 of the largest attribution; of the score's difference for
  completeness; of the features for sensitivity). A witness is a model with samples: evidence, and no proof.
* *limit*: kept with ever more samples or steps; with few of them it is not, and with more it is off by less.
* **no**: broken at a witness by more than 1 %, which is a proof.
* -: the axiom says nothing of the method.

Baselines are 0, methods have the parameters of the tests, and what is measured are the
[metrics](metrics.md#axioms) of these names.

"""
WITNESSES = """
## Witnesses

{witnesses}

Implementation invariance is measured over the model written in other ways, by
`ox.metrics.ImplementationInvariance`, and over the pair.
"""
SHOWN = ("layers", "saturated", "product", "sums", "pair")
SHOWN += ("images", "residual", "trees", "linear", "attention", "detection")
WORDS = {"kept": "kept", "limit": "limit", "broken": "**no**", "none": "-"}


def made() -> str:
    """Return what the document should hold."""
    lines = [f"| method | {' | '.join(AXIOMS)} |", "|---" * (len(AXIOMS) + 1) + "|"]
    for name in ox.METHODS:
        cells = [WORDS[expected(name, axiom)] for axiom in AXIOMS]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    axioms = "\n".join(f"* **{axiom}**: {what};" for axiom, what in AXIOMS.items())
    text = HEADER.format(axioms=axioms.rstrip(";") + ".") + "\n".join(lines) + "\n\n## Why\n"
    for axiom in AXIOMS:
        text += f"\n**{axiom.capitalize()}**\n\n"
        for why, names in _by_reason(BROKEN.get(axiom, {})).items():
            text += f"* broken by {_listed(names)}: {why}.\n"
        limits = LIMITS.get(axiom, {})
        if limits:
            text += f"* in the limit kept by {_listed(list(limits))}.\n"
        for why, names in _by_reason(NONE[axiom]).items():
            text += f"* says nothing of {_listed(names)}: {why}.\n"
    return text + WITNESSES.format(witnesses=_witnesses())


def _by_reason(reasons: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, why in reasons.items():
        found[why].append(name)
    return dict(found)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _witnesses() -> str:
    lines = []
    for name in SHOWN:
        doc = " ".join(str(getattr(Witnesses, name).__doc__).split())
        lines.append(f"* *{name}*: {doc[0].lower()}{doc[1:]}")
    return "\n".join(lines)


def wrong() -> list[str]:
    """Run all methods at all witnesses, and return where the table is wrong."""
    from conftest import Models

    witnesses, found = Witnesses(Models()), []
    for name in (n for n in ox.METHODS if n != "layer_activation"):
        for axiom in AXIOMS:
            verdict, off = measured(witnesses, name, axiom)
            if verdict != expected(name, axiom):
                found.append(f"{name}, {axiom}: {verdict} (off by {off:g}), and not {expected(name, axiom)}")
    return found


def main() -> int:
    """Write or compare, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only compare, and run nothing")
    if not parser.parse_args().check:
        mistakes = wrong()
        if mistakes:
            print("tests/helpers/axioms_held.py is wrong:", *mistakes, sep="\n  ", file=sys.stderr)
            return 1
        DOCUMENT.write_text(made(), encoding="utf-8")
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
        return 0
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != made():
        print("docs/axioms.md is not up to date; run: python tools/make_axioms.py", file=sys.stderr)
        return 1
    print("docs/axioms.md is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
