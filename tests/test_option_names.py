"""Options by name, for methods, rules, composites and files: one wording, and the name that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onnxplain as ox
from onnxplain.backward.composites.presets import preset
from onnxplain.options import Weight, make

if TYPE_CHECKING:
    from collections.abc import Callable


def of_a_file(text: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        (folder / "mine.toml").write_text(text)
        return preset(folder / "mine.toml")

    return read


UNKNOWN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "method": (
        lambda _: ox.method("ig", n_step=5),
        "method 'integrated_gradients' does not take 'n_step'; it takes .*n_steps.* mean 'n_steps'",
    ),
    "rule": (
        lambda _: ox.rule("gamma", gama=1),
        "rule 'gamma' does not take 'gama'; .* mean 'gamma'",
    ),
    "composite": (
        lambda _: preset("epsilon", epsilom=1),
        "composite 'epsilon' does not take 'epsilom'; it takes epsilon, .* mean 'epsilon'",
    ),
    "composite in a file": (
        of_a_file("options = {stabiliser = 1}"),
        "composite 'epsilon' does not take 'stabiliser'; .* mean 'stabilizer'",
    ),
    "rule in a file": (
        of_a_file('[[rules]]\nrule = "flat"\nop = ["Conv"]'),
        "rule 'flat' does not take 'op'; it takes stabilizer, ops, .* mean 'ops'",
    ),
    "stabilizer in a file": (
        of_a_file("options = {epsilon = {clipp = true}}"),
        "epsilon does not take 'clipp'; it takes epsilon, clip, norm_scale .* mean 'clip'",
    ),
    "a class": (lambda _: ox.method(ox.LRP), r"LRP is a class; give a method made of it, LRP\("),
    "method's name": (lambda _: ox.method("salency"), "no method 'salency'; choose .* mean 'saliency'"),
    "rule's name": (lambda _: ox.rule("epsilom"), "no rule 'epsilom'; choose .* mean 'epsilon'"),
    "composite's name": (lambda _: preset("conservin"), "no composite 'conservin'; .* mean 'conserving'"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_taken_and_what_was_meant(what: str, tmp_path: Path) -> None:
    call, words = UNKNOWN[what]
    with pytest.raises(ox.errors.MethodError, match=words):
        call(tmp_path)


WRONG: dict[str, Callable[[Path], Any]] = {
    "method": lambda _: ox.method("lrp", gamma=-1),
    "rule": lambda _: ox.rule("gamma", gamma=-1),
    "composite": lambda _: preset("zero_epsilon_gamma", gamma=-1),
    "composite in a file": of_a_file('extends = "zero_epsilon_gamma"\noptions = {gamma = -1}'),
    "rule in a file": of_a_file('[[rules]]\nrule = "gamma"\ngamma = -1'),
}


@pytest.mark.parametrize("where", WRONG)
def test_a_wrong_value_is_told_in_the_same_words(where: str, tmp_path: Path) -> None:
    with pytest.raises(ox.errors.MethodError, match=": gamma is -1; give a number that is not negative"):
        WRONG[where](tmp_path)


def test_flags_and_stabilizers_in_files_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ox.errors.MethodError, match="whole_bias is 1; give True or False"):
        of_a_file('[[rules]]\nrule = "alpha_beta"\nwhole_bias = 1')(tmp_path)
    with pytest.raises(ox.errors.MethodError, match=r"epsilon is 'big'; give a number above 0"):
        of_a_file('options = {epsilon = {epsilon = "big"}}')(tmp_path)


def test_make() -> None:
    def pair(a: Weight, b: int = 2) -> tuple[float, int]:
        return a, b

    assert make(pair, {"a": 1}, "pair") == (1.0, 2)
    with pytest.raises(ox.errors.MethodError, match="pair needs a"):
        make(pair, {}, "pair")
    with pytest.raises(ox.errors.MethodError, match=r"'zzz'; it takes a, b$"):
        make(pair, {"zzz": 1}, "pair")
    with pytest.raises(ox.errors.MethodError, match="pair: b is 'x'; give a whole number"):
        make(pair, {"a": 1, "b": "x"}, "pair")
