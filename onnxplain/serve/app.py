"""The server as an ASGI application: kserve's models, health, metadata and metrics, and our inference."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxplain.serve import v1, v2
from onnxplain.serve.asked import Answer, Asked, Served
from onnxplain.serve.guard import Guard
from onnxplain.serve.kserving import import_kserve
from onnxplain.serve.metrics import Meters, meters
from onnxplain.serve.refusals import RefusedError, refusal_of
from onnxplain.serve.settings import Settings
from onnxplain.serve.text import dumps
from onnxplain.serve.waiting import Desk
from onnxplain.versions import VERSION

__all__ = ["Application"]

_LOG = logging.getLogger("onnxplain.serve")
_JSON = "application/json"
#: What is written and read outside the loop of events: bodies above so many bytes.
_LARGE = 1 << 16


class Application:
    """Serves models and their companions.

    Parameters
    ----------
    served
        What is served, each under its name.
    settings
        Limits.

    Raises
    ------
    OptionalDependencyError
        If kserve is not installed.

    Attributes
    ----------
    asgi
        The application.
    """

    def __init__(self, served: Sequence[Served], settings: Settings) -> None:
        kserve = import_kserve()
        self._meters: Meters = meters()
        self._desks = {s.name: Desk(s, settings, self._meters) for s in served}
        self._models: Mapping[str, Any] = {
            name: _kserve_model(kserve, desk) for name, desk in self._desks.items()
        }
        registry = kserve.ModelRepository()
        for model in self._models.values():
            registry.update(model)
        self._app = self._routes(_dataplane(registry))
        self.asgi = Guard(self._app, settings)

    def close(self) -> None:
        """Let nobody in any more."""
        for desk in self._desks.values():
            desk.close()

    def _routes(self, plane: Any) -> Any:
        from fastapi import FastAPI
        from kserve.protocol.rest.server import metrics_handler
        from kserve.protocol.rest.v1_endpoints import V1Endpoints
        from kserve.protocol.rest.v2_endpoints import V2Endpoints
        from starlette.exceptions import HTTPException

        app = FastAPI(title="onnxplain", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
        first, second = V1Endpoints(plane), V2Endpoints(plane)
        shown: dict[str, Callable[..., Any]] = {
            "/": plane.live,
            "/metrics": metrics_handler,
            "/v1/models": first.models,
            "/v1/models/{model_name}": first.model_ready,
            "/v2": second.metadata,
            "/v2/health/live": second.live,
            "/v2/health/ready": second.ready,
            "/v2/models": second.models,
            "/v2/models/{model_name}": second.model_metadata,
            "/v2/models/{model_name}/ready": second.model_ready,
        }
        for path, handler in shown.items():
            app.add_api_route(path, handler, methods=["GET"], response_model_exclude_none=True)
        for path, asked in {
            "/v1/models/{model_name}:predict": self._predict_v1,
            "/v1/models/{model_name}:explain": self._explain_v1,
            "/v2/models/{model_name}/infer": self._infer_v2,
        }.items():
            app.add_route(path, asked, methods=["POST"])
        app.add_exception_handler(HTTPException, _refused_by_router)
        app.add_exception_handler(Exception, _refused)
        for kind in _kserve_errors():
            app.add_exception_handler(kind, _refused_by_kserve)
        return app

    async def _predict_v1(self, request: Any) -> Any:
        return await self._first_protocol(request, request.path_params["model_name"], explain=False)

    async def _explain_v1(self, request: Any) -> Any:
        name = request.path_params["model_name"]
        companion = f"{name}-explain"
        return await self._first_protocol(
            request, companion if companion in self._desks else name, explain=True
        )

    async def _first_protocol(self, request: Any, name: str, *, explain: bool) -> Any:
        async def work(desk: Desk) -> Any:
            if desk.served.explains != explain:
                verb, other = ("explain", "predict") if explain else ("predict", "explain")
                raise RefusedError(400, f"model '{name}' does not {verb}; ask with :{other}")
            body = await request.body()

            def prepare() -> Asked:
                asked = desk.served.prepare(v1.read(body, desk.served))
                v1.check_rows(asked)
                return asked

            answer = await self._answer(desk, await asyncio.to_thread(prepare))
            return _response(await _off(answer, lambda: v1.write(answer, desk.served)))

        return await self._counted("v1", name, work)

    async def _infer_v2(self, request: Any) -> Any:
        async def work(desk: Desk) -> Any:
            body, header = await request.body(), request.headers.get(v2.HEADER)

            def prepare() -> tuple[Asked, v2.Wanted]:
                asked, wanted = v2.read(body, header, desk.served)
                return desk.served.prepare(asked), wanted

            asked, wanted = await asyncio.to_thread(prepare)
            answer = await self._answer(desk, asked)
            content, length = await _off(answer, lambda: v2.write(answer, wanted, desk.served))
            if length is None:
                return _response(content)
            return _response(content, kind="application/octet-stream", headers={v2.HEADER: str(length)})

        return await self._counted("v2", request.path_params["model_name"], work)

    async def _answer(self, desk: Desk, asked: Asked) -> Answer:
        """Let kserve's model answer, which counts seconds."""
        model = self._models[desk.served.name]
        answer, _ = await model(asked, headers={}, verb=model.verb)
        made: Answer = answer
        return made

    async def _counted(self, protocol: str, name: str, work: Callable[[Desk], Any]) -> Any:
        begin = time.monotonic()
        try:
            desk = self._desks.get(name)
            if desk is None:
                raise RefusedError(404, f"there is no model '{name}'; there are {', '.join(self._desks)}")
            response = await work(desk)
        except Exception as error:
            response = _refusing(error)
        known = name if name in self._desks else ""
        self._meters.answered(known, protocol, response.status_code, time.monotonic() - begin)
        return response


async def _off(answer: Answer, write: Callable[[], Any]) -> Any:
    """Write an answer, a large one in a thread."""
    large = sum(array.nbytes for array in answer.outputs.values()) > _LARGE
    return await asyncio.to_thread(write) if large else write()


def _response(
    content: bytes, status: int = 200, kind: str = _JSON, headers: dict[str, str] | None = None
) -> Any:
    from starlette.responses import Response

    return Response(content, status, headers, media_type=kind)


def _refusing(error: Exception) -> Any:
    told = refusal_of(error)
    if told.status == 500 and not isinstance(error, RefusedError):
        _LOG.error("a request failed", exc_info=error)
    headers = {"retry-after": "1"} if told.status == 503 else None
    return _response(dumps({"error": told.message}), told.status, headers=headers)


async def _refused(_: Any, error: Exception) -> Any:
    return _refusing(error)


async def _refused_by_router(_: Any, error: Any) -> Any:
    return _response(dumps({"error": str(error.detail)}), error.status_code, headers=error.headers)


async def _refused_by_kserve(_: Any, error: Exception) -> Any:
    statuses = {"ModelNotFound": 404, "NotImplementedError": 501}
    return _refusing(RefusedError(statuses.get(type(error).__name__, 503), str(error)))


def _kserve_errors() -> tuple[type[Exception], ...]:
    from kserve.errors import ModelNotFound, ModelNotReady, ServerNotReady

    return ModelNotFound, ModelNotReady, ServerNotReady


def _kserve_model(kserve: Any, desk: Desk) -> Any:
    """Return what is served as a model of kserve."""
    from kserve.model import InferenceVerb

    class Model(kserve.Model):  # type: ignore[misc]  # it has no types
        verb = InferenceVerb.EXPLAIN if desk.served.explains else InferenceVerb.PREDICT

        async def predict(self, payload: Asked, headers: Any = None, response_headers: Any = None) -> Answer:
            return await desk.ask(payload)

        async def explain(self, payload: Asked, headers: Any = None) -> Answer:
            return await desk.ask(payload)

        def get_input_types(self) -> list[dict[str, Any]]:
            return [t.metadata() for t in desk.served.inputs]

        def get_output_types(self) -> list[dict[str, Any]]:
            return [t.metadata() for t in desk.served.outputs]

    model = Model(desk.served.name)
    model.load()
    return model


def _dataplane(registry: Any) -> Any:
    """Return what answers kserve's questions about health and metadata."""
    from kserve.protocol.dataplane import DataPlane

    class Plane(DataPlane):  # type: ignore[misc]  # it has no types
        def metadata(self) -> dict[str, Any]:
            return {"name": "onnxplain", "version": VERSION, "extensions": ["binary_tensor_data"]}

    return Plane(registry)
