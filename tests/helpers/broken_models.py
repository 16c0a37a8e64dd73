"""Broken models, made on purpose: bytes flipped, cut and moved, and fields given odd values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

#: Small models of many kinds; the fewer numbers they hold, the more flips strike what gives them meaning.
TEXTS = {
    "dense": """m (float[N, 3] x) => (float[N, 2] y) { a = Gemm(x, w, b) h = Relu(a) y = MatMul(h, v) }""",
    "conv": """m (float[N, 1, 4, 4] x) => (float[N, 2] y) {
        c = Conv<pads = [1, 1, 1, 1], strides = [1, 1]>(x, k) r = LeakyRelu<alpha = 0.1>(c)
        p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r) n = BatchNormalization(p, s, s2, s, s2)
        g = GlobalAveragePool(n) f = Flatten<axis = 1>(g) y = Softmax<axis = 1>(f) }""",
    "tokens": """m (int64[N, L] ids, int64[N, L] mask) => (float[N, 2] y) {
        e = Gather<axis = 0>(table, ids) f = Cast<to = 1>(mask) u = Unsqueeze(f, last) m = Mul(e, u)
        q = ReduceMean<keepdims = 0>(m, one) y = MatMul(q, v) }""",
    "shapes": """m (float[N, 4] x) => (float[N, 2] y) {
        n = Shape<start = 0, end = 1>(x) t = Concat<axis = 0>(n, two_two) r = Reshape(x, t)
        a, b = Split<axis = 2, num_outputs = 2>(r) z = Concat<axis = 2>(b, a)
        q = Transpose<perm = [0, 2, 1]>(z)
        l = Slice(q, zero, one, one) y = Squeeze(l, one) }""",
    "body": """m (float[N, 2] x, bool c) => (float[N, 2] y) {
        i = If(c) <then_branch = t () => (float[N, 2] a) { a = Sin(x) },
                   else_branch = e () => (float[N, 2] b) { b = Mul(x, w2) }>
        y = Exp(i) }""",
    "loop": """m (float[N, 2] x) => (float[N, 2] y) {
        y = Loop(three, , x) <body = t (int64 i, bool c, float[N, 2] s) => (bool d, float[N, 2] r) {
          d = Identity(c) r = Mul(s, w2) }> }""",
    "int8": """m (float[N, 3] x) => (float[N, 2] y) {
        q, qs, qz = DynamicQuantizeLinear(x) i = MatMulInteger(q, wq, qz, zq) f = Cast<to = 1>(i)
        s = Mul(qs, half) y = Mul(f, s) }""",
    "recurrent": """m (float[3, N, 2] x) => (float[N, 2] y) {
        s, h, c = LSTM<hidden_size = 2>(x, W, R, B) y = Squeeze(h, zero) }""",
}  # fmt: skip
FUNCTION = """<ir_version: 9, opset_import: ["" : 18, "mine" : 1]>
m (float[N, 2] x) => (float[N, 2] y) { a = mine.twice <s = 0.5>(x) y = Relu(a) }
<domain: "mine", opset_import: ["" : 18]>
twice <s> (a) => (b) { k = Constant<value_float: float = @s>() r = Sin(a) b = Mul(r, k) }"""

WEIGHTS: dict[str, Any] = {
    "w": (3, 2), "b": (2,), "v": (2, 2), "k": (2, 1, 3, 3), "table": (5, 2), "w2": (2,), "half": (),
    "W": (1, 8, 2), "R": (1, 8, 2), "B": (1, 16), "s": (2,), "s2": (2,),
}  # fmt: skip
CONSTANTS: dict[str, Any] = {
    "last": np.array([2]), "one": np.array([1]), "zero": np.array([0]), "two_two": np.array([2, 2]),
    "three": np.array(3), "wq": np.array([[1, 2], [3, 4], [5, 6]], np.uint8), "zq": np.array(3, np.uint8),
}  # fmt: skip


def bases() -> dict[str, ModelProto]:
    """Return the models before anything is broken."""
    made = {"function": onnx.parser.parse_model(FUNCTION)}
    rng = np.random.default_rng(0)
    for name, text in TEXTS.items():
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{text}')
        bodies = [a.g for n in model.graph.node for a in n.attribute if a.HasField("g")]
        nodes = [*model.graph.node, *(n for body in bodies for n in body.node)]
        used = {i for n in nodes for i in n.input} - {o for n in nodes for o in n.output}
        for key in sorted(used & (WEIGHTS.keys() | CONSTANTS.keys())):
            array = CONSTANTS.get(key)
            if array is None:
                array = np.abs(rng.standard_normal(WEIGHTS[key])).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, key))
        onnx.checker.check_model(model)
        made[name] = model
    return made


def flipped(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield damaged files: bytes changed, bits flipped, pieces cut out, repeated, or the end missing."""
    rng = np.random.default_rng(seed)
    contents = {name: model.SerializeToString(deterministic=True) for name, model in bases().items()}
    names = list(contents)
    for k in range(count):
        name = names[k % len(names)]
        content = bytearray(contents[name])
        kind = ("byte", "bit", "bit", "bits", "cut", "without", "again")[int(rng.integers(7))]
        at = int(rng.integers(len(content)))
        length = int(rng.integers(1, 9))
        if kind == "byte":
            content[at] = int(rng.integers(256))
        elif kind in ("bit", "bits"):
            for place in rng.integers(len(content), size=4 if kind == "bits" else 1):
                content[int(place)] ^= 1 << int(rng.integers(8))
        elif kind == "cut":
            del content[at:]
        elif kind == "without":
            del content[at : at + length]
        else:
            content[at:at] = content[at : at + length]
        yield f"{k} {kind} {name}", bytes(content)


def _first(model: ModelProto) -> NodeProto:
    return model.graph.node[0]


def _name_bytes(model: ModelProto, old: bytes, new: bytes) -> bytes:
    """Put bytes in the place of a name of the same length (Protocol Buffers for Python would not)."""
    assert len(old) == len(new)
    return model.SerializeToString().replace(old, new)


def _renamed(where: str) -> Callable[[ModelProto], bytes]:
    """Name something in GBK."""

    def change(model: ModelProto) -> bytes:
        mark = "AAAA"
        if where == "node":
            _first(model).name = mark
        elif where == "input":
            old = model.graph.input[0].name
            model.graph.input[0].name = mark
            bodies = [a.g for n in model.graph.node for a in n.attribute if a.HasField("g")]
            for graph in (model.graph, *bodies):
                for node in graph.node:
                    node.input[:] = [mark if i == old else i for i in node.input]
        elif where == "output":
            old = model.graph.output[0].name
            model.graph.output[0].name = mark
            for node in model.graph.node:
                node.output[:] = [mark if o == old else o for o in node.output]
        elif where == "doc":
            model.doc_string = mark
        elif where == "metadata":
            model.metadata_props.add(key=mark, value=mark)
        elif where == "dim":
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = mark
        return _name_bytes(model, mark.encode(), "你好".encode("gbk"))

    return change


def _do(change: Callable[[ModelProto], Any]) -> Callable[[ModelProto], bytes]:
    def made(model: ModelProto) -> bytes:
        change(model)
        return model.SerializeToString()

    return made


def _attributed(model: ModelProto) -> NodeProto:
    return next(n for n in model.graph.node if n.attribute)


def _set_attribute(**fields: Any) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            for a in node.attribute:
                for key, value in fields.items():
                    if key == "wire":  # an enumerator that Protocol Buffers for Python would not set
                        a.MergeFromString(value)
                    else:
                        setattr(a, key, value)
                return
        _first(model).attribute.append(helper.make_attribute("alpha", 1.0))

    return change


def _weight(**fields: Any) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        if not model.graph.initializer:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, np.float32), "loose"))
        tensor = model.graph.initializer[0]
        for key, value in fields.items():
            if isinstance(value, bytes) and key == "wire":
                tensor.MergeFromString(value)
            elif isinstance(value, list):
                del getattr(tensor, key)[:]
                getattr(tensor, key).extend(value)
            else:
                setattr(tensor, key, value)

    return change


def _empty_typed(model: ModelProto) -> None:
    _weight()(model)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0])


def _double(field: str) -> Callable[[ModelProto], None]:
    return lambda model: getattr(model.graph, field).append(getattr(model.graph, field)[0])


def _in_type(model: ModelProto) -> Any:
    return model.graph.input[0].type.tensor_type


def _optional(model: ModelProto) -> None:
    kind = model.graph.input[0].type
    inner = onnx.TypeProto()
    inner.CopyFrom(kind)
    kind.Clear()
    kind.optional_type.elem_type.CopyFrom(inner)


def _sequence(model: ModelProto) -> None:
    kind = model.graph.input[0].type
    inner = onnx.TypeProto()
    inner.CopyFrom(kind)
    kind.Clear()
    kind.sequence_type.elem_type.CopyFrom(inner)


def _same_output(model: ModelProto) -> None:
    """Let two nodes make one value."""
    model.graph.node.append(model.graph.node[-1])


def _output_is_initializer(model: ModelProto) -> None:
    _weight()(model)
    model.graph.output.append(helper.make_tensor_value_info(model.graph.initializer[0].name, 1, None))


def _only_initializers(model: ModelProto) -> None:
    """Give the graph no inputs: what was one is constant."""
    for value in list(model.graph.input):
        dims = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(dims, kind), value.name))
    del model.graph.input[:]


def _self_loop(model: ModelProto) -> None:
    _first(model).input[0] = model.graph.node[-1].output[0]


MADE: dict[str, Callable[[ModelProto], bytes]] = {
    **{f"gbk {where}": _renamed(where) for where in ("node", "input", "output", "doc", "metadata", "dim")},
    "no inputs": _do(lambda m: m.graph.ClearField("input")),
    "only initializers": _do(_only_initializers),
    "no outputs": _do(lambda m: m.graph.ClearField("output")),
    "output is an input": _do(lambda m: m.graph.output.append(m.graph.input[0])),
    "only output is an input": _do(lambda m: m.graph.output[0].CopyFrom(m.graph.input[0])),
    "output is an initializer": _do(_output_is_initializer),
    "output twice": _do(_double("output")),
    "input twice": _do(_double("input")),
    "node twice": _do(_same_output),
    "initializer twice": _do(lambda m: [_weight()(m), _double("initializer")(m)]),
    "optional input": _do(_optional),
    "sequence input": _do(_sequence),
    "input without shape": _do(lambda m: _in_type(m).ClearField("shape")),
    "output without shape": _do(lambda m: m.graph.output[0].type.tensor_type.ClearField("shape")),
    "input without type": _do(lambda m: m.graph.input[0].ClearField("type")),
    "output without type": _do(lambda m: m.graph.output[0].ClearField("type")),
    "input of dtype 0": _do(lambda m: setattr(_in_type(m), "elem_type", 0)),
    "input of dtype 99": _do(lambda m: setattr(_in_type(m), "elem_type", 99)),
    "input of text": _do(lambda m: setattr(_in_type(m), "elem_type", TensorProto.STRING)),
    "input of another dtype": _do(lambda m: setattr(_in_type(m), "elem_type", TensorProto.INT32)),
    "negative length": _do(lambda m: setattr(_in_type(m).shape.dim[-1], "dim_value", -3)) ,
    "huge length": _do(lambda m: setattr(_in_type(m).shape.dim[-1], "dim_value", 2**62)),
    "more axes": _do(lambda m: _in_type(m).shape.dim.add(dim_value=1)),
    "fewer axes": _do(lambda m: _in_type(m).shape.dim.pop()),
    "weight of dtype 0": _do(_weight(data_type=0)),
    "weight of dtype 99": _do(_weight(data_type=99)),
    "weight of text": _do(_weight(data_type=8)),
    "weight of dtype int4": _do(_weight(data_type=22)),
    "weight with negative dims": _do(_weight(dims=[-1, -2])),
    "weight with huge dims": _do(_weight(dims=[2**31, 2**31])),
    "weight with other dims": _do(_weight(dims=[7])),
    "weight without numbers": _do(_weight(raw_data=b"")),
    "weight with few numbers": _do(_empty_typed),
    "weight of no location": _do(_weight(data_location=1)),
    "weight of an odd location": _do(_weight(wire=b"\x70\x07")),
    "weight without name": _do(_weight(name="")),
    "attribute of type 0": _do(_set_attribute(type=0)),
    "attribute of type 99": _do(_set_attribute(wire=b"\xa0\x01\x63")),
    "attribute of another type": _do(_set_attribute(type=AttributeProto.STRINGS)),
    "attribute of another name": _do(_set_attribute(name="nonsense")),
    "attribute without name": _do(_set_attribute(name="")),
    "attribute by reference": _do(_set_attribute(ref_attr_name="missing")),
    "attribute twice": _do(lambda m: _attributed(m).attribute.append(_attributed(m).attribute[0])),
    "attribute huge": _do(_set_attribute(i=2**62, f=3e38)),
    "no operator": _do(lambda m: setattr(_first(m), "op_type", "")),
    "odd operator": _do(lambda m: setattr(_first(m), "op_type", "Re\0lu\x1b")),
    "odd domain": _do(lambda m: setattr(_first(m), "domain", "\x1b[31m")),
    "fewer operands": _do(lambda m: _first(m).input.pop()),
    "no operands": _do(lambda m: _first(m).ClearField("input")),
    "more operands": _do(lambda m: _first(m).input.extend([m.graph.input[0].name] * 9)),
    "empty operand": _do(lambda m: _first(m).input.__setitem__(0, "")),
    "no results": _do(lambda m: _first(m).ClearField("output")),
    "empty result": _do(lambda m: _first(m).output.__setitem__(0, "")),
    "more results": _do(lambda m: _first(m).output.extend(["r1", "r2", "r3"])),
    "circle": _do(_self_loop),
    "opset 0": _do(lambda m: setattr(m.opset_import[0], "version", 0)),
    "opset -1": _do(lambda m: setattr(m.opset_import[0], "version", -1)),
    "opset 1": _do(lambda m: setattr(m.opset_import[0], "version", 1)),
    "opset 2^40": _do(lambda m: setattr(m.opset_import[0], "version", 2**40)),
    "opset twice": _do(lambda m: m.opset_import.add(domain="", version=11)),
    "no opset": _do(lambda m: m.ClearField("opset_import")),
    "ir version 0": _do(lambda m: setattr(m, "ir_version", 0)),
    "ir version 2^40": _do(lambda m: setattr(m, "ir_version", 2**40)),
    "no nodes": _do(lambda m: m.graph.ClearField("node")),
    "no graph": _do(lambda m: m.ClearField("graph")),
    "nothing": lambda _: b"",
    "node names with odd letters": _do(lambda m: setattr(_first(m), "name", "\x00\n\u202e\ufeff/..//")),
    "no names": _do(lambda m: [n.ClearField("name") for n in m.graph.node]),
    "value_info that lies": _do(
        lambda m: m.graph.value_info.append(helper.make_tensor_value_info(_first(m).output[0], 7, [9, 9, 9]))
    ),
    "function that is not there": _do(lambda m: setattr(_first(m), "domain", "elsewhere")),
}  # fmt: skip


def made(step: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield every base with every field mutation that fits it, or each ``step``-th of them."""
    number = 0
    for title, change in MADE.items():
        for name, base in bases().items():
            number += 1
            if number % step:
                continue
            model = ModelProto()
            model.CopyFrom(base)
            try:
                yield f"{title}: {name}", change(model)
            except (IndexError, AttributeError, StopIteration):  # has no such field
                continue
