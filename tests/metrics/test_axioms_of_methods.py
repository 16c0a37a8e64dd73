"""Which axiom each registered method keeps, breaks, or keeps in the limit, at witnesses."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from axiom_witnesses import Witnesses
from axioms_held import AXIOMS, BROKEN, LIMITS, NONE, expected, measured
from kinds import made

import onnxplain as ox
from onnxplain.errors import MethodError

every_axiom = pytest.mark.parametrize("axiom", AXIOMS)
#: Of what an axiom says something.
LOOKED_AT = [n for n in ox.METHODS if n != "layer_activation"]


@pytest.fixture(scope="module")
def witnesses(models) -> Witnesses:
    return Witnesses(models)


@every_axiom
@pytest.mark.parametrize("name", LOOKED_AT)
def test_axiom(name, axiom, witnesses) -> None:
    verdict, off = measured(witnesses, name, axiom)
    assert verdict == expected(name, axiom), f"off by {off:g}"


@pytest.mark.parametrize("name", LOOKED_AT)
def test_witnesses_are_given_something(name, witnesses) -> None:
    assert witnesses.gives(name)


def test_a_layers_content_is_given_to_no_input(models) -> None:
    with pytest.raises(MethodError, match="layer"):
        ox.explain(models.mlp(), models.random(2, 5), 1, method=made("layer_activation"))
    shown = ox.explain(models.mlp(), models.random(2, 5), 1, method=ox.LayerActivation(layer="h"))
    assert list(shown.arrays) == ["h"]


def test_the_table_is_of_methods_and_axioms() -> None:
    for listed in (BROKEN, LIMITS, NONE):
        assert set(listed) <= set(AXIOMS)
        for named in listed.values():
            assert set(named) <= set(ox.METHODS)
    for axiom in AXIOMS:
        parts = [set(of.get(axiom, {})) for of in (BROKEN, LIMITS, NONE)]
        assert sum(map(len, parts)) == len(set.union(*parts))


def test_the_document_is_up_to_date(monkeypatch, tmp_path, capsys) -> None:
    path = Path(__file__).parents[2] / "tools" / "make_axioms.py"
    spec = importlib.util.spec_from_file_location("make_axioms", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, "argv", ["make_axioms.py", "--check"])
    assert tool.main() == 0
    monkeypatch.setattr(tool, "DOCUMENT", tmp_path / "axioms.md")
    assert tool.main() == 1
    assert "run: python tools/make_axioms.py" in capsys.readouterr().err
