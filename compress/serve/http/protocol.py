"""`GuardedProtocol`: uvicorn's fast HTTP protocol, bounded in what a connection may do before its request exists."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sized
from dataclasses import dataclass, field
from time import monotonic

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from compress.serve.http.upgrades import PlainParser

_MAX_HEAD_BYTES = 32 * 1024
_MAX_FIELDS = 128  # of a head; five bytes make one, and each is several objects in memory
_MAX_WAITING = 32  # requests of one connection behind the one that is being answered
_MAX_WAITING_IN_ALL = 512  # of all connections of a process
_SAY_EVERY_S = 10.0
_LAST_READ_S = 0.2
CONNECTIONS = "imgc.connections"
log = logging.getLogger("imgc.serve")


@dataclass(eq=False)
class Connections:
    """The connections of one process and their bounds.

    Attributes:
        max_connections: more are closed at once.
        header_timeout_s: time for a head, from the connection or its first byte.
        open: those there are.
        refused: connections that were closed at once.
        waiting: requests that wait behind another one of their connection.
    """

    max_connections: int
    header_timeout_s: float
    open: set[GuardedProtocol] = field(default_factory=set)
    waiting: int = 0
    refused: int = 0
    _said_s: float = -math.inf

    def see_refused(self) -> None:
        """Count a connection beyond the bound, and say so, at most once in 10 s."""
        self.refused += 1
        now_s = monotonic()
        if now_s - self._said_s > _SAY_EVERY_S:
            self._said_s = now_s
            log.warning("%d connections are open; more are closed, %d so far", self.max_connections, self.refused)

    def end_unread(self) -> int:
        """End the connections that do not take their replies, and return how many; what they were sent is dropped."""
        unread = [one for one in self.open if one.transport.get_write_buffer_size()]
        for connection in unread:
            connection.transport.abort()
        return len(unread)


class _Refused(Exception):  # noqa: N818 - for the parser, which ends with whatever a callback raises
    """A connection sent more than it may."""


class _Flow(FlowControl):
    """Reads nothing while requests wait: uvicorn's own goes on at the first one's `receive`."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, if it is not to the last of the requests that wait that the bytes belong."""
        if not self._pipeline:
            super().resume_reading()


class GuardedProtocol(HttpToolsProtocol):
    """Closes a connection that sends no complete head in time, too large a head, or too many requests at once.

    uvicorn's own keep-alive timer runs only after a first reply, its parser takes heads of any length, and it keeps
    every request that a client sends ahead, each many times as large as what was sent.

    The bounds come through the application's lifespan state (`CONNECTIONS`), since uvicorn makes its protocols itself
    and hands over nothing else.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Connections],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser: PlainParser = PlainParser(self)  # type: ignore[assignment]
        self._all = app_state[CONNECTIONS]
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._unread_bytes = 0  # since the last byte of a body
        self._in_body = False
        self._ending = False
        self._refused = False  # what else comes is dropped
        self._complaint = ""  # about a head, where the parser itself has none
        self._waiting = 0  # of its requests, as counted in `Connections`

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse the connection when there are too many."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._all.open.add(self)
        if len(self._all.open) > self._all.max_connections:
            self._all.see_refused()
            transport.close()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._head_arrived()
        self._all.open.discard(self)
        self.pipeline.clear()  # nobody takes their replies
        self._count_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of a head are counted and timed, and so is the rest of a body that was answered already."""
        if self._refused:
            return
        if self._head_timer is None and (not self._in_body or self.cycle.response_complete):
            self._await_head()
        if not self._in_body:
            self._head_bytes += len(data)
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._in_body and self._unread_bytes > _MAX_HEAD_BYTES:  # trailers or extensions of chunks, without end
            self._refused = True
            self.transport.close()
        if self._head_timer is not None and self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response("The headers are too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head.

        Raises:
            _Refused: there are too many; the parser stops, and `send_400_response` ends the connection.
        """
        if self._in_body:  # a trailer: after the request was let in, and no part of its head
            return
        if len(self.headers) >= _MAX_FIELDS:
            self._complaint = f"More than {_MAX_FIELDS} header fields."
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or let it wait for its turn: its own deadline counts from then.

        Raises:
            _Refused: too many wait already.
        """
        if self.parser.offers_upgrade():  # it comes again, without the offer
            return
        if self._is_answering() and self._too_many_wait():
            raise _Refused
        self._head_arrived()
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0" and self.parser.should_keep_alive():  # where HTTP/1.1 needs no word
            self.cycle.keep_alive = True
            self.cycle.default_headers = [*self.cycle.default_headers, (b"connection", b"keep-alive")]
        self._in_body = True
        self._unread_bytes = 0
        self._count_waiting()
        if self._ending:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body: what comes next is another head."""
        if self.parser.offers_upgrade():
            return
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; behind the last one before what was refused, end."""
        was_last = not self.pipeline
        super().on_response_complete()
        self._count_waiting()
        if was_last and self._refused:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no request. Behind a whole request they only end the connection, after its reply."""
        if not self._is_answering() or (self._in_body and not self.pipeline):
            super().send_400_response(self._complaint or msg)
            return
        if self._in_body:  # what is no request is the newest of those that wait: it gets no reply
            self.pipeline.popleft()
            self._count_waiting()
        self._refuse_more()

    def _refuse_more(self) -> None:
        """Take no more bytes; the connection ends behind the replies to the requests that there are."""
        self._refused = True
        self._head_arrived()
        self.flow.pause_reading()
        self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Answer what is on its way, then close: a request may lie in the socket, sent but not yet read."""
        self._ending = True
        if self._is_answering():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_LAST_READ_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._is_answering():
            self.transport.close()

    def _is_answering(self) -> bool:
        """Return whether the newest request has not got its whole reply yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _too_many_wait(self) -> bool:
        return self._waiting >= _MAX_WAITING or self._all.waiting >= _MAX_WAITING_IN_ALL

    def _count_waiting(self) -> None:
        self._all.waiting += len(self.pipeline) - self._waiting
        self._waiting = len(self.pipeline)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self._all.header_timeout_s, self._end_head_time)

    def _end_head_time(self) -> None:
        if self._is_answering():
            self._refuse_more()
        else:
            self.timeout_keep_alive_handler()

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
