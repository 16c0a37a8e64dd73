"""Matrix products."""

from __future__ import annotations

from onnxplain.graph.batch.node import Node, same_place
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes, Value

__all__: list[str] = []

_SUMS = "it sums over the axis of the samples"
_PAIRS = "it lets every sample of one input meet every sample of another"
_VECTOR, _MATRIX = 1, 2


@rule("MatMul")
def matmul(node: Node) -> Result:
    """Products of matrices; samples may be rows, columns, or lie along the axes before."""
    node.shared(2)
    return _matmul(node, node.input(0), node.input(1))


@rule("MatMulInteger")
def matmul_integer(node: Node) -> Result:
    """Do the same, with a zero point for each input."""
    node.shared(2, 3)
    return _matmul(node, node.input(0), node.input(1))


@rule("QLinearMatMul")
def matmul_quantised(node: Node) -> Result:
    """Do the same, with a scale and a zero point for each input and for the output."""
    node.shared(1, 2, 4, 5, 6, 7)
    return _matmul(node, node.input(0), node.input(3))


def _matmul(node: Node, a: Value, b: Value) -> At:
    """Find the place in ``a @ b``."""
    rank = max(a.rank, b.rank)
    across = None if a.at is None else a.at.axis - a.rank  # from the end
    down = None if b.at is None else b.at.axis - b.rank
    if across == -1 or (down is not None and (down == -2 or b.rank == _VECTOR)):
        raise Mixes(_SUMS)
    if a.at is not None and across == -_MATRIX:  # rows
        if b.at is not None:
            raise Mixes(_PAIRS)
        return a.at.moved(rank - _MATRIX)
    if b.at is not None and down == -1:  # columns
        if a.at is not None:
            raise Mixes(_PAIRS)
        return b.at.moved(rank - 1 - (a.rank == _VECTOR))
    met = node.meet([a, b])
    assert met is not None
    axis, at, _ = met
    return at.moved(axis + rank)


@rule("Gemm")
def gemm(node: Node) -> Result:
    """Compute ``a @ b + c`` of matrices, each transposed or not."""
    a, b = node.input(0), node.input(1)
    rows, columns = None, None
    if a.at is not None:
        if a.at.axis != (1 if node.integer("transA", 0) else 0):
            raise Mixes(_SUMS)
        rows = a.at
    if b.at is not None:
        if b.at.axis != (0 if node.integer("transB", 0) else 1):
            raise Mixes(_SUMS)
        columns = b.at
    if rows is not None and columns is not None:
        raise Mixes(_PAIRS)
    product = rows.moved(0) if rows is not None else None if columns is None else columns.moved(1)
    shape = (
        None if a.shape is None else a.shape[1 if node.integer("transA", 0) else 0],
        None if b.shape is None else b.shape[0 if node.integer("transB", 0) else 1],
    )
    if not node.has(2):
        return product
    met = node.meet([node.made(shape, product), node.input(2)])
    assert met is not None
    axis, at, _ = met
    return node.made(shape, at.moved(axis + _MATRIX))


@rule("Einsum")
def einsum(node: Node) -> Result:
    """Products and sums by letters: the samples' letter must be the same everywhere, and stay."""
    equation = node.text("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = "".join(terms).replace(".", "")
        right = ("..." if "..." in left else "") + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1)
        )
    values = node.tensors()
    dots = max(v.rank - len(t.replace("...", "")) for v, t in zip(values, terms, strict=True))
    spelled = [
        _spell(t, v.rank - len(t.replace("...", "")), dots) for t, v in zip(terms, values, strict=True)
    ]
    out = _spell(right, dots if "..." in right else 0, dots)
    placed = [(v, s) for v, s in zip(values, spelled, strict=True) if v.at is not None]
    main, term = next((p for p in placed if not p[0].alike), placed[0])
    assert main.at is not None
    letter = term[main.at.axis]
    for value, s in zip(values, spelled, strict=True):
        if value.at is not None:
            if s[value.at.axis] != letter or s.count(letter) > 1:
                raise Mixes(_PAIRS)
            if not same_place(value, main):
                raise Mixes("the samples of its inputs lie in a different order")
        elif letter in s and not node.fits(value, s.index(letter) - len(s), main.at):
            raise Mixes("an input that is the same for all samples has entries of its own for each")
    if letter not in out:
        raise Mixes(_SUMS)
    return main.at.moved(out.index(letter))


def _spell(term: str, dots: int, most: int) -> str:
    """Write the axes that ``...`` stands for as letters of their own, aligned at the end."""
    axes = "".join(chr(0x100 + k) for k in range(most - dots, most))
    return term.replace("...", axes)


@rule("Det")
def det(node: Node) -> Result:
    """Compute a number for each matrix."""
    node.apart(0, [-1, -2])
    return node.at(0)


@rule("Trilu")
def trilu(node: Node) -> Result:
    """Half of each matrix."""
    node.shared(1)
    node.apart(0, [-1, -2])
    return node.at(0)
