"""Composites and inspections on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from command_line import MODEL, run, two_inputs
from onnx import TensorProto, helper

from onnxplain import Attribution

COMPOSITE = """
extends = "epsilon"
[[rules]]
rule = "zplus"
ops = ["Conv"]
"""


def test_composites(folder: Path) -> None:
    """By name, from a file, and as a parameter: the same explanation."""
    Path("mine.toml").write_text(COMPOSITE)
    ways = {
        "a.npz": ["--composite", "epsilon_plus"],
        "b.npz": ["-c", "mine.toml"],
        "c.npz": ["-p", "composite=epsilon_plus"],
        "d.npz": ["-c", "epsilon"],
    }
    for file, way in ways.items():
        run("explain", MODEL, "digits.npy", "-m", "lrp", "-t", "2", *way, "-o", file)
    a, b, c, d = (Attribution.load(file) for file in ways)
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.values, c.values)
    assert np.abs(a.values - d.values).max() > 1e-3


def test_composites_are_exported(folder: Path) -> None:
    run("export", MODEL, "out.onnx", "-m", "lrp", "-c", "epsilon")
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    made = session.run(["attribution/image"], {"image": np.load("digits.npy"), "target": np.array([2, 2])})
    run("explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon", "-t", "2", "-o", "a.npz")
    np.testing.assert_allclose(made[0], Attribution.load("a.npz").values, rtol=1e-3, atol=1e-4)


def test_parameters_of_composites(folder: Path) -> None:
    """Bounds, one per channel (of one channel here); names of parameters; truth values."""
    options = ["-p", "low=-0.5,", "-p", "high=[1.5]", "-p", "zero_params=bias", "-p", "winner_take_all=false"]
    result = run(
        "explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_gamma_box", *options, "-o", "a.npz"
    )
    assert "low=(-0.5,), high=(1.5,)" in result.stdout
    assert "zero_params=('bias',), winner_take_all=False" in result.stdout
    run(
        "explain", MODEL, "digits.npy", "-m", "lrp", "-c", "epsilon_gamma_box", "-p", "low=-0.5",
        "-p", "high=1.5", "-p", "zero_params=bias", "-p", "winner_take_all=false", "-o", "b.npz",
    )  # fmt: skip
    a, b = (Attribution.load(file).values for file in ("a.npz", "b.npz"))
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    result = run("explain", MODEL, "digits.npy", "-m", "lrp", "-p", "zero_params=bias, weight", "-o", "a.npz")
    assert "zero_params=('bias', 'weight')" in result.stdout
    assert not Attribution.load("a.npz").values.any()


def test_inspect(folder: Path) -> None:
    text = run("inspect", MODEL).stdout
    assert "image: float32, N x 1 x 28 x 28" in text
    assert "probabilities: float32, N x 10" in text
    assert re.search(r"^ +Conv +4 +rule", text, re.MULTILINE)
    assert "nothing stands in the way" in text


def test_inspect_shows_the_rule_of_each_node(folder: Path) -> None:
    text = run("inspect", MODEL, "--composite", "epsilon_plus_flat").stdout
    rows = text[text.index("rules of epsilon_plus_flat") :].splitlines()
    assert rows[1].split() == ["stem.conv", "Conv", "flat"]
    assert ["widen.conv", "Conv", "zplus"] in [row.split() for row in rows]
    assert ["classify.gemm", "Gemm", "epsilon"] in [row.split() for row in rows]
    assert all(row == row.rstrip() for row in rows)
    assert re.search(r"^ +Conv +4 +rule +flat, zplus$", text, re.MULTILINE)
    Path("mine.toml").write_text(COMPOSITE)
    assert re.search(
        r"stem.conv +Conv +zplus$", run("inspect", MODEL, "-c", "mine.toml").stdout, re.MULTILINE
    )
    gamma = run("inspect", MODEL, "-c", "zero_epsilon_gamma", "-p", "gamma=0.5").stdout
    assert re.search(r"stem.conv +Conv +gamma\(0.5\)$", gamma, re.MULTILINE)
    assert "rules of" not in run("inspect", MODEL).stdout


def test_inspect_says_that_a_composite_does_not_work(folder: Path) -> None:
    Path("bad.json").write_text('{"rules": [{"rule": "zplus", "ops": ["Relu"]}]}')
    result = run("inspect", MODEL, "-c", "bad.json", code=1)
    assert re.search(r"problem: LRP with bad does not work: .*'zplus'.*Relu node 'stem.relu'", result.stderr)
    assert "rules of" not in result.stdout
    two_inputs(folder / "two.onnx")
    result = run("inspect", "two.onnx", "-c", "visual_backprop", code=1)
    assert "for networks with Conv" in result.stderr


def test_inspect_shows_what_stops_an_explanation(folder: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Mystery", ["x"], ["y"], domain="nowhere", name="the_odd_one")],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nowhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), "odd.onnx")
    result = run("inspect", "odd.onnx", code=1)
    assert "problem: " in result.stderr
    assert "the_odd_one" in result.stderr
    assert "nothing stands in the way" not in result.stdout
    assert "the_odd_one" in run("inspect", "odd.onnx", "-q", code=1).stderr
