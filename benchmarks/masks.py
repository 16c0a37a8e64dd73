"""Memory and time of RISE as masks become more: they are made and forgotten block by block.

Each row is a process of its own: masks, peak resident memory, what of it is beyond 1,000 masks', seconds, and
the largest standard error. It ends after five minutes.

    python benchmarks/masks.py [--most 1000000] [--seconds 300]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples


def one(masks: int) -> None:
    """Explain one digit, and print peak memory in MiB, seconds and the largest error."""
    explainer = ox.Explainer(digits_model_path(), memory_budget=1 << 27)
    x = digits_samples()[0][:1]
    start = time.perf_counter()
    found = explainer(x, "predicted", ox.RISE(masks))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (error,) = found.extras["standard_error"].values()
    print(peak, seconds, float(error.max()))


def main() -> None:
    """Measure ten times as many masks in each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10**6)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--one", type=int)
    given = parser.parse_args()
    if given.one:
        one(given.one)
        return
    began, first, masks = time.perf_counter(), None, 10**3
    print("| masks | peak memory, MiB | beyond 1,000 masks | seconds | largest standard error |")
    print("|---|---|---|---|---|")
    while masks <= given.most:
        left = given.seconds - (time.perf_counter() - began)
        command = [sys.executable, __file__, "--one", str(masks)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=max(left, 1))
        except subprocess.TimeoutExpired:
            print(f"| {masks:,} | not within {given.seconds:g} s | | | |")
            return
        peak, seconds, error = map(float, done.stdout.split())
        first = peak if first is None else first
        print(f"| {masks:,} | {peak:.0f} | {peak - first:+.0f} | {seconds:.1f} | {error:.2g} |", flush=True)
        masks *= 10


if __name__ == "__main__":
    main()
