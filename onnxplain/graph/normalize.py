"""From any model as exported to the one form that the rewriter understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.errors import InvalidModelError
from onnxplain.graph import facts
from onnxplain.graph.classic.trees import give_shapes, is_ensemble, without_lists
from onnxplain.graph.gone import gone, ways
from onnxplain.graph.load.wellformed import check_nodes
from onnxplain.graph.passes import normal, prepare
from onnxplain.graph.propagation import propagates
from onnxplain.graph.stubs import weights_as_inputs

__all__ = ["Normalized", "check", "infer_shapes", "normalize"]

_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_MOST_ROUNDS = 32
#: Operators whose output has the input's shape, although ONNX's shape inference says nothing.
_SHAPE_KEPT = frozenset({"GroupNormalization"})
#: For the length of an inference they go by this name, which has the same operands and keeps the shape.
_ALIKE = "InstanceNormalization"


@dataclass(frozen=True)
class Normalized:
    """A model in normal form.

    Attributes
    ----------
    model
        Standard opset >= 18, without functions, constants as initializers, shapes inferred.
    notes
        What was changed that a person may want to know.
    content
        :func:`~onnxplain.graph.content.content_hash` of the model as it was read; empty where nobody asked.
    gone
        Names of values and nodes that are no more, and of the value behind each that is still there.
    """

    model: ir.Model
    notes: tuple[str, ...]
    content: str = ""
    gone: Mapping[str, str] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the standard operator set."""
        return self.model.graph.opset_imports.get("", normal.MIN_OPSET)


def normalize(
    model: ir.Model,
    *,
    expand: Callable[[ir.Node], bool] | None = None,
    opset: int = normal.MIN_OPSET,
) -> Normalized:
    """Bring a model into normal form.

    Parameters
    ----------
    model
        Model as loaded; it may be changed.
    expand
        Says which operators to replace by their ONNX function body.
    opset
        What an older model is raised to, 18 or newer.

    Raises
    ------
    InvalidModelError
        If the graph is inconsistent, or of an opset that cannot be raised.
    """
    notes: list[str] = []
    _merge_default_domain(model.graph.opset_imports)
    _forget_negative_dims(model.graph)
    before = model.graph.opset_imports.get("", normal.MIN_OPSET)
    model.ir_version = max(model.ir_version, 8)
    _forget_marks(model)
    normal.claim_contrib(model)
    for step in (
        common.RemoveInitializersFromInputsPass(),
        common.TopologicalSortPass(),
        common.NameFixPass(),
    ):
        model = step(model).model
    check(model)
    before_all = ways(model.graph)
    outputs = normal.OwnOutputs()
    outputs(model)
    notes += [f"output '{old}' is an input; it is called '{new}'" for old, new in outputs.renamed.items()]
    normal.check_functions(model)
    if model.functions:
        model = normal.InlineFunctions()(model).model
        check_nodes(model, "the model")  # attributes have come from the calls
    model = common.RemoveUnusedNodesPass()(model).model
    model, raised = normal.raise_opset(model, opset)
    if raised:
        notes.append(f"opset raised from {before} to {opset}")
    model = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).model
    if normal.Retype(_HALF, ir.DataType.FLOAT)(model).modified:
        notes.append("computed in float32 (the model is stored in a half-precision type)")
    _infer_undeclared(model)
    while normal.TrimCeilPools()(model).modified:
        infer_shapes(model)
    if normal.Decompose()(model).modified:
        infer_shapes(model)
    if normal.Dequantize()(model).modified:
        notes.append(
            "quantised operators computed in floating point; gradients pass straight through rounding"
        )
        infer_shapes(model)
    if expand is not None:
        model, _ = normal.expand_functions(model, expand)
        model = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).model
        infer_shapes(model)
    normal.NameCasts()(model)
    if normal.HoistLoopConstants()(model).modified:
        infer_shapes(model)
    _settle(model)
    if normal.Decompose()(model).modified:  # what was left for a number of axes that is known by now
        infer_shapes(model)
    if normal.FoldSingleTrees()(model).modified:
        common.RemoveUnusedNodesPass()(model)
        infer_shapes(model)
    if normal.RecogniseSoftmax()(model).modified:
        common.RemoveUnusedNodesPass()(model)
    normal.DropInferenceNoOps()(model)
    normal.FoldPad()(model)
    normal.FoldBatchNorm()(model)
    common.RemoveUnusedNodesPass()(model)
    common.NameFixPass()(model)
    return Normalized(model, tuple(notes), gone=gone(before_all, model.graph))


def _settle(model: ir.Model) -> None:
    """Fold constants, take the branches that they decide and unpack sequences, until nothing changes."""
    fold = normal.FoldConstants()
    for _ in range(_MOST_ROUNDS):
        folded = fold(model).modified
        inlined = normal.InlineConstantIf()(model).modified
        unpacked = normal.SequencesToTensors()(model).modified
        if not folded and not inlined and not unpacked:
            return
        infer_shapes(model)


def _infer_undeclared(model: ir.Model) -> None:
    """Infer all shapes from those of the inputs, which onnxruntime holds a call to; others are only declared.

    Exporters write shapes of the example that they traced, also where they depend on the input.  Of what is
    declared, the number of axes is believed where nothing can be inferred.
    """
    ranks = {v: facts.rank(v) for node in model.graph for v in node.outputs}
    for value in ranks:
        value.shape = None
    infer_shapes(model)
    unknown = [(v, rank) for v, rank in ranks.items() if v.shape is None and rank is not None]
    for value, rank in unknown:
        value.shape = ir.Shape([None] * rank)
    if unknown:
        infer_shapes(model)


def infer_shapes(model: ir.Model) -> None:
    """Fill in dtypes and shapes wherever ONNX can tell them, and where it stops though they are plain."""
    for node in model.graph.all_nodes():
        if node.op_type == "STFT" and "onesided" not in node.attributes:
            node.attributes["onesided"] = ir.AttrInt64("onesided", 1)  # ONNX infers by 0, its default is 1
    infer = common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=propagates(model))
    kept = [n for n in model.graph.all_nodes() if n.op_type in _SHAPE_KEPT and n.domain in ("", "ai.onnx")]
    names = [n.op_type for n in kept]
    for node in kept:
        node.op_type = _ALIKE
    trees = [n for n in model.graph if is_ensemble(n)]
    try:
        with without_lists(trees):
            infer(model)
            while sum(give_shapes(n) for n in trees):  # of all of them, then what stands behind
                infer(model)
    finally:
        for node, name in zip(kept, names, strict=True):
            node.op_type = name


def check(model: ir.Model) -> None:
    """Run ONNX's checker on the structure (weights left out, so that size does not matter).

    Raises
    ------
    InvalidModelError
        With the checker's words, if the model is inconsistent.
    """
    with weights_as_inputs(model):
        try:
            proto = ir.to_proto(model)
        except ir.serde.SerdeError as error:
            raise InvalidModelError(f"the model is malformed: {error.__cause__}; export it again") from error
    for value in (*proto.graph.input, *proto.graph.output):
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.shape.SetInParent()  # what says nothing of its shape runs as well
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        reason = str(error).split("==>")[0].strip()
        raise InvalidModelError(f"the model does not pass onnx.checker: {reason}; export it again") from error


def _merge_default_domain(imports: dict[str, int]) -> None:
    if "ai.onnx" in imports:
        version = imports.pop("ai.onnx")
        imports.setdefault("", version)


def _forget_marks(model: ir.Model) -> None:
    """Take every node for the model's own, whatever it says."""
    functions = (node for function in model.functions.values() for node in function.all_nodes())
    for node in (*model.graph.all_nodes(), *functions):
        node.metadata_props.pop(facts.WRITTEN_KEY, None)
        node.metadata_props.pop(facts.TWIN_KEY, None)
        if node.metadata_props.get(facts.GRADIENT_KEY) in prepare.MARKS:
            del node.metadata_props[facts.GRADIENT_KEY]


def _forget_negative_dims(graph: ir.Graph) -> None:
    """Read lengths below 0, which some exporters write for "unknown", as unknown."""
    for value in (*graph.inputs, *graph.outputs, *(o for node in graph for o in node.outputs)):
        dims = facts.dims(value)
        if dims is not None and any(isinstance(d, int) and d < 0 for d in dims):
            value.shape = ir.Shape([None if isinstance(d, int) and d < 0 else d for d in dims])
