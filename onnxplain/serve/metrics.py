"""What is counted, for Prometheus."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["Meters", "meters"]


class Meters:
    """Counters beside those of kserve, in the registry that ``/metrics`` shows."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._requests: Any = Counter(
            "onnxplain_requests", "Requests by what was asked, protocol and HTTP status",
            ["model_name", "protocol", "status"],
        )  # fmt: skip
        self._seconds: Any = Histogram(
            "onnxplain_request_seconds", "Seconds from the first byte of a request to its answer",
            ["model_name", "protocol"],
        )  # fmt: skip
        self._together: Any = Histogram(
            "onnxplain_requests_together", "Requests that were answered in one run",
            ["model_name"], buckets=(1, 2, 4, 8, 16, 32, 64),
        )  # fmt: skip
        self._waiting: Any = Gauge("onnxplain_requests_waiting", "Requests that wait or run", ["model_name"])

    def answered(self, name: str, protocol: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(name, protocol, str(status)).inc()
        self._seconds.labels(name, protocol).observe(seconds)

    def answered_together(self, name: str, count: int) -> None:
        """Count a run by its requests."""
        self._together.labels(name).observe(count)

    def waiting(self, name: str, count: int) -> None:
        """Tell how long the line is."""
        self._waiting.labels(name).set(count)


@lru_cache(maxsize=1)
def meters() -> Meters:
    """Return the one set of counters of this process."""
    return Meters()
