"""`GuardedProtocol`: uvicorn's fast HTTP protocol, bounded in what a connection may do before its request exists."""

from __future__ import annotations

import asyncio

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_MAX_HEAD_BYTES = 64 * 1024
_LAST_READ_S = 0.2
HEADER_TIMEOUT_S = "imgc.header_timeout_s"
MAX_CONNECTIONS = "imgc.max_connections"


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection that sends no complete headers in time, or too many of them, and all beyond a number.

    uvicorn's own keep-alive timer runs only after a first reply, and its parser takes headers of any length.

    The bounds come through the application's lifespan state, since uvicorn makes its protocols itself and hands over
    nothing else: `HEADER_TIMEOUT_S` (of a head, from the connection or its first byte) and `MAX_CONNECTIONS`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, float],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_body = False
        self._ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse the connection when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.app_state[MAX_CONNECTIONS]:
            transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of a head are counted and timed, and so is the rest of a body that was answered already."""
        if self._head_timer is None and (not self._in_body or self.cycle.response_complete):
            self._await_head()
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response("The headers are too long.")

    def on_headers_complete(self) -> None:
        """Start the request: its own deadline counts from here."""
        self._head_arrived()
        self._in_body = True
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End the request's body: what comes next is another head."""
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no request. Behind a whole request they only end the connection, after its reply."""
        if self.cycle is None or self.cycle.response_complete or self._in_body:
            super().send_400_response(msg)
        else:
            self.flow.pause_reading()
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Answer what is on its way, then close: a request may lie in the socket, sent but not yet read."""
        self._ending = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LAST_READ_S, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.app_state[HEADER_TIMEOUT_S], self.timeout_keep_alive_handler)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
