"""What can be said of an operator, and where it is kept."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import onnx_ir as ir

__all__ = ["NOTHING", "Is", "Traits", "declare", "declared", "is_a", "movers", "operators", "rows", "traits"]


class Is(enum.Flag):
    """What is true of an operator whatever its inputs, and for all attributes but those that are named.

    "Data" are the inputs that its output is made of (:attr:`Traits.data`).
    """

    #: Each element of the output is a function of the elements at the same place of the data.
    ELEMENTWISE = enum.auto()
    #: The (first) output has the shape of the first input.
    LIKE_FIRST = enum.auto()
    #: The output has the shape to which the inputs broadcast.
    BROADCASTS = enum.auto()

    #: Each element of the first output is one of the data's, or fills a place (see FILLS).
    MOVES = enum.auto()
    #: ... as another type of number.
    CASTS = enum.auto()
    #: ... in another order.
    REORDERS = enum.auto()
    #: ... some more than once.
    REPEATS = enum.auto()
    #: ... some not at all.
    DROPS = enum.auto()
    #: ... with zeros between them (or the data themselves say what fills).
    FILLS = enum.auto()
    #: ... and which of them, the content of an input says that is no index.
    PICKS = enum.auto()
    #: Each element of the first output is the largest or smallest of some elements of the data.
    EXTREME = enum.auto()

    #: Linear in data and weight, each by itself.
    BILINEAR = enum.auto()
    #: A layer with weights, where only one of its two factors is computed.
    LAYER = enum.auto()
    #: Slides over the axes behind the channels, which are along axis 1.
    WINDOW = enum.auto()
    #: Has samples, channels (along axis 1), and then axes of space.
    SPATIAL = enum.auto()
    #: Makes one number of all elements along axes.
    REDUCES = enum.auto()
    #: A sum or mean: weights of its own that are positive and, for each output, equal.
    AVERAGES = enum.auto()
    #: The p-th root of a sum of p-th powers.
    NORM = enum.auto()
    #: A normalisation that takes a mean off.
    CENTRED = enum.auto()
    #: f(a x) = a f(x) for a > 0, of all data together.
    HOMOGENEOUS = enum.auto()
    #: Constants, copies and multiples of the data, piece by piece: no rounding noise.
    PIECEWISE = enum.auto()
    #: Lets large values through and holds small ones back.
    RECTIFIER = enum.auto()
    #: Rises from a floor to a ceiling.
    BOUNDED = enum.auto()
    #: Gives numbers from 0 to 1.
    UNIT = enum.auto()
    #: Has no effect, and exactly no derivative, where something else is chosen.
    CHOOSES = enum.auto()

    #: Never negative; where its attributes decide, :mod:`onnxplain.graph.signs` knows.
    NON_NEGATIVE = enum.auto()
    #: Not negative where all data are not.
    NON_NEGATIVE_IF_ALL = enum.auto()
    #: Not negative where one of the data is not.
    NON_NEGATIVE_IF_ANY = enum.auto()

    #: Jumps somewhere.
    JUMPS = enum.auto()
    #: No number for some numbers.
    PARTIAL = enum.auto()
    #: Infinite for some numbers, or as near to it as floats come.
    POLE = enum.auto()
    #: Infinite for numbers that are not large.
    OVERFLOWS = enum.auto()
    #: Of infinite slope somewhere, where it is finite.
    STEEP = enum.auto()

    #: Depends on the shape of its inputs, and on nothing that they hold.
    SHAPE_ONLY = enum.auto()
    #: Its (first) output holds truth values.
    TRUTH = enum.auto()
    #: Its (first) output holds int64.
    INT64 = enum.auto()
    #: Draws random numbers (Dropout in training).
    RANDOM = enum.auto()
    #: The same to the last bit wherever it is computed.
    EXACT = enum.auto()
    #: May make far more elements than it gets.
    GROWS = enum.auto()


NOTHING = Is(0)


@dataclass(frozen=True)
class Traits:
    """What an operator is.

    Attributes
    ----------
    flags
        What is true of it.
    data
        Positions of the inputs whose elements the output is made of; None: all of them.
    weight, bias
        Positions of the other factor, and of what is added at the end, where it has such inputs.
    """

    flags: Is = NOTHING
    data: tuple[int, ...] | None = (0,)
    weight: int | None = None
    bias: int | None = None

    def has(self, flags: Is) -> bool:
        """Tell whether all of some flags are true of it."""
        return flags in self.flags

    def holds(self, position: int) -> bool:
        """Tell whether an input belongs to the data."""
        return self.data is None or position in self.data


_UNKNOWN = Traits()
_TABLE: dict[tuple[str, str], Traits] = {}


def declare(
    op_types: str,
    flags: Is,
    data: tuple[int, ...] | None = (0,),
    *,
    weight: int | None = None,
    bias: int | None = None,
    domain: str = "",
) -> None:
    """Say what operators are, given by their names with blanks between.

    Raises
    ------
    ValueError
        If an operator is declared twice.
    """
    for op_type in op_types.split():
        if (domain, op_type) in _TABLE:
            raise ValueError(f"operator {op_type} is declared twice")
        _TABLE[domain, op_type] = Traits(flags, data, weight, bias)


def declared() -> dict[tuple[str, str], Traits]:
    """Return the table, by domain and operator."""
    return dict(_TABLE)


def traits(node: ir.Node) -> Traits:
    """Return what a node's operator is; nothing is true of an unknown one."""
    return _TABLE.get(("" if node.domain == "ai.onnx" else node.domain, node.op_type), _UNKNOWN)


def is_a(node: ir.Node | None, flags: Is) -> bool:
    """Tell whether all of some flags are true of a node's operator (not of None)."""
    return node is not None and traits(node).has(flags)


def rows(flags: Is = NOTHING, *, some: Is | None = None, lacks: Is = NOTHING) -> dict[str, Traits]:
    """Return operators of the standard, and what they are.

    Parameters
    ----------
    flags
        All of these are true of them.
    some
        And at least one of these (None: any may be).
    lacks
        And none of these.
    """
    return {
        op_type: one
        for (domain, op_type), one in _TABLE.items()
        if not domain
        and one.has(flags)
        and not one.flags & lacks
        and (some is None or bool(one.flags & some))
    }


def operators(flags: Is = NOTHING, *, some: Is | None = None, lacks: Is = NOTHING) -> frozenset[str]:
    """Return the names of :func:`rows`."""
    return frozenset(rows(flags, some=some, lacks=lacks))


def movers(*, lacks: Is = Is.FILLS | Is.PICKS) -> frozenset[str]:
    """Return the operators that move the elements of their first input, and of no other."""
    return frozenset(n for n, row in rows(Is.MOVES, lacks=lacks).items() if row.data == (0,))
