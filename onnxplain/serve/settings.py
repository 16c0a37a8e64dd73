"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from onnxplain.errors import OptionError
from onnxplain.options import Bytes, Count, Positive, check_fields

__all__ = ["Settings"]

Port = Annotated[int, Field(ge=0, le=65535, description="a port, 0 to 65535 (0: any that is free)")]


@dataclass(frozen=True)
class Settings:
    """How a server listens, and what it refuses.

    Attributes
    ----------
    host
        Address to listen at; by default this machine alone can reach it.
    port
        Port; 0 takes one that is free.
    workers
        Threads that predict, and as many again that explain; each run has onnxruntime's own threads inside.
    max_batch
        Samples of concurrent requests that run at once, where their independence is proven; 1: never.
    queue
        Requests that wait or run, for each of prediction and explanation; what comes on top gets 503.
    timeout
        Seconds until a request gets 504; what has not begun by then is not begun.
    max_body
        Bytes of a request; larger ones get 413.
    read_timeout
        Seconds in which a request must have arrived; slower clients get 408, or are hung up on.
    grace
        Seconds that requests have to end when the server is stopped.

    Raises
    ------
    OptionError
        If one is not what it may be.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Count = 2
    max_batch: Count = 16
    queue: Count = 128
    timeout: Positive = 60.0
    max_body: Bytes = 64 * 2**20
    read_timeout: Positive = 20.0
    grace: Positive = 30.0

    def __post_init__(self) -> None:
        check_fields(self, OptionError)
