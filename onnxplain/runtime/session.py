"""A compiled program that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Array, Arrays
from onnxplain.errors import InvalidModelError
from onnxplain.forking import quiet
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.kernels.device_array import DeviceArray
from onnxplain.runtime import arena, operators
from onnxplain.runtime.device import must_run_on, own_stream, providers
from onnxplain.runtime.failures import run_failed
from onnxplain.runtime.weights import Weight, WeightStore

__all__ = ["Executable", "Source"]

#: What onnxruntime would log is raised, by name; nothing is written to the terminal.
_SILENT = 4


class Source(NamedTuple):
    """What a session is made of: a graph without large weights, these, and whether it has our operators."""

    content: bytes
    shared: Mapping[str, Weight]
    own: bool


class Executable:
    """One graph on one device; safe to run from several threads.

    Parameters
    ----------
    model
        The graph, whose large weights move to ``weights``; or what an executable was made of.
    weights
        The model's weights.
    device
        Where to run.
    threads
        Threads within an operator; None leaves it to onnxruntime.
    allow_tf32
        Whether a GPU may compute products of float32 with less precision.
    own
        Whether sessions have our own operators in any case.
    optimise
        Whether onnxruntime optimises the graph; False: it runs as it is.

    Attributes
    ----------
    source
        What the session is made of.

    Raises
    ------
    InvalidModelError
        If onnxruntime does not accept the program.
    RuntimeUnavailableError
        If it puts the program on another device.
    """

    def __init__(
        self,
        model: ir.Model | Source,
        weights: WeightStore,
        device: Literal["cpu", "cuda"],
        threads: int | None = None,
        *,
        allow_tf32: bool = False,
        own: bool = False,
        optimise: bool = True,
    ) -> None:
        if isinstance(model, ir.Model):
            own = own or DOMAIN in model.opset_imports
            model = Source(*weights.serialize(model), own)
        self.source = model
        self.device = device
        self._threads = threads
        self._allow_tf32 = allow_tf32
        self._quietly = ort.RunOptions()
        self._quietly.log_severity_level = _SILENT
        # The default, said: else every run raises and catches an error to find it.
        self._quietly.add_run_config_entry("gpu_graph_id", "0")
        self._without_waiting = ort.RunOptions()
        self._without_waiting.log_severity_level = _SILENT
        for key, value in (("gpu_graph_id", "0"), ("disable_synchronize_execution_providers", "1")):
            self._without_waiting.add_run_config_entry(key, value)
        #: On a GPU, where the session works, and kernels of our own between its runs.
        self.stream = own_stream(device)
        # Runs on one stream share handles of CUDA's libraries, which no two threads may use at once.
        self._turn = nullcontext() if self.stream is None else Lock()
        options = self.options()
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = self.load(options)
        #: Bytes of the program and its weights, which onnxruntime lays out anew for its kernels.
        self.size = len(model.content) + sum(w.array.nbytes for w in model.shared.values())
        must_run_on(self._session, device)
        self._takes = tuple(self._session.get_inputs())
        self.inputs = tuple(i.name for i in self._takes)
        self.outputs = tuple(o.name for o in self._session.get_outputs())
        #: Text cannot be bound: it would crash.
        self._unbound = any(i.type == "tensor(string)" for i in self._takes)
        self._texts = {o.name for o in self._session.get_outputs() if o.type == "tensor(string)"}

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run once.

        Parameters
        ----------
        feeds
            One array per input; others are ignored.
        outputs
            Names of the outputs wanted (default: all).

        Returns
        -------
        dict of arrays on the host, by output name.

        Raises
        ------
        ModelRunError
            If onnxruntime cannot run the program on these inputs.
        """
        names = outputs or self.outputs
        with quiet:
            try:
                if self.device == "cpu":  # where binding is slower
                    return self._unbound_run(feeds, names)
                with self._turn:
                    if self._unbound or not self._texts.isdisjoint(names):
                        return self._unbound_run(feeds, names)
                    binding = self._bind(feeds)
                    for name in names:
                        binding.bind_output(name, "cpu")
                    self._session.run_with_iobinding(binding, self._quietly)
                    made = binding.copy_outputs_to_cpu()
                    del binding  # gives memory back to the arena, where nobody may be while the process forks
                    return dict(zip(names, made, strict=True))
            except Exception as error:  # onnxruntime raises many kinds
                raise run_failed(error, feeds, self._takes) from error

    def _unbound_run(self, feeds: Arrays, names: Sequence[str]) -> Arrays:
        """Run once on arrays, whose results get memory of their own: onnxruntime may lend it from the arena.

        What it lent is given back before anybody may fork.
        """
        fed = {k: v if type(v := feeds[k]) is np.ndarray else _array(v) for k in self.inputs}
        made = self._session.run(names, fed, self._quietly)
        return {
            k: v.copy() if isinstance(v, np.ndarray) and v.base is not None else v
            for k, v in zip(names, made, strict=True)
        }

    def run_on_device(self, feeds: dict[str, Any], outputs: Sequence[str]) -> dict[str, ort.OrtValue]:
        """Run once on values that lie on the device, leaving the results there.

        Where there is a :attr:`stream` the host does not wait: the results are there for what comes on that
        stream next, or on the default one.  What is fed must stay until then.

        Parameters
        ----------
        feeds
            Arrays, or such on the device: :class:`~onnxplain.kernels.device_array.DeviceArray`, or
            :class:`onnxruntime.OrtValue`.
        outputs
            Names of the outputs wanted.

        Raises
        ------
        ModelRunError
            If onnxruntime cannot run the program on these inputs.
        """
        with quiet, self._turn:
            try:
                binding = self._bind(feeds)
                for name in outputs:
                    binding.bind_output(name, self.device, 0)
                if self.stream is None:
                    self._session.run_with_iobinding(binding, self._quietly)
                    binding.synchronize_outputs()
                else:
                    self._session.run_with_iobinding(binding, self._without_waiting)
                return dict(zip(outputs, binding.get_outputs(), strict=True))
            except Exception as error:  # onnxruntime raises many kinds
                raise run_failed(error, feeds, self._takes) from error

    def options(self) -> Any:
        """Return how sessions are to run."""
        options = ort.SessionOptions()
        options.log_severity_level = _SILENT
        options.add_session_config_entry(
            "session.force_spinning_stop", "1"
        )  # leave the cores to other sessions
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if self.device == "cpu":
            arena.share(options)
        if self.source.own:
            operators.register(options)
        return options

    def load(self, options: Any) -> Any:
        """Make a session of the program, with such options."""
        content, shared, _ = self.source
        if shared:
            options.add_external_initializers(list(shared), [w.value for w in shared.values()])
        try:
            with quiet:
                how = providers(self.device, allow_tf32=self._allow_tf32, stream=self.stream)
                return ort.InferenceSession(content, options, providers=how)
        except Exception as error:  # onnxruntime raises many kinds
            reason = str(error).split("\n")[0]
            raise InvalidModelError(
                f"onnxruntime {ort.__version__} does not accept the model: {reason}; check that the plain "
                "model loads in onnxruntime.InferenceSession"
            ) from error

    def __del__(self) -> None:
        with quiet:  # it, too, gives memory back
            self.__dict__.pop("_session", None)

    def _bind(self, feeds: dict[str, Any]) -> Any:
        binding = self._session.io_binding()
        for name in self.inputs:
            value = feeds[name]
            if isinstance(value, DeviceArray):
                binding.bind_input(name, self.device, 0, value.dtype, value.shape, value.address)
            elif isinstance(value, ort.OrtValue):
                binding.bind_ortvalue_input(name, value)
            else:
                binding.bind_cpu_input(name, _contiguous(value))
        return binding


def _contiguous(value: Array) -> Array:
    return np.ascontiguousarray(value).reshape(np.shape(value))


def _array(value: Any) -> Array:
    """Return what is fed; onnxruntime 1.19 does not say how its own values become arrays."""
    held: Array = value.numpy() if isinstance(value, ort.OrtValue) else np.asarray(value)
    return held
