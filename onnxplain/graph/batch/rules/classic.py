"""Classical machine learning (``ai.onnx.ml``): tables, a row for each sample."""

from __future__ import annotations

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes
from onnxplain.graph.classic.features import categories

__all__: list[str] = []

_ML = "ai.onnx.ml"
_TABLE = 2  # axes
_LABELS = ("classlabels_int64s", "classlabels_strings", "classlabels_ints")


def _row(node: Node, k: int = 0) -> At:
    """Return the place in a table, whose rows must be samples."""
    at = node.at(k)
    if node.input(k).rank != _TABLE or at.axis:
        raise Mixes(f"its table {node.name(k)} has other rows than samples")
    return at


@rule("Binarizer", "CategoryMapper", "LabelEncoder", domain=_ML)
def elementwise(node: Node) -> Result:
    """Replace every element by itself."""
    return node.made(node.x.shape, node.x.at, alike=node.x.alike)


@rule("Imputer", "Normalizer", "Scaler", domain=_ML)
def columns(node: Node) -> Result:
    """Change the columns of each row."""
    return node.made(node.x.shape, _row(node), alike=node.x.alike)


@rule(
    "LinearClassifier",
    "LinearRegressor",
    "SVMClassifier",
    "SVMRegressor",
    "TreeEnsemble",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    domain=_ML,
)
def model(node: Node) -> Result:
    """Give each row scores; classifiers also a label."""
    at = _row(node)
    n = at.length(node.sizes[0])
    if len(node.source.outputs) == 1 and "Classifier" not in node.source.op_type:
        return node.made((n, _columns(node)), at)
    return [node.made((n,), at), node.made((n, _columns(node)), at, output=1)][: len(node.source.outputs)]


def _columns(node: Node) -> int | None:
    """Return how many scores a row gets; None where that is not sure."""
    op_type = node.source.op_type
    if op_type in ("LinearClassifier", "TreeEnsembleClassifier"):  # one for each label, of two as well
        attributes = (node.source.attributes.get(name) for name in _LABELS)
        labels = next((a.value for a in attributes if a is not None and a.value), ())
        return len(labels) or None
    if op_type == "LinearRegressor":
        return node.integer("targets", 1)
    return node.integer("n_targets", 1) if op_type in ("TreeEnsemble", "TreeEnsembleRegressor") else None


@rule("ZipMap", domain=_ML)
def zip_map(node: Node) -> Result:
    """Make a list with a dictionary for each row."""
    at = _row(node)
    return node.made((at.length(node.sizes[0]),), at)


@rule("OneHotEncoder", domain=_ML)
def one_hot(node: Node) -> Result:
    """Add an axis for the categories."""
    return node.made((*(node.x.shape or ()), categories(node.source)), node.at(0))


@rule("FeatureVectorizer", domain=_ML)
def features(node: Node) -> Result:
    """Put columns beside each other."""
    for k in range(len(node.inputs)):
        if node.input(k).rank != _TABLE:
            raise Mixes(f"its table {node.name(k)} has other rows than samples")
    at = node.aligned(*range(len(node.inputs)))
    return node.made((at.length(node.sizes[0]), None), at)


@rule("ArrayFeatureExtractor", domain=_ML)
def extracted(node: Node) -> Result:
    """Pick columns, the same ones of each row."""
    node.shared(1)
    at, x = node.at(0), node.x
    if x.rank < _TABLE or at.axis == x.rank - 1 or x.shape is None:
        raise Mixes("it picks entries along the axis of the samples")
    return node.made((*x.shape[:-1], None), at)


@rule("TfIdfVectorizer")
def text(node: Node) -> Result:
    """Count words in each row."""
    at = _row(node)
    return node.made((at.length(node.sizes[0]), None), at)
