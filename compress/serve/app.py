"""`create_app`: the HTTP face of one served model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from compress.serve.config import ServeConfig
from compress.serve.errors import RequestError, bad_request
from compress.serve.gateway import RequestIds, error_response
from compress.serve.page import page_routes
from compress.serve.service import Service

MAX_TOP_K = 1000
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def create_app(config: ServeConfig) -> FastAPI:
    """Return the application; the model is open and warm when this returns, and served once the app has started.

    Raises:
        UsageError: no such file, or a torch file.
        ModelFileError: a file that cannot be run.
        BackendMissingError: the runtime that the file needs is not installed.
    """
    service = Service(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.ready = True
        yield
        service.close()

    # docs pages would load their script from elsewhere, which the content policy forbids
    app = FastAPI(title="imgc serve", lifespan=lifespan, docs_url=None, redoc_url=None, routes=page_routes())
    app.add_middleware(RequestIds)
    _add_error_handlers(app)
    _add_routes(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/classify", openapi_extra=_IMAGE_BODY)
    async def classify(request: Request, top_k: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 5) -> Response:
        """Classify the image in the raw request body."""
        return JSONResponse(await service.classify(request, top_k))

    @app.get("/healthz")
    @app.get("/readyz")
    async def ready() -> Response:
        """Say whether requests are answered, and by which model."""
        return JSONResponse(service.health())

    @app.get("/livez")
    async def live() -> Response:
        """Say that the process runs."""
        return JSONResponse({"status": "alive"})


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def on_fault(request: Request, fault: RequestError) -> Response:
        return error_response(request, fault)

    @app.exception_handler(RequestValidationError)
    async def on_bad_parameter(request: Request, error: RequestValidationError) -> Response:
        return error_response(request, bad_request("; ".join(_complaint(item) for item in error.errors())))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        code = _HTTP_CODES.get(error.status_code, "http_error")
        headers = dict(error.headers or {})
        return error_response(request, RequestError(error.status_code, code, str(error.detail), headers=headers))

    @app.exception_handler(Exception)
    async def on_bug(request: Request, _: Exception) -> Response:
        # sent from outside the middleware, so it sets the id itself; the traceback goes to the log, not to the client
        headers = {"X-Request-Id": request.state.request_id}
        return error_response(request, RequestError(500, "internal", "the server failed", headers=headers))


def _complaint(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"][1:])
    return f"{name}: {item['msg']} (found {str(item.get('input'))[:40]!r})"
