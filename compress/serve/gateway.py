"""What every request passes through: its id, the limits on its body, and the one shape of every error."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compress.serve.deadline import Deadline
from compress.serve.errors import (
    BODY,
    RequestError,
    bad_request,
    deadline_passed,
    empty_body,
    incomplete_body,
    too_large,
    unsupported_type,
)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_RAW_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")  # the last is curl's default
_LINGER_S = 2.0


class RequestIds:
    """Pure ASGI middleware: gives each request an id, the client's own where it is safe to echo, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `state.request_id` set."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        extra = [(b"x-request-id", request_id), (b"x-content-type-options", b"nosniff")]

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        await self.app(scope, receive, send_with_id)


class LingeringResponse(JSONResponse):
    """Answers, reads on for a moment, then closes the connection.

    Closing at once while the client still sends would reset the connection, and the answer would be lost with it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer, drop what else arrives (for at most 2 s), end."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b""})


def error_response(request: Request, fault: RequestError) -> Response:
    """Return the answer that every error has: `{"error", "code", "request_id"}`."""
    content = {"error": fault.message, "code": fault.code, "request_id": request.state.request_id}
    kind = LingeringResponse if fault.body_unread else JSONResponse
    return kind(content, status_code=fault.status, headers=fault.headers)


def check_headers(headers: Mapping[str, str], max_body_bytes: int) -> None:
    """Let a request's headers pass.

    Raises:
        RequestError: 415 a declared type that is no image, 413 a declared length over the limit.
    """
    declared = headers.get("content-type", "").split(";")[0].strip().lower()
    if declared not in _RAW_TYPES and not declared.startswith("image/"):
        raise unsupported_type(f"the content type '{declared[:80]}'")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise bad_request("Content-Length is not a length")
    if int(length) > max_body_bytes:
        raise too_large(max_body_bytes, body_unread=True)


async def read_body(receive: Receive, max_body_bytes: int, deadline: Deadline) -> bytes:
    """Return the whole body.

    Raises:
        RequestError: 400 empty or cut short, 413 over the limit (as soon as it is), 504 too slow.
    """
    try:
        async with asyncio.timeout(deadline.remaining_s()):
            body = await _read(receive, max_body_bytes)
    except TimeoutError:
        raise deadline_passed(deadline.timeout_ms, BODY) from None
    if not body:
        raise empty_body()
    return body


async def _read(receive: Receive, max_body_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise incomplete_body()
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > max_body_bytes:
            raise too_large(max_body_bytes, body_unread=more)
        chunks.append(chunk)
    return b"".join(chunks)
