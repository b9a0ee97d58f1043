"""`create_app`: the HTTP face of the served models."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from compress.serve.config import ServeConfig
from compress.serve.core.metrics import CONTENT_TYPE, merged, prometheus_text
from compress.serve.core.service import Service
from compress.serve.core.shared_metrics import SharedMetrics
from compress.serve.errors import RequestError, bad_request, internal, not_ready
from compress.serve.http.classify import CLASSIFY, Classify
from compress.serve.http.detect import DETECT, Detect
from compress.serve.http.docs_page import docs_html
from compress.serve.http.gateway import Gateway, error_response
from compress.serve.http.hosts import hosts_of
from compress.serve.http.limits import ApiKey, RateLimit
from compress.serve.http.paths import Paths
from compress.serve.http.protocol import CONNECTIONS, Connections
from compress.serve.http.status import gauges, health, model_facts
from compress.serve.oip.backend import ServiceBackend
from compress.serve.oip.routes import oip_routes
from compress.serve.openapi import complete
from compress.serve.page.routes import PAGE_HEADERS, page_routes

SHARED_METRICS_VARIABLE = "IMGC_SERVE_CREW"  # the folder in which the processes of one port find each other
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def create_app(config: ServeConfig) -> ASGIApp:
    """Return the application; the models are open and warm when this returns, and served once it has started.

    Raises:
        UsageError: no such file, a torch file, two models of one name, a smaller model with other labels.
        ModelFileError: a file that cannot be run.
        BackendMissingError: the runtime that a file needs is not installed.
    """
    return app_of(Service(config))


def app_of(service: Service) -> ASGIApp:
    """Return the application over a service."""
    config = service.config
    connections = Connections(config.max_connections, config.header_timeout_ms / 1000)
    service.memory.on_hard_pressure = connections.end_unread
    shared_metrics = SharedMetrics(_metrics_folder(), lambda: service.metrics.snapshot(gauges(service)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Connections]]:
        await service.start()
        await shared_metrics.join()
        yield {CONNECTIONS: connections}
        await service.stop()
        await shared_metrics.leave()

    images = {CLASSIFY: Classify(service), DETECT: Detect(service)}
    oip = ServiceBackend(service)
    routes = [
        *page_routes(),
        *(Route(path, route, methods=["POST"]) for path, route in images.items()),
        *oip_routes(oip, oip.admit, config.max_body_bytes),
    ]
    # FastAPI's docs pages would load their script from elsewhere, which the content policy forbids
    app = FastAPI(
        title="imgc serve", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False, routes=routes
    )
    _add_error_handlers(app, service)
    key = ApiKey(config.api_key.get_secret_value()) if config.api_key else None
    _add_routes(app, service, shared_metrics, None if config.public_health else key)
    complete(app, config)
    return Gateway(
        app,
        hot=images,
        paths=Paths(config.root_path),
        hosts=hosts_of(config.host, config.allowed_hosts),
        metrics=service.metrics,
        key=key,
        rate=RateLimit(config.rate_limit) if config.rate_limit else None,
        refusing=lambda: service.admission.refusing,
        log_requests=config.log_requests,
        cors_origins=config.cors_origins,
    )


def _add_routes(app: FastAPI, service: Service, shared_metrics: SharedMetrics, health_key: ApiKey | None) -> None:
    @app.get("/healthz", summary="Which models answer, and how they are doing")
    @app.get("/readyz", summary="The same, for a balancer: 503 while requests should go elsewhere")
    async def ready(request: Request) -> Response:
        state = health(service)
        told = health_key is None or health_key.is_in(request.scope["headers"])
        return JSONResponse(state if told else {"status": state["status"]})

    @app.get("/livez", summary="Say that the process runs; 503 when only a restart helps")
    async def live() -> Response:
        if service.memory.hopeless:
            raise not_ready("memory stays short: restart the server")
        return JSONResponse({"status": "alive"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_html(app.openapi()), media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    @app.get("/metrics", summary="Counts in Prometheus's text format, of all processes of this port")
    async def metrics() -> Response:
        total = merged(await shared_metrics.snapshots())
        return Response(prometheus_text(total, model_facts(service)), media_type=CONTENT_TYPE)


def _add_error_handlers(app: FastAPI, service: Service) -> None:
    def reply(request: Request, fault: RequestError) -> ASGIApp:
        service.metrics.rejections[fault.reason] += 1
        return error_response(request.scope, fault)

    @app.exception_handler(RequestError)
    async def on_fault(request: Request, fault: RequestError) -> ASGIApp:
        return reply(request, fault)

    @app.exception_handler(RequestValidationError)
    async def on_bad_parameter(request: Request, error: RequestValidationError) -> ASGIApp:
        return reply(request, bad_request("; ".join(_complaint(item) for item in error.errors())))

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> ASGIApp:
        code = _HTTP_CODES.get(error.status_code, "http_error")
        return reply(
            request, RequestError(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))
        )

    @app.exception_handler(Exception)
    async def on_bug(request: Request, _: Exception) -> ASGIApp:
        return reply(request, internal())  # raised again behind it: the gateway writes the traceback to the log


def _complaint(item: ErrorDetails) -> str:
    name = ".".join(str(part) for part in item["loc"][1:])
    return f"{name}: {item['msg']} (found {str(item.get('input'))[:40]!r})"


def _metrics_folder() -> Path | None:
    folder = os.environ.get(SHARED_METRICS_VARIABLE)
    return Path(folder) if folder else None
