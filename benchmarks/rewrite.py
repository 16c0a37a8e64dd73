"""What the rewriting costs, once per model: read, write the backward pass, compile.

    python benchmarks/rewrite.py [--nodes 1000 2000 5000] [--models resnet50] [--json FILE]

The last column is microseconds of our own work per node; it must not grow with the graph.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from models import MODELS, chain
from timing import session, write_json

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.runtime.programs import lower

if TYPE_CHECKING:
    import onnx


def measure(model: onnx.ModelProto, repeats: int) -> dict[str, float]:
    """Seconds of each stage, the best of several rounds."""
    best: dict[str, float] = {}

    def clock(stage: str, begin: float) -> float:
        now = time.perf_counter()
        best[stage] = min(best.get(stage, float("inf")), now - begin)
        return now

    for _ in range(repeats):
        begin = time.perf_counter()
        session(model.SerializeToString(), 1)
        begin = clock("plain session", begin)
        normal = normalize(load(model), expand=needs_body)
        begin = clock("normalise", begin)
        made = build(normal, Question("output", ("input",))).model
        begin = clock("backward", begin)
        lower(made, "cpu")
        begin = clock("lower", begin)
        session(ir.to_proto(made).SerializeToString(), 1)
        clock("compile", begin)
    return best


def main() -> None:
    """Print one row per graph."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="*", choices=[*MODELS], default=["resnet50"])
    parser.add_argument("--nodes", nargs="*", type=int, default=[1000, 2000, 5000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    graphs = {name: MODELS[name]() for name in args.models}
    graphs |= {f"chain of {n}": chain(n) for n in args.nodes}
    stages = ("plain session", "normalise", "backward", "lower", "compile")
    print(f"{'ms':16}{'nodes':>7}" + "".join(f"{s:>15}" for s in stages) + f"{'our us/node':>15}")
    results: dict[str, Any] = {}
    for name, model in graphs.items():
        best = measure(model, args.repeats)
        nodes = len(model.graph.node)
        own = 1e6 * sum(best[s] for s in stages[1:4]) / nodes
        columns = "".join(f"{1e3 * best[s]:15.1f}" for s in stages)
        print(f"{name:16}{nodes:7}{columns}{own:15.1f}", flush=True)
        results[name] = {"nodes": nodes, "us_per_node": own, **best}
    write_json(args.json, results)


if __name__ == "__main__":
    main()
