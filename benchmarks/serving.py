"""Requests a second on loopback: predictions and explanations, beside bare onnxruntime in the same server.

    pip install '.[serve]'
    python benchmarks/serving.py --json benchmarks/results/serving.json

The server runs in a process of its own; clients are threads that keep their connections, and send one sample
of raw floats (V2) at a time.  All rows are answered by one server, in turn for a second each, and the fastest
round counts, so that other work on the machine strikes all alike.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from timing import write_json

HEADER = "Inference-Header-Content-Length"
METHODS = ["lrp", ("integrated_gradients", {"n_steps": 20})]


def serve(path: str, max_batch: int) -> None:
    """Serve bare onnxruntime, the model and its companion; tell the address, and run."""
    import onnxruntime as ort

    from onnxplain.serve import Server, Settings, served
    from onnxplain.serve.asked import Answer, Asked

    pair = served(path, METHODS, name="model")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]

    class Bare:
        name, explains, inputs, outputs = "bare", False, pair[0].inputs, pair[0].outputs

        def prepare(self, asked: Asked) -> Asked:
            return asked

        def answer(self, asked: Asked) -> Answer:
            found = dict(zip(names, session.run(names, asked.arrays), strict=True))
            return Answer(found, dict.fromkeys(found, 0))

    server = Server([Bare(), *pair], Settings(port=0, max_batch=max_batch))
    print(server.url.rsplit(":", 1)[1], json.dumps([pair[0].inputs[0].metadata()]), flush=True)
    server.run()


def measure(port: int, path: str, body: bytes, length: int, clients: int, seconds: float) -> dict[str, float]:
    """Ask from some clients for some time; return requests a second, and milliseconds of one."""
    times: list[float] = []
    begin = time.perf_counter()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < begin + seconds:
            start = time.perf_counter()
            connection.request("POST", path, body, {HEADER: str(length)})
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise SystemExit(content.decode())
            times.append(time.perf_counter() - start)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = 1e3 * np.sort(times)
    return {
        "requests_per_second": len(times) / (time.perf_counter() - begin),
        "median_ms": float(np.median(found)),
        "p99_ms": float(np.quantile(found, 0.99)),
    }


def rows(model: str, rounds: int, max_batch: int) -> list[dict[str, Any]]:
    """Measure one model."""
    command = [sys.executable, __file__, "--serve", model, "--max-batch", str(max_batch)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port, _, told = process.stdout.readline().partition(" ")
    (tensor,) = json.loads(told)
    shape = [1, *tensor["shape"][1:]]
    raw = np.random.default_rng(0).random(shape, np.float32).tobytes()
    tensor |= {"shape": shape, "parameters": {"binary_data_size": len(raw)}}
    kinds = [("bare onnxruntime", "bare", None), ("predict", "model", None)]
    kinds += [(f"explain: {m if isinstance(m, str) else m[0]}", "model-explain", m) for m in METHODS]
    best: dict[tuple[str, int], dict[str, float]] = {}
    try:
        for turn in range(rounds + 1):  # the first to warm up
            for clients, (label, name, method) in product((1, 8), kinds):
                parameters = {"binary_data_output": True}
                if method is not None:
                    parameters |= {"method": method if isinstance(method, str) else method[0]}
                head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
                path = f"/v2/models/{name}/infer"
                one = measure(int(port), path, head + raw, len(head), clients, 1.0 if turn else 0.3)
                before = best.get((label, clients))
                if turn and (before is None or one["requests_per_second"] > before["requests_per_second"]):
                    best[label, clients] = one
    finally:
        process.terminate()
        process.wait()
    found = []
    for (label, clients), one in best.items():
        row = {"model": Path(model).stem, "asked": label, "clients": clients, "max_batch": max_batch}
        found.append(row | one)
        told = "".join(f"{v:10.1f}" for v in one.values())
        print(f"{row['model']:16}{label:32}{clients:4}{max_batch:4}{told}", flush=True)
    return found


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["onnxplain/data/digits.onnx"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.max_batch)
        return
    print(f"{'model':16}{'asked':32}{'clients, max_batch':8}{'requests/s, median ms, p99 ms':>30}")
    found = [
        row for m in given.models for size in (1, given.max_batch) for row in rows(m, given.rounds, size)
    ]
    write_json(given.json, found)


if __name__ == "__main__":
    main()
