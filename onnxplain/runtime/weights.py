"""One copy of each weight, shared by all sessions of a model that use it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Array
from onnxplain.forking import Lock
from onnxplain.graph.facts import n_bytes

__all__ = ["Weight", "WeightStore"]

_SMALL_BYTES = 1024
_LOCATION = "onnxplain.weights"
_SHARED = frozenset(
    ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
     "uint64"]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight: the tensor that it was asked for by, its numbers, and onnxruntime's view of them."""

    tensor: ir.TensorProtocol
    array: Array
    value: ort.OrtValue


class WeightStore:
    """Holds weights as onnxruntime values and hands them to sessions by name, as long as a session uses them.

    A program is serialised without its large weights; they are given to the session at its creation, from
    here.  Weights of equal content are one.  (onnxruntime may still lay a weight out anew for its kernels,
    once per session.)
    """

    def __init__(self) -> None:
        self._held: WeakValueDictionary[int, Weight] = WeakValueDictionary()
        self._alike: WeakValueDictionary[tuple[object, ...], Weight] = WeakValueDictionary()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many weights are held."""
        return len(self._held)

    def serialize(self, model: ir.Model) -> tuple[bytes, dict[str, Weight]]:
        """Return a model's bytes without its large weights, and the weights by name.

        Parameters
        ----------
        model
            A program of the caller's own; its initializers are replaced by stubs.
        """
        shared: dict[str, Weight] = {}
        _drop_unused(model.graph)
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None or n_bytes(tensor) <= _SMALL_BYTES:
                continue
            held = self._hold(tensor)
            if held is None:
                continue
            shared[name] = held
            value.const_value = ir.ExternalTensor(
                location=_LOCATION, offset=0, length=tensor.nbytes, dtype=tensor.dtype,
                shape=ir.Shape(tensor.numpy().shape), name=name,
            )  # fmt: skip
        proto = ir.to_proto(model)
        assert isinstance(proto, onnx.ModelProto)
        return proto.SerializeToString(), shared

    def _hold(self, tensor: ir.TensorProtocol) -> Weight | None:
        with self._lock():
            known = self._held.get(id(tensor))
            if known is not None and known.tensor is tensor:
                return known
            array = tensor.numpy()
            if array.dtype.name not in _SHARED:
                return None  # exotic types (bfloat16, int4) travel inside the model
            array = np.ascontiguousarray(array, array.dtype.name)  # onnx_ir marks the byte order
            glance = _glance(array)
            keys = ((*glance, k) for k in itertools.count())
            key = next(keys)
            while (other := self._alike.get(key)) is not None:
                if np.array_equal(_bits(other.array), _bits(array)):
                    return other  # made anew for this program (a transposed weight, say): let it go
                key = next(keys)
            made = Weight(tensor, array, ort.OrtValue.ortvalue_from_numpy(array))
            self._alike[key] = made
            self._held[id(tensor)] = made
            return made


def _drop_unused(graph: ir.Graph) -> None:
    """Remove weights that no node of the graph reads: onnxruntime drops them, and then does not find them.

    That a value has users says too little; they may be in a body that was taken out of the graph.
    """
    used = {i for node in graph.all_nodes() for i in node.inputs} | set(graph.outputs)
    used |= {o for body in graph.subgraphs() for o in body.outputs}
    for name in [k for k, v in graph.initializers.items() if v not in used]:
        del graph.initializers[name]


def _bits(array: Array) -> Array:
    """Return an array's bytes: 0 and -0 are two numbers to what divides by them."""
    bits: Array = array.reshape(-1).view(np.uint8)
    return bits


def _glance(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    """Return what equal arrays have in common and others hardly: dtype, shape, a few of the numbers."""
    flat = array.ravel()
    return array.dtype.name, array.shape, flat[:: max(1, flat.size // 64)].tobytes()
