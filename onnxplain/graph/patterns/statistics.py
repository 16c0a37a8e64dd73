"""The algebra of normalisations: what a value is in terms of another one, x, and of sums over its axes.

Every value that the nodes below make of x, of constants and of other such values has a :class:`Form`: its
degree in x (``x`` has 1, a variance 2, ``1 / sd`` has -1; a small constant that keeps it from 0 does not
count), whether it is linear in x where statistics are constants, and whether it is the same along the axes.
So ``x * rsqrt(v)`` and ``x / sqrt(v)``, ``E[x^2] - m^2`` and ``E[(x - m)^2]``, ``x s - m s + b`` and
``(x - m) s + b`` are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.movers import runs
from onnxplain.graph.patterns.gates import is_all
from onnxplain.graph.traits import Is, operators

__all__ = ["Form", "Forms", "reduced_axes"]

_MEANS = operators(Is.AVERAGES | Is.REDUCES)
_NORMS = {"ReduceL1": 1, "ReduceL2": 1, "ReduceSumSquare": 2}


@dataclass(frozen=True)
class Form:
    """What a value is.

    Attributes
    ----------
    degree
        In x.
    linear
        Whether it is linear in x where the statistics that are not count as constants.
    full
        Whether it varies along the axes that are summed over; else it is a statistic.
    layout
        Which axis of x each of its axes is (None: one of length 1 that was put in).
    scaled
        Whether it is multiplied by a statistic of degree -1.
    centred
        Whether a mean of x is in it.
    uneven
        Whether it is multiplied by a constant that may differ along the axes.
    shifted
        Whether a constant is added.
    """

    degree: float
    linear: bool
    full: bool
    layout: tuple[int | None, ...]
    scaled: bool = False
    centred: bool = False
    uneven: bool = False
    shifted: bool = False

    @property
    def statistic(self) -> bool:
        """Whether it is a statistic that is not linear."""
        return not self.linear and not self.full

    @property
    def normalised(self) -> bool:
        """Whether it is ``x / deviation`` or ``(x - mean) / deviation``, perhaps scaled and shifted."""
        return self.linear and self.full and self.scaled and self.degree == 0


def reduced_axes(node: ir.Node) -> frozenset[int] | None:
    """Return over which axes a node takes a sum, a mean or a norm; None if that cannot be told."""
    x = node.inputs[0] if node.inputs else None
    rank = None if x is None else facts.rank(x)
    if rank is None or node.domain not in ("", "ai.onnx") or node.op_type not in {*_MEANS, *_NORMS}:
        return None
    if node.op_type == "GlobalAveragePool":
        return frozenset(range(2, rank))
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is None:
        return None if facts.attr(node, "noop_with_empty_axes", 0) else frozenset(range(rank))
    known = facts.constant(axes)
    return None if known is None or not known.size else frozenset(int(a) % rank for a in known.ravel())


class Forms:
    """The forms of values that are made of one value, by nodes in forward order.

    Parameters
    ----------
    source
        The value x.
    axes
        What its sums are taken over.
    reached
        The values that depend on what is explained; all others are constants.
    """

    def __init__(self, source: ir.Value, axes: frozenset[int], reached: Set[ir.Value]) -> None:
        rank = facts.rank(source)
        assert rank is not None
        self.rank, self.axes, self.reached = rank, axes, reached
        self.of: dict[ir.Value, Form] = {source: Form(1, True, True, tuple(range(rank)))}

    def add(self, node: ir.Node) -> bool:
        """Find the form of what a node makes; tell whether it has one."""
        write = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        made = None if write is None or facts.GRADIENT_KEY in node.metadata_props else write(self, node)
        if made is not None:
            self.of[node.outputs[0]] = made
        return made is not None

    def is_constant(self, value: ir.Value | None) -> bool:
        """Tell whether a value does not depend on what is explained."""
        return value is not None and value not in self.reached

    def is_number(self, value: ir.Value | None) -> bool:
        """Tell whether a value is one constant number."""
        return value is not None and self.is_constant(value) and _is_one(value)

    def fits(self, form: Form) -> bool:
        """Tell whether a form's axes stand where those of x do when the two meet."""
        first = self.rank - len(form.layout)
        return first >= 0 and all(k is None or k == first + i for i, k in enumerate(form.layout))


def _is_one(value: ir.Value) -> bool:
    dims = facts.dims(value)
    return dims is not None and all(d == 1 for d in dims)


def _only(forms: Forms, node: ir.Node) -> Form | None:
    """Return the form of the first operand, where all others are constants."""
    first, *rest = node.inputs
    if first is None or not all(v is None or forms.is_constant(v) for v in rest):
        return None
    return forms.of.get(first)


def _same(forms: Forms, node: ir.Node) -> Form | None:
    return _only(forms, node)


def _cast(forms: Forms, node: ir.Node) -> Form | None:
    return _only(forms, node) if facts.is_float(node.outputs[0]) else None


def _bounded(forms: Forms, node: ir.Node) -> Form | None:
    """Keep a statistic above a number (Max, Clip)."""
    found = [forms.of.get(v) if v is not None else None for v in node.inputs]
    some = [f for f in found if f is not None]
    rest = [v for v, f in zip(node.inputs, found, strict=True) if f is None and v is not None]
    return some[0] if len(some) == 1 and some[0].statistic and all(map(forms.is_number, rest)) else None


def _powered(exponent: Callable[[ir.Node], float | None]) -> Callable[[Forms, ir.Node], Form | None]:
    def rule(forms: Forms, node: ir.Node) -> Form | None:
        x, power = _only(forms, node), exponent(node)
        if x is None or power is None or x.scaled or x.uneven:
            return None
        return replace(x, degree=x.degree * power, linear=False) if x.statistic or power == 2 else None

    return rule


def _exponent(node: ir.Node) -> float | None:
    found = facts.constant(node.inputs[1])
    return float(found.ravel()[0]) if found is not None and found.size == 1 else None


def _reduced(forms: Forms, node: ir.Node) -> Form | None:
    x, axes = _only(forms, node), reduced_axes(node)
    if x is None or not x.full or x.scaled or x.uneven or axes != forms.axes or len(x.layout) != forms.rank:
        return None
    keeps = node.op_type == "GlobalAveragePool" or facts.attr(node, "keepdims", 1)
    layout = tuple(k for k in x.layout if keeps or k not in axes)
    power = _NORMS.get(node.op_type)
    if power is None:
        return replace(x, full=False, layout=layout, centred=x.linear)
    return replace(x, degree=x.degree * power, linear=False, full=False, layout=layout) if x.linear else None


def _sum(forms: Forms, node: ir.Node) -> Form | None:
    a, b = (forms.of.get(v) if v is not None else None for v in node.inputs)
    if a is not None and b is not None:
        alike = a.degree == b.degree and a.linear == b.linear and a.scaled == b.scaled
        layout = _together(forms, a, b)
        if not alike or layout is None:
            return None
        return Form(
            a.degree, a.linear, a.full or b.full, layout, a.scaled, a.centred or b.centred,
            a.uneven or b.uneven, a.shifted or b.shifted,
        )  # fmt: skip
    form, other = (a, node.inputs[1]) if a is not None else (b, node.inputs[0])
    if form is None or not forms.is_constant(other):
        return None
    if form.scaled and form.linear and form.degree == 0:
        return replace(form, shifted=True) if _keeps_rank(node, form) else None
    return form if not form.linear and forms.is_number(other) else None


def _product(forms: Forms, node: ir.Node) -> Form | None:
    a, b = (forms.of.get(v) if v is not None else None for v in node.inputs)
    if a is not None and b is not None:
        return _multiplied(forms, a, b)
    form, other = (a, node.inputs[1]) if a is not None else (b, node.inputs[0])
    return _times_constant(forms, node, form, other)


def _times_constant(forms: Forms, node: ir.Node, form: Form | None, other: ir.Value | None) -> Form | None:
    if form is None or not forms.is_constant(other):
        return None
    if forms.is_number(other):
        return form
    fine = form.linear or form.statistic
    return replace(form, uneven=True) if fine and _keeps_rank(node, form) else None


def _multiplied(forms: Forms, a: Form, b: Form) -> Form | None:
    layout = _together(forms, a, b)
    if layout is None:
        return None
    if not a.linear and b.linear:
        a, b = b, a
    if a.linear and not b.linear:
        if a.scaled or not b.statistic or b.degree != -1:
            return None
        return replace(a, degree=a.degree - 1, layout=layout, scaled=True, uneven=a.uneven or b.uneven)
    plain = not (a.scaled or b.scaled or a.uneven or b.uneven)
    if not plain or (not a.linear and (a.full or b.full)):
        return None
    return Form(a.degree + b.degree, False, a.full or b.full, layout)


def _quotient(forms: Forms, node: ir.Node) -> Form | None:
    a, b = (forms.of.get(v) if v is not None else None for v in node.inputs)
    if b is None:
        return _times_constant(forms, node, a, node.inputs[1])
    if not b.statistic:
        return None
    inverse = replace(b, degree=-b.degree)
    if a is not None:
        return _multiplied(forms, a, inverse)
    return _times_constant(forms, node, inverse, node.inputs[0])


def _together(forms: Forms, a: Form, b: Form) -> tuple[int | None, ...] | None:
    """Return the layout of what two forms make when they meet; None if their axes do not."""
    if (a.full or b.full) and not (forms.fits(a) and forms.fits(b)):
        return None
    count = max(len(a.layout), len(b.layout))
    wide = [(None,) * (count - len(f.layout)) + f.layout for f in (a, b)]
    if any(j is not None and k is not None and j != k for j, k in zip(*wide, strict=True)):
        return None
    return tuple(k if j is None else j for j, k in zip(*wide, strict=True))


def _keeps_rank(node: ir.Node, form: Form) -> bool:
    return facts.rank(node.outputs[0]) == len(form.layout)


def _moved(forms: Forms, node: ir.Node) -> Form | None:
    """Give a statistic other axes; what is normalised may be moved at will."""
    form = _only(forms, node)
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    rank = facts.rank(y)
    if form is None or rank is None:
        return None
    if form.normalised:
        return replace(form, layout=(None,) * rank)
    layout = None if form.full else _layout(node, form, facts.dims(x), facts.dims(y))
    return None if layout is None else replace(form, layout=layout)


def _layout(
    node: ir.Node, form: Form, inner: Sequence[facts.Dim] | None, outer: Sequence[facts.Dim] | None
) -> tuple[int | None, ...] | None:
    if inner is None or outer is None:
        return None
    if node.op_type == "Expand":
        return (None,) * (len(outer) - len(inner)) + form.layout
    if node.op_type == "Transpose":
        perm = facts.attr(node, "perm", tuple(reversed(range(len(inner)))))
        assert isinstance(perm, tuple)
        return tuple(form.layout[k] for k in perm)
    layout: list[int | None] = [None] * len(outer)
    for mine, theirs in runs(inner, outer):
        axes = [k for k, d in zip(form.layout[mine], inner[mine], strict=True) if d != 1]
        places = [j for j in range(*theirs.indices(len(outer))) if outer[j] != 1]
        if len(axes) != len(places) or len(axes) > 1:
            return None
        layout[:] = [axes[0] if j in places else k for j, k in enumerate(layout)]
    return tuple(layout)


def _batch_norm(forms: Forms, node: ir.Node) -> Form | None:
    """Read a BatchNormalization whose statistics are those of its input."""
    x, scale, shift, mean, variance = node.inputs[:5]
    if facts.attr(node, "training_mode", 0) or not (forms.is_constant(scale) and forms.is_constant(shift)):
        return None
    found = [forms.of.get(v) if v is not None else None for v in (x, mean, variance)]
    if any(f is None for f in found):
        return None
    a, m, v = (f for f in found if f is not None)
    fine = a.linear and a.full and not a.scaled and a.degree == 1 and len(a.layout) == forms.rank
    per_channel = m.layout == v.layout == (1,)
    if not fine or not per_channel or not (m.linear and m.degree == 1) or not (v.statistic and v.degree == 2):
        return None
    shifted = not is_all(shift, 0)
    return Form(0, True, True, a.layout, scaled=True, centred=True, uneven=True, shifted=shifted)


_RULES: dict[str, Callable[[Forms, ir.Node], Form | None]] = {
    "Abs": _powered(lambda node: 1.0),
    "Add": _sum,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _bounded,
    "Div": _quotient,
    "Expand": _moved,
    "Flatten": _moved,
    "Identity": _same,
    "Max": _bounded,
    "Mul": _product,
    "Neg": _same,
    "Pow": _powered(_exponent),
    "Reciprocal": _powered(lambda node: -1.0),
    "Relu": _powered(lambda node: 1.0),
    "Reshape": _moved,
    "Sqrt": _powered(lambda node: 0.5),
    "Squeeze": _moved,
    "Sub": _sum,
    "Transpose": _moved,
    "Unsqueeze": _moved,
    **dict.fromkeys((*_MEANS, *_NORMS), _reduced),
}
