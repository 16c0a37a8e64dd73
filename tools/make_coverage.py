"""Write docs/coverage.md: which operators have a gradient, and how many generated cases check it.

python tools/make_coverage.py            # write it
python tools/make_coverage.py --check    # exit code 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import onnx

from onnxplain.testing.coverage import as_markdown, coverage

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "coverage.md"
HEADER = """\
# Operators and their gradients

Made by `python tools/make_coverage.py` with onnx {version}; do not edit. `onnxplain coverage` prints the same
for the installed onnx.

* **own rule**: written by hand, in `onnxplain/backward/ops/`.
* **function body**: replaced by the body that the standard gives, whose operators have rules.
* **decomposition**: written out in operators of the standard before anything else, in `onnxplain/graph/`
  (`contrib`, `classic`, `quantized`).
* **zero**: constant almost everywhere, so the gradient is 0.
* **none**: no gradient, for the reason given. What reaches the output through these alone needs a
  perturbation method, which looks at predictions only.

*since* is the version of the domain in which the operator came; older forms are raised by ONNX's converter.
*cases* counts the generated tests that compare the gradient with central differences in float64: for ai.onnx
the standard's own node tests (and their expanded forms) less those that `tests/backward/skips.toml` lists,
for the other domains those of this repository. Quantised operators are tested apart, in
`tests/backward/test_quantized.py`.

"""


def load_test(path: str) -> ModuleType:
    """Import a module of tests, for its list of cases."""
    name = f"_cases_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def count_cases() -> Counter[tuple[str, str]]:
    """Return how many cases check each operator."""
    generated = load_test("tests/helpers/gradient_cases.py")
    skipped = generated.SKIPS["float64"]
    counts = Counter(
        ("", c.op_type) for c in generated.CASES if not any(fnmatchcase(c.name, p) for p in skipped)
    )
    for path, domain in (
        ("tests/graph/test_contrib.py", "com.microsoft"),
        ("tests/graph/test_classic.py", "ai.onnx.ml"),
    ):
        counts.update((domain, op) for op, _, _ in load_test(path).CASES.values())
    return counts


def made() -> str:
    """Return what the document should hold."""
    return HEADER.format(version=onnx.__version__) + as_markdown(coverage(), count_cases())


def facts(document: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what depends on this package alone: category and gradient, by domain and operator."""
    found, domain = {}, ""
    for line in document.splitlines():
        if line.startswith("## "):
            domain = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and cells[2].isdigit() and cells[4] != "function body":
            found[domain, cells[1]] = (cells[3], cells[4])
    return found


def outdated(document: str) -> str:
    """Return what is wrong with the document, empty if nothing is."""
    version = re.search(r"with onnx (\S+);", document)
    if version is None or version[1] == onnx.__version__:
        return "" if document == made() else "its rows differ"
    print(f"made with onnx {version[1]}, here is {onnx.__version__}: only what both have is compared")
    held, now = facts(document), facts(as_markdown(coverage(), {}))
    wrong = sorted(key for key in held.keys() & now.keys() if held[key] != now[key])
    return f"it is wrong about {', '.join(op for _, op in wrong)}" if wrong else ""


def main() -> int:
    """Write or compare, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only compare")
    if not parser.parse_args().check:
        DOCUMENT.write_text(made(), encoding="utf-8")
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
        return 0
    problem = outdated(DOCUMENT.read_text(encoding="utf-8")) if DOCUMENT.exists() else "it does not exist"
    if problem:
        print(
            f"docs/coverage.md is not up to date ({problem}); run: python tools/make_coverage.py",
            file=sys.stderr,
        )
        return 1
    print("docs/coverage.md is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
