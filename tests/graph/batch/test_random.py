"""Random graphs: every value of which the batch analysis says where its samples lie, compared with runs."""

from __future__ import annotations

import batch_cases
import batch_graphs
import onnx_ir as ir
import pytest

from onnxplain.graph.batch import Batch, analyse

SEEDS, GROUPS = 18, 3


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_value_lies_where_it_is_said_to(group):
    samples = 0
    for seed in range(group, SEEDS, GROUPS):
        made = batch_graphs.RandomGraph(seed)
        shapes = {"x": made.x.shape}
        for free in (True, False):
            model = ir.from_proto(made.model())
            found = analyse(model, {"x": made.axis}, shapes, free=free, outputs=["x"])
            assert isinstance(found, Batch)
            proto, names = made.proven(found)
            if not names:
                continue
            run = batch_cases.Runner(proto)
            whole = run({"x": made.x})
            axes = {"x": made.axis}
            batch_cases.compare(found, run, whole, axes, {"x": made.x}, batch_graphs.N, free=free)
            samples += sum(found.axes[name] is not None for name in names)
    assert samples > SEEDS / GROUPS
