"""One arena on the CPU for the activations of all sessions.

By default each session of onnxruntime keeps an arena as large as its largest run.  Sessions that share one
keep what the largest run of all needs, and are as fast (measured: shrinking after every run, or no arena
at all, makes runs half as long again).
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort

from onnxplain.forking import Lock, leave_alive, quiet, start_over

__all__ = ["release", "share"]

_TINY = '<ir_version: 8, opset_import: ["" : 18]> tiny (float[1] x) => (float[1] y) { y = Neg(x) }'
_KEY = "session.use_env_allocators"


class _Arena:
    """The process's arena, registered with onnxruntime when first asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._there: bool | None = None
        self._tiny: ort.InferenceSession | None = None
        start_over(self)

    def share(self, options: ort.SessionOptions) -> None:
        """Let a session take its memory from the arena."""
        with self._lock():
            if self._there is None:
                self._there = self._register()
            if self._there:
                options.add_session_config_entry(_KEY, "1")
                # planned blocks come on top of what the first run took piece by piece, and save no time here
                options.enable_mem_pattern = False
                # weights outlive runs: between activations they would keep these from being given back
                options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")

    def release(self) -> None:
        """Give back what no run holds."""
        with quiet, self._lock():
            if self._tiny is not None:
                options = ort.RunOptions()
                options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
                self._tiny.run(None, {"x": np.zeros(1, np.float32)}, options)

    def after_fork(self, *, clean: bool) -> None:
        """Start over; if a thread may have been inside the arena, keep out of it."""
        if self._tiny is not None:
            leave_alive(self._tiny)
        self._tiny = None
        if not clean:
            self._there = False
        elif self._there:
            self._tiny = _tiny()

    def _register(self) -> bool:
        info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        try:
            ort.create_and_register_allocator(info, None)
        except Exception as error:  # onnxruntime raises many kinds
            if "already" not in str(error):  # the program has one of its own: as good
                return False
        self._tiny = _tiny()
        self._tiny.run(None, {"x": np.zeros(1, np.float32)})  # the arena never gives back its first piece
        return True


def _tiny() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.add_session_config_entry(_KEY, "1")
    options.intra_op_num_threads = 1
    model = onnx.parser.parse_model(_TINY)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


_ARENA = _Arena()
share, release = _ARENA.share, _ARENA.release
