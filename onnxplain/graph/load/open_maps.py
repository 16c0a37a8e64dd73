"""Outputs that are maps, as scikit-learn's converters make them, read as the tensors they were made of."""

from __future__ import annotations

import onnx

__all__ = ["open_maps"]


def open_maps(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Let ZipMap nodes hand on their tensor of scores, under the name of their output.

    A map from class labels to scores has no place for a gradient, and onnx_ir does not read it.

    Parameters
    ----------
    proto
        The model; left unchanged.

    Returns
    -------
    onnx.ModelProto
        The same object if it has no maps and no empty types, else a changed copy.
    """
    infos = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    zipped = any(n.op_type == "ZipMap" for n in proto.graph.node)
    if not zipped and not any(_is_empty(i) for i in infos):
        return proto
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    graph = made.graph
    opened = set()
    for node in graph.node:
        if node.op_type == "ZipMap":
            opened.update(node.output)
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
    for info in (*graph.input, *graph.output, *graph.value_info):
        if info.name in opened:
            info.CopyFrom(onnx.helper.make_tensor_value_info(info.name, onnx.TensorProto.FLOAT, [None, None]))
        elif _is_empty(info):
            info.ClearField("type")
    if opened and not any(o.domain in ("", "ai.onnx") for o in made.opset_import):
        made.opset_import.append(onnx.helper.make_opsetid("", 18))
    return made


def _is_empty(info: onnx.ValueInfoProto) -> bool:
    """Whether a type is there but says nothing."""
    return info.HasField("type") and info.type.WhichOneof("value") is None
