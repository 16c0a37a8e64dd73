"""The same work on Ray Data: a pool of workers, each with an explainer of its own."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from onnxplain.errors import OptionalDependencyError, OptionError, RuntimeUnavailableError
from onnxplain.explainer import Explainer
from onnxplain.options import Count, check_option
from onnxplain.scale.pieces import Piece
from onnxplain.scale.worker import Done, Job, Worker

__all__ = ["Pool", "RayWorker", "confirmed", "pickled", "ray_data", "revived", "session", "silent"]

#: Tasks that Ray is given at most: with more pieces than that, a task holds several.
_TASKS = 10_000


def ray_data() -> Any:
    """Import Ray and Ray Data; nothing is reported to anybody.

    Raises
    ------
    OptionalDependencyError
        If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError as error:
        raise OptionalDependencyError(
            f"workers need Ray Data, which cannot be imported ({error}); pip install 'onnxplain[ray]'"
        ) from error
    return ray


@contextlib.contextmanager
def session(ray: Any) -> Iterator[bool]:
    """Use the cluster that runs, or the one that ``RAY_ADDRESS`` names, or start one here for the while.

    Yields
    ------
    bool
        Whether one was started here.

    Raises
    ------
    RuntimeUnavailableError
        If it cannot be reached or started.
    """
    if ray.is_initialized():
        yield False
        return
    here = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=True, **here)
    except Exception as error:  # whatever Ray raises
        raise RuntimeUnavailableError(
            f"Ray cannot be started or reached ({type(error).__name__}: {error}); check RAY_ADDRESS, or "
            "leave workers out"
        ) from error
    try:
        yield bool(here)
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Pool:
    """How many workers, and what each of them has.

    Attributes
    ----------
    workers
        How many.
    num_cpus, num_gpus
        What Ray sets aside for each.
    device
        Where its programs run.
    threads
        Within an operator; None for as many as it has CPUs.
    """

    workers: int
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        check_option("workers", self.workers, Count)
        for name in ("num_cpus", "num_gpus"):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < 1e6:
                raise OptionError(f"{name} is {given!r:.60}; give a number, such as 1 or 0.25")
        check_option("device", self.device, Literal["auto", "cpu", "cuda"])
        if self.device == "cuda" and not self.num_gpus:
            raise OptionError('device="cuda" needs a share of a GPU for each worker; say num_gpus=')
        if self.device == "cpu" and self.num_gpus:
            raise OptionError('num_gpus sets GPUs aside that device="cpu" has no use for; leave one out')
        ray_data()

    def options(self) -> tuple[str, int]:
        """Return the device and the threads of a worker's explainer: a GPU that is set aside is used."""
        device = "cuda" if self.num_gpus and self.device == "auto" else self.device
        return ("cpu" if device == "auto" else device), self.threads or max(1, int(self.num_cpus))

    def find_room(self, ray: Any, started: bool) -> None:
        """Make sure that a worker has room on some node; a cluster that may grow is waited for.

        Parameters
        ----------
        ray
            The package.
        started
            Whether the cluster was started here, so that it will not grow.

        Raises
        ------
        RuntimeUnavailableError
            If there will never be room.
        """
        for node in ray.nodes():
            has = node["Resources"]
            if node["Alive"] and has.get("CPU", 0) >= self.num_cpus and has.get("GPU", 0) >= self.num_gpus:
                return
        told = f"no node has {self.num_cpus:g} CPUs and {self.num_gpus:g} GPUs for a worker"
        if started:
            raise RuntimeUnavailableError(f"{told}; ask for less, or name another cluster with RAY_ADDRESS")
        warnings.warn(f"{told}; Ray waits until one has", stacklevel=2)

    def mapped(self, ray: Any, data: Any, kind: type, arguments: tuple[Any, ...], **how: Any) -> Any:
        """Return a data set that the workers make of another one, batch by batch."""
        if self.num_gpus:
            how["num_gpus"] = self.num_gpus
        return data.map_batches(
            kind, fn_constructor_args=arguments, num_cpus=self.num_cpus,
            compute=ray.data.ActorPoolStrategy(size=self.workers), **how,
        )  # fmt: skip

    def answers(
        self, explainer: Explainer, job: Job, todo: Sequence[tuple[int, Piece]]
    ) -> Generator[Done, None, None]:
        """Yield what becomes of pieces, as workers are done with them.

        A worker that dies is started anew, and its piece given out again: the part has its name from the
        piece, so that it is there once, whoever wrote it.

        Parameters
        ----------
        explainer
            Of the model; workers have copies.
        job
            What to do.
        todo
            Pieces with their numbers.

        Raises
        ------
        RuntimeUnavailableError
            If Ray cannot go on.
        """
        if not todo:
            return
        ray = ray_data()
        with session(ray) as started:
            self.find_room(ray, started)
            held = ray.put((pickled(explainer, *self.options()), job))
            rows = [{"number": number, "piece": pickle.dumps(piece)} for number, piece in todo]
            data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _TASKS))
            found = self.mapped(ray, data, RayWorker, (held,), batch_size=1, batch_format="numpy")
            yield from confirmed(ray, found)


def confirmed(ray: Any, found: Any) -> Generator[Done, None, None]:
    """Yield what workers answer, as a data set does.

    Raises
    ------
    RuntimeUnavailableError
        If Ray cannot go on.
    """
    with silent(ray):
        try:
            for row in found.iter_rows():
                yield Done.of_row(row)
        except ray.exceptions.RayError as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise RuntimeUnavailableError(
                f"Ray could not go on ({said}); what is written stays, and the same call goes on there"
            ) from error


class RayWorker:
    """A worker as Ray Data has them.

    Parameters
    ----------
    held
        A reference to what is explained, and how.
    """

    def __init__(self, held: Any) -> None:
        state, job = ray_data().get(held)
        self._worker = Worker(revived(state), job)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Explain one piece, and say what became of it."""
        (number,), (piece,) = batch["number"], batch["piece"]
        return self._worker(int(number), pickle.loads(bytes(piece))).as_row()


def pickled(explainer: Explainer, device: str, threads: int) -> dict[str, Any]:
    """Return an explainer as it travels to workers, who run it on a device with threads of their own."""
    state = explainer.__getstate__()
    _, budget, _, *others = state["options"]
    return {**state, "options": (device, budget, threads, *others)}


def revived(state: dict[str, Any]) -> Explainer:
    """Undo :func:`pickled`."""
    made = object.__new__(Explainer)
    made.__setstate__(state)
    return made


@contextlib.contextmanager
def silent(ray: Any) -> Iterator[None]:
    """Show no bars but our own."""
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars
    context.enable_progress_bars = False
    try:
        yield
    finally:
        context.enable_progress_bars = before
