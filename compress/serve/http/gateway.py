"""What every request passes through: id, key, the client's rate, counts, log, and the one shape of errors."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compress.serve.core.metrics import Metrics
from compress.serve.errors import RequestError, internal, overloaded
from compress.serve.http.hosts import Hosts
from compress.serve.http.limits import ApiKey, RateLimit
from compress.serve.http.paths import ALIVE, KEYED, MONITORED, WORK, Paths

log = logging.getLogger("imgc.serve")
access = logging.getLogger("imgc.access")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_LINGER_S = 2.0
_SHED = (503, 504)  # overload is no fault, and a flood of lines would make it worse
BODY_READ = "imgc.body_read"  # in the request's state, once its whole body has been read
_DROPPED_BYTES = 1 << 20  # an unread body of at most this size is read and dropped, and the connection lives on
_EXPOSED = ("X-Request-Id", "X-Model-Version", "Server-Timing", "Retry-After")  # a page elsewhere may read them


class Gateway:
    """Pure ASGI, around the whole application (a `BaseHTTPMiddleware` would cost a quarter of a millisecond).

    Sets `state.request_id`: the client's own where it is safe to echo. Everything else that a client sends is answered
    by the application or by an error of ours; nothing leaves without a status that is counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hot: Mapping[str, ASGIApp],
        paths: Paths,
        hosts: Hosts,
        metrics: Metrics,
        key: ApiKey | None,
        rate: RateLimit | None,
        refusing: Callable[[], bool],
        log_requests: float,
        cors_origins: Sequence[str] = (),
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hot: POST routes that are reached without the framework's routing.
            paths: names the routes.
            hosts: the names that requests may call this server by.
            metrics: counts every reply.
            key: asked for where work or counts are; None: no key.
            rate: of each client's work; None: any.
            refusing: whether memory is so short that only monitors are answered.
            log_requests: share of the answered requests that are logged, 0..1.
            cors_origins: web origins whose pages may call the server.
        """
        self.app = app
        self.hot = hot
        self.paths = paths
        self.hosts = hosts
        self.metrics = metrics
        self.key = key
        self.rate = rate
        self.refusing = refusing
        self.log_requests = log_requests
        self._cors_origins = cors_origins
        self._inside = self._for_browsers(self._handle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self.paths.own(scope)
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        extra = ((b"x-request-id", request_id), (b"x-content-type-options", b"nosniff"))
        status, begun_s = 0, monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            await self._inside(scope, receive, send_with_id)
        except Exception:
            log.exception("request %s failed", request_id.decode())
            if not status:
                self.metrics.rejections[internal().reason] += 1
                await self._for_browsers(error_response(scope, internal()))(scope, receive, send_with_id)
        finally:
            self.metrics.see_status(status)
            self._log(scope, status, begun_s)

    def _for_browsers(self, app: ASGIApp) -> ASGIApp:
        """Return an application that pages of the allowed origins may call; preflights are answered before the key."""
        if not self._cors_origins:
            return app
        return CORSMiddleware(
            app, allow_origins=self._cors_origins, allow_methods=["*"], allow_headers=["*"], expose_headers=_EXPOSED
        )

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._let_in(scope)
            if scope["method"] == "HEAD":  # the HTTP server sends no body to it
                scope = {**scope, "method": "GET"}
            app = self.hot.get(scope["path"]) if scope["method"] == "POST" else None
            if self.paths.lacks_slash(scope):
                app = self.paths.with_slash()
            await (app or self.app)(scope, receive, send)
        except RequestError as fault:
            self.metrics.rejections[fault.reason] += 1
            await error_response(scope, fault)(scope, receive, send)

    def _let_in(self, scope: Scope) -> None:
        path = scope["path"]
        self.hosts.check(scope["headers"], scope["http_version"], any_name=path == ALIVE)
        if self.refusing() and path not in MONITORED:
            raise overloaded("memory")
        client = scope.get("client")
        address = client[0] if client else ""
        if self.key is not None and path.startswith(KEYED):
            self.key.check(scope["headers"], address)
        if self.rate is not None and path.startswith(WORK):
            self.rate.take(address)

    def _log(self, scope: Scope, status: int, begun_s: float) -> None:
        if (status < 500 or status in _SHED) and random.random() >= self.log_requests:
            return
        took_ms = round((monotonic() - begun_s) * 1000, 3)
        facts = {"id": scope["state"]["request_id"], "method": scope["method"], "path": scope["path"][:200]}
        access.info("request", extra={"facts": {**facts, "status": status, "ms": took_ms}})


class JsonReply:
    """A small ASGI response: a status, JSON, headers."""

    def __init__(self, content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        self.headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in (headers or {}).items()),
        ]

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class LingeringReply(JsonReply):
    """Answers, reads on for a moment, then closes the connection.

    Closing at once while the client still sends would reset the connection, and the answer would be lost with it.
    """

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer, drop what else arrives (for at most 2 s), end."""
        headers = [*self.headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})


def error_response(scope: Scope, fault: RequestError) -> ASGIApp:
    """Return the answer that every error has: `{"error", "code", "request_id"}`."""
    content = {"error": fault.message, "code": fault.code, "request_id": scope["state"]["request_id"]}
    unread = fault.body_unread or (BODY_READ not in scope["state"] and _must_not_wait(scope))
    kind = LingeringReply if unread else JsonReply
    return kind(content, fault.status, fault.headers)


def _must_not_wait(scope: Scope) -> bool:
    """Return whether an unread body is too long to be read only to be dropped, or may never come (`Expect`)."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return True
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return not length.isdigit() or len(length) > 12 or int(length) > _DROPPED_BYTES


def _request_id(scope: Scope) -> bytes:
    given: bytes = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
