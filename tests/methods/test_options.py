"""Every field of every method: a named error, or a right answer; generated from the fields themselves."""

from __future__ import annotations

import dataclasses
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import kinds
import numpy as np
import pytest

import onnxplain as ox
from onnxplain import errors
from onnxplain.runtime.session import Executable

FIELDS = [(name, f.name) for name, kind in ox.METHODS.items() for f in dataclasses.fields(kind)]

#: No option of any method may be one of these.
NEVER: dict[str, Any] = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "NumPy's nan": np.float32("nan"),
    "complex": 1j,
    "bytes": b"yes",
    "dict": {"a": 1},
    "object": object(),
    "array": np.ones((2, 2, 2)) * np.nan,
    "text": "yes",
    "negative number": -1.5,
    "huge number": 1e300,
    "tiny number": 1e-46,
}

#: Some options may be one of these: then the answer must be right.
AT_TIMES: dict[str, Any] = {
    "True": True,
    "False": False,
    "NumPy's True": np.True_,
    "None": None,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "half": 0.5,
    "huge": 10**30,
    "more than int64": 2**63,
    "NumPy's int": np.int32(2),
    "NumPy's float": np.float32(0.25),
    "array of one": np.array(2),
    "method": ox.Saliency(),
    "method's name": "saliency",
    "path": Path("nowhere.toml"),
    "list": [1, 2],
    "empty": (),
    "function": abs,
    "class": int,
    "fraction": Fraction(1, 3),
}

#: ... and these, which are other options' words or numbers.
MEANT = {
    ("attention_rollout", "token", "minus one"),
    ("attention_rollout", "discard_ratio", "tiny number"),
    ("guided_ig", "fraction", "tiny number"),
    ("guided_ig", "max_dist", "tiny number"),
    ("xrai", "area_threshold", "tiny number"),
    ("xrai", "sigma", "tiny number"),
    ("meaningful_perturbation", "mask_sigma", "tiny number"),
    ("prediction_difference", "shrinkage", "tiny number"),
    ("lrp", "low", "negative number"),
    ("lrp", "low", "huge number"),
    ("lrp", "low", "tiny number"),
    ("lrp", "high", "negative number"),
    ("lrp", "high", "huge number"),
    ("lrp", "high", "tiny number"),
}

every_field = pytest.mark.parametrize(("name", "field"), FIELDS, ids=lambda v: v)


def make(name: str, field: str, value: Any) -> ox.Method:
    """Make a method with one option given; options of composites in a composite that takes them."""
    others: dict[str, Any] = {}
    if name == "lrp" and field in ("low", "high"):
        others = {"composite": "epsilon_gamma_box", "low": -1.0, "high": 1.0}
    elif name == "lrp" and field == "gamma":
        others = {"composite": "zero_epsilon_gamma"}
    return kinds.made(name, **{**others, field: value})


@every_field
@pytest.mark.parametrize("what", NEVER)
def test_what_no_option_may_be(what, name, field, monkeypatch) -> None:
    if (name, field, what) in MEANT or (field == "layer" and what == "text"):
        pytest.skip("what this option may be")
    monkeypatch.setattr(Executable, "run", None)
    with pytest.raises(errors.MethodError) as caught:
        make(name, field, NEVER[what])
    message = str(caught.value)
    assert "\n" not in message
    assert field in message or (field in ("composite", "method") and "choose one of" in message)
    assert any(word in message for word in ("give", "choose one of"))


def answer(made: ox.Method, models) -> ox.Attribution:
    if made.name not in kinds.ON_IMAGES:
        pytest.skip("for other models")
    return ox.explain(models.conv(), models.random(2, 2, 8, 8), 1, method=made)


@every_field
@pytest.mark.parametrize("what", AT_TIMES)
def test_a_named_error_or_an_answer(what, name, field, models) -> None:
    value = AT_TIMES[what]
    try:
        made = make(name, field, value)
    except errors.OnnxplainError as caught:
        error = caught
    else:
        error = None
    if error is not None:
        assert "\n" not in str(error)
        assert isinstance(error, ValueError)
        return
    assert isinstance(hash(made), int)
    assert made == make(name, field, value)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, field, value)
    held = getattr(made, field)
    assert not isinstance(held, np.generic), (
        "NumPy's scalars become Python's, so that equal methods are equal"
    )
    assert type(held) is not bool or isinstance(value, (bool, np.bool_)), "no number becomes a bool"
    if what in ("function", "class"):
        return  # it writes nodes: tested with the rules
    try:
        found = answer(made, models)
    except errors.OnnxplainError:  # an option that this model's inputs do not allow
        return
    for values in found.arrays.values():
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (lambda: ox.Saliency(abs=np.False_), ox.Saliency(abs=False)),
        (lambda: ox.IntegratedGradients(np.int64(7)), ox.IntegratedGradients(7)),
        (lambda: ox.IntegratedGradients(np.array(7, np.uint8)), ox.IntegratedGradients(7)),
        (lambda: ox.SmoothGrad(stdevs=np.float64(0.5)), ox.SmoothGrad(stdevs=0.5)),
        (lambda: ox.SmoothGrad(stdevs=1), ox.SmoothGrad(stdevs=1.0)),
        (lambda: ox.SmoothGrad("saliency"), ox.SmoothGrad(ox.Saliency())),
        (lambda: ox.SmoothGrad(ox.SmoothGrad("ig")), ox.SmoothGrad(ox.SmoothGrad(ox.IntegratedGradients()))),
        (lambda: ox.LRP("epsilon", epsilon=np.float32(0.25)), ox.LRP("epsilon", epsilon=0.25)),
        (lambda: ox.LRP("epsilon", zero_params="bias"), ox.LRP("epsilon", zero_params=("bias",))),
        (lambda: ox.LRP("deep_taylor", low=np.zeros((1, 2, 1, 1)), high=[1, 2]),
         ox.LRP("deep_taylor", low=(0.0, 0.0), high=(1.0, 2.0))),
        (lambda: ox.AttentionRollout(token=np.int8(-1)), ox.AttentionRollout(token=-1)),
    ],
)  # fmt: skip
def test_what_is_accepted(given, plain) -> None:
    made = given()
    assert made == plain
    assert hash(made) == hash(plain)
    assert repr(made) == repr(plain)
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("name", ox.METHODS)
def test_methods_are_made_again_from_their_fields(name) -> None:
    made = ox.METHODS[name]()
    assert dataclasses.replace(made) == made
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("inner", [3, None, ox.Saliency, ["saliency"], "magic", "lrp2"])
def test_composing_methods_names_the_inner_one(inner) -> None:
    with pytest.raises(errors.MethodError, match="method"):
        ox.SmoothGrad(inner)


def test_smooth_grad_by_name_is_the_method(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    for name in ("saliency", "lrp", "ig"):
        by_name = explainer(x, 1, ox.SmoothGrad(name, n_samples=2))
        made = explainer(x, 1, ox.SmoothGrad(ox.METHODS.get(name, ox.IntegratedGradients)(), n_samples=2))
        np.testing.assert_array_equal(by_name.values, made.values)


def test_what_the_inner_method_cannot_explain_is_said_before_anything_runs(models, monkeypatch) -> None:
    monkeypatch.setattr(Executable, "run", None)
    with pytest.raises(errors.UnsupportedRuleError, match="Conv"):
        ox.explain(models.mlp(), models.random(2, 5), 0, method=ox.SmoothGrad("visual_backprop"))


OPTIONS = [
    ({"progress": "yes"}, errors.OptionError, "progress is 'yes'; give True or False"),
    ({"progress": 1}, errors.OptionError, "progress"),
    ({"through_softmax": "no"}, errors.OptionError, "through_softmax"),
    ({"through_softmax": None}, errors.OptionError, "through_softmax"),
    ({"internal_batch_size": "a"}, errors.MethodError, "internal_batch_size is 'a'; give a whole number"),
    ({"internal_batch_size": True}, errors.MethodError, "internal_batch_size"),
    ({"internal_batch_size": 2.0}, errors.MethodError, "internal_batch_size"),
    ({"internal_batch_size": -3}, errors.MethodError, "internal_batch_size"),
    ({"wrt": 3}, errors.DataInputError, "wrt is 3; give the name"),
    ({"wrt": [3]}, errors.DataInputError, "wrt is "),
    ({"wrt": ["x", None]}, errors.DataInputError, "wrt is "),
    ({"wrt": b"x"}, errors.DataInputError, "wrt is "),
    ({"output": 3}, errors.TargetError, "no output"),
    ({"output": ["y"]}, errors.TargetError, "no output"),
    ({"method": 3}, errors.MethodError, "choose one of"),
    ({"method": ["ig"]}, errors.MethodError, "choose one of"),
]


@pytest.mark.parametrize(("given", "kind", "words"), OPTIONS)
def test_options_of_a_call(given, kind, words, models, monkeypatch) -> None:
    explainer = ox.Explainer(models.mlp())
    monkeypatch.setattr(Executable, "run", None)
    with pytest.raises(kind) as caught:
        explainer(models.random(2, 5), **{"target": 0, **given})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"threads": "2"}, "threads is '2'; give a whole number"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
        ({"threads": 1.0}, "threads"),
        ({"memory_budget": None}, "memory_budget is None; give a whole number of bytes"),
        ({"memory_budget": 0}, "memory_budget"),
        ({"memory_budget": 1e9}, "memory_budget"),
        ({"memory_budget": float("inf")}, "memory_budget"),
    ],
)
def test_options_of_an_explainer(given, words, models) -> None:
    for door in (ox.Explainer, lambda m, **o: ox.explain(m, models.random(2, 5), 0, **o)):
        with pytest.raises(errors.OptionError) as caught:
            door(models.mlp(), **given)
        assert words in str(caught.value)


@pytest.mark.parametrize("device", [3, None, ["cpu"], b"cpu", "CPU"])
def test_devices(device, models) -> None:
    with pytest.raises(
        errors.RuntimeUnavailableError, match=r"device .* is unknown; use 'auto', 'cpu' or 'cuda'"
    ):
        ox.Explainer(models.mlp(), device=device)


def test_numpy_scalars_are_options(models) -> None:
    x = models.random(3, 5)
    explainer = ox.Explainer(models.mlp(softmax=True), threads=np.int64(1), memory_budget=np.int64(1 << 20))
    found = explainer(x, 0, through_softmax=np.True_, internal_batch_size=np.uint8(2), progress=np.False_)
    np.testing.assert_allclose(found.values, explainer(x, 0, through_softmax=True).values, rtol=1e-5)


def test_a_users_own_method_is_checked_by_its_annotations() -> None:
    @dataclasses.dataclass(frozen=True)
    class Mine(ox.Method):
        name = "mine"
        scale: float = 1.0

        def attribute(self, problem):
            raise NotImplementedError

    assert Mine(2).scale == 2
    with pytest.raises(errors.MethodError, match="Mine: scale is 'big'; give a finite number"):
        Mine("big")


def test_options_of_an_export(models, tmp_path) -> None:
    for given, kind in (
        ({"through_softmax": "no"}, errors.OptionError),
        ({"wrt": 3}, errors.DataInputError),
        ({"output": 3}, errors.TargetError),
    ):
        with pytest.raises(kind):
            ox.export(models.mlp(), tmp_path / "x.onnx", method="saliency", **given)
    assert not list(tmp_path.iterdir())
