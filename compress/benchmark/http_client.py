"""A client for measuring: keep-alive connections that cost some ten microseconds a request, and nothing else.

Answers must have a Content-Length, as those of all servers measured here have.
"""

from __future__ import annotations

import asyncio
import re
from time import perf_counter
from typing import NamedTuple, cast

from compress.errors import UsageError

_IDLE_S = 2.0  # servers close idle connections after 5 s; one that is about to be closed is not used again
_HEAD_END = b"\r\n\r\n"
LOCAL, CLASSIFY = "127.0.0.1", "/v1/classify"
_URL = re.compile(r"http://(?P<host>[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?")
_HTTP_PORT, _LAST_PORT = 80, 65_535


class Reply(NamedTuple):
    """One answer; `at_s` is when its last byte came, by `perf_counter`."""

    status: int
    body: bytes
    at_s: float


class LostError(Exception):
    """A request that was sent, or could not be sent, and got no whole answer."""


class Address(NamedTuple):
    """Where images are sent to."""

    host: str
    port: int
    path: str = CLASSIFY

    def __str__(self) -> str:
        """Return it as a URL."""
        return f"http://{self.host}:{self.port}{self.path}"


def parse_address(url: str) -> Address:
    """Return the address in a URL; without a path, that of `imgc serve`'s route.

    Raises:
        UsageError: not http://HOST[:PORT][/PATH].
    """
    found = _URL.fullmatch(url)
    if not found or int(found["port"] or _HTTP_PORT) > _LAST_PORT:
        raise UsageError(f"{url}: not an address of the form http://HOST:PORT", hint="--url http://127.0.0.1:8000")
    path = found["path"] or "/"
    return Address(found["host"], int(found["port"] or _HTTP_PORT), CLASSIFY if path == "/" else path)


def request_bytes(path: str, body: bytes, headers: dict[str, str] | None = None, *, host: str = "localhost") -> bytes:
    """Return a POST of an image as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: image/jpeg",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + _HEAD_END + body


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.idle_since_s = perf_counter()
        self.open = False
        self._arrived = bytearray()
        self._waiter: asyncio.Future[Reply] | None = None
        self._transport: asyncio.Transport | None = None

    async def ask(self, request: bytes) -> Reply:
        """Send one request, return its answer.

        Raises:
            LostError: the connection ended first.
        """
        if self._transport is None or not self.open:
            raise LostError("the connection is closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        """Close at once."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport, self.open = cast(asyncio.Transport, transport), True  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Collect; hand over the answer when it is whole."""
        self._arrived += data
        head_end = self._arrived.find(_HEAD_END)
        if head_end < 0 or self._waiter is None:
            return
        head = bytes(self._arrived[:head_end]).lower()
        begin = head_end + len(_HEAD_END)
        length = _header(head, b"content-length")
        if not length.isdigit():
            self._fail("the answer has no Content-Length")
            return
        end = begin + int(length)
        if len(self._arrived) < end:
            return
        reply = Reply(int(head[9:12]), bytes(self._arrived[begin:end]), perf_counter())
        self._arrived.clear()
        self.idle_since_s = reply.at_s
        if _header(head, b"connection") == b"close":
            self.close()
        waiter, self._waiter = self._waiter, None
        if not waiter.done():
            waiter.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.open = False
        self._fail(str(exc or "the server closed the connection"))

    def _fail(self, reason: str) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(LostError(reason))


def _header(head: bytes, name: bytes) -> bytes:
    """Return a header's value from a head in lower case, empty when it is absent."""
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    return head[at + len(name) + 3 :].split(b"\r\n", 1)[0].strip()


class Pool:
    """At most `limit` connections; the one used last is used first, so that few are kept busy when few are needed.

    Args:
        port: of the server.
        limit: who comes when all are busy waits for one.
        keep_alive: False: a new connection for each request.
        host: of the server.
    """

    def __init__(self, port: int, limit: int, *, keep_alive: bool = True, host: str = LOCAL) -> None:
        self._host, self._port, self._keep_alive = host, port, keep_alive
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(limit)

    async def ask(self, request: bytes) -> Reply:
        """Return the answer to one request.

        Raises:
            LostError: no connection, or no whole answer.
        """
        async with self._places:
            connection = await self._connection()
            try:
                reply = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
        if self._keep_alive and connection.open:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and perf_counter() - connection.idle_since_s < _IDLE_S:
                return connection
            connection.close()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        except OSError as error:
            raise LostError(str(error)) from error
        return connection
