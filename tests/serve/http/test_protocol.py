"""The protocol under the real uvicorn: silent, long and many heads, and connections that live on."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse

import pytest
import uvicorn

from compress.serve.app import app_of
from compress.serve.config import ServeConfig
from compress.serve.core.service import Service
from compress.serve.http import protocol as module
from compress.serve.http.protocol import Connections, GuardedProtocol
from compress.serve.run import server_options
from tests.serve.abuse.real_server import Wire

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

PATIENCE_S = 30
HEADER_MS = 300


class Server:
    """uvicorn in a thread of this process, as `imgc serve` runs it."""

    def __init__(self, model, **settings) -> None:
        config = ServeConfig(**{"models": [model], "threads": 1, "timeout_ms": 20_000, **settings})
        self.service = Service(config)
        self.server = uvicorn.Server(uvicorn.Config(app_of(self.service), **server_options(config)))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Server:
        self.thread.start()
        self.wait_until(lambda: self.server.started)
        return self

    def __exit__(self, *_) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the server ends"

    @contextmanager
    def connected(self):
        with socket.create_connection(self.listener.getsockname(), PATIENCE_S) as wire:
            yield wire

    def wired(self) -> Wire:
        """Return a connection that reads no byte of the next reply with one."""
        return Wire(self.listener.getsockname())

    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def only(self) -> GuardedProtocol:
        """Return the protocol of the one connection there is."""
        (protocol,) = self.server.server_state.connections
        return protocol

    def all_connections(self) -> Connections:
        return self.server.lifespan.state[module.CONNECTIONS]

    def end_head_time(self) -> None:
        """Let the time that the one connection has for a head be over, as soon as it runs."""
        self.wait_until(lambda: self.connections() == 1 and self.only()._head_timer is not None)
        protocol = self.only()
        protocol.loop.call_soon_threadsafe(protocol.timeout_keep_alive_handler)

    @staticmethod
    def wait_until(condition) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, "it never came true"
            time.sleep(0.002)


def request(body: bytes = b"", *, method: str = "POST", path: str = "/v1/classify", **headers: object) -> bytes:
    lines = {
        "Host": "localhost",
        "Content-Length": len(body),
        **{name.replace("_", "-"): v for name, v in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def reply(wire: socket.socket) -> tuple[int, str, bytes]:
    """Return status, request id and body of the next reply."""
    answer = HTTPResponse(wire)
    answer.begin()
    return answer.status, answer.headers["x-request-id"], answer.read()


def ended(wire: socket.socket) -> bool:
    """Return whether the server closes the connection without another word."""
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


def drip(wire: socket.socket) -> None:
    """Send a byte many times before a head's time is over, again and again; OSError once the server has had enough."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        wire.sendall(b"X")
        time.sleep(HEADER_MS / 1000 / 10)


@pytest.mark.parametrize("said", [b"", b"POST /v1/cla", request(b"x")[:-3]])
def test_a_head_that_does_not_come_in_time_ends_its_connection(onnx_file, said):
    with Server(onnx_file, header_timeout_ms=HEADER_MS) as server:
        begun_s = time.monotonic()  # before the server's own time can begin
        with server.connected() as wire:
            wire.sendall(said)
            assert ended(wire)
        assert time.monotonic() - begun_s > HEADER_MS / 1000 * 0.9


def test_bytes_that_drip_in_do_not_prolong_the_time_of_a_head(onnx_file):
    with Server(onnx_file, header_timeout_ms=HEADER_MS) as server, server.connected() as wire:
        wire.sendall(b"GET /livez HTTP/1.1\r\n")
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the timing has it
            drip(wire)


def test_the_time_of_a_head_does_not_run_while_a_request_is_served(held, onnx_file, image):
    with Server(onnx_file) as server, server.connected() as wire:
        held.inputs.clear()
        held.go_on.clear()
        server.wait_until(lambda: server.connections() == 1 and server.only()._head_timer is not None)
        wire.sendall(request(image()))
        server.wait_until(lambda: held.inputs)
        assert server.only()._head_timer is None
        held.go_on.set()
        assert reply(wire)[0] == 200


def test_a_kept_connection_has_the_time_of_a_head_again_for_the_next(onnx_file):
    with Server(onnx_file) as server, server.connected() as wire:
        wire.sendall(request(method="GET", path="/livez"))
        assert reply(wire)[0] == 200
        wire.sendall(b"GET /livez HT")
        server.end_head_time()
        assert ended(wire)


@pytest.mark.parametrize("said", ["one line", "many lines", "target"])
def test_a_head_that_is_too_long_is_refused_before_its_end(onnx_file, said):
    many = "".join(f"X-{n}: {'y' * 1000}\r\n" for n in range(100))
    rest = {
        "one line": f"/ HTTP/1.1\r\nX: {'y' * 80_000}",
        "many lines": f"/ HTTP/1.1\r\n{many}",
        "target": "/" * 80_000,
    }
    with Server(onnx_file) as server, server.connected() as wire:
        wire.sendall(f"GET {rest[said]}".encode())
        answer = HTTPResponse(wire)
        answer.begin()
        assert (answer.status, answer.read()) == (400, b"The headers are too long.")
        assert ended(wire)


def test_a_head_of_very_many_fields_is_refused_before_its_end(onnx_file):
    fields = module._MAX_FIELDS
    with Server(onnx_file) as server:
        with server.connected() as wire:
            wire.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"a:b\r\n" * (fields + 1))
            answer = HTTPResponse(wire)
            answer.begin()
            assert (answer.status, answer.read()) == (400, b"More than 128 header fields.")
            assert ended(wire)
        with server.connected() as wire:
            wire.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"a:b\r\n" * (fields - 1) + b"\r\n")
            assert reply(wire)[0] == 200


def test_requests_sent_ahead_are_answered_up_to_a_bound_and_then_the_connection_ends(held, onnx_file, image):
    ahead = module._MAX_WAITING
    with Server(onnx_file) as server, server.wired() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.send(request(image(), X_Request_Id="first"))
        server.wait_until(lambda: held.inputs)
        more = [request(method="GET", path="/livez", X_Request_Id=f"r{n}") for n in range(ahead + 9)]
        wire.send(b"".join(more))
        server.wait_until(lambda: server.only()._refused)
        assert len(server.only().pipeline) == server.only()._all.waiting == ahead
        held.go_on.set()
        replies = [wire.reply() for _ in range(ahead + 1)]
        assert [one.status for one in replies] == [200] * (ahead + 1)
        assert [one.headers["x-request-id"] for one in replies] == ["first", *(f"r{n}" for n in range(ahead))]
        assert wire.ended()
        server.wait_until(lambda: not server.connections())
        connections = server.all_connections()
        assert (connections.open, connections.waiting) == (set(), 0)


def test_while_requests_wait_nothing_more_is_read(held, onnx_file, image):
    with Server(onnx_file) as server, server.wired() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.send(request(image()) * 3)
        server.wait_until(lambda: held.inputs and server.only()._all.waiting == 2)
        assert server.only().flow.read_paused
        wire.send(request(image()) * 30)  # still in the socket when the first is answered
        held.go_on.set()
        assert [wire.reply().status for _ in range(33)] == [200] * 33


def test_after_many_small_requests_a_head_without_its_body_yet_is_waited_for(onnx_file, image):
    with Server(onnx_file) as server, server.wired() as wire:
        for _ in range(3):
            wire.send(request(method="GET", path="/livez", X_Long="y" * 20_000))
            assert wire.reply().status == 200
        whole = request(image(), X_Long="y" * 20_000)
        wire.send(whole[: -len(image())])
        wire.send(image())
        assert wire.reply().status == 200


@pytest.mark.parametrize("more", [b"0\r\nX: " + b"a" * 200_000, b"5;" + b"x" * 200_000], ids=["trailer", "extension"])
def test_what_comes_in_a_body_and_is_none_is_bounded(onnx_file, more):
    head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    with Server(onnx_file) as server, server.connected() as wire:
        wire.sendall(head)
        with suppress(OSError):
            wire.sendall(more)
        assert ended(wire)
        server.wait_until(lambda: not server.connections())


def test_a_trailer_is_no_part_of_the_head_of_a_request_that_waits(held, onnx_file, image):
    with Server(onnx_file, api_key="secret") as server, server.wired() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.send(request(image(), X_API_Key="secret"))
        server.wait_until(lambda: held.inputs)
        head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.send(head + b"5\r\nhello\r\n0\r\nX-API-Key: secret\r\n\r\n")
        server.wait_until(lambda: server.only()._all.waiting == 1 and not server.only()._in_body)
        held.go_on.set()
        assert [wire.reply().status for _ in range(2)] == [200, 401]


CHUNKED = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
BEHIND = {"no path": b"GET http://h HTTP/1.1\r\nHost: localhost\r\n\r\n", "chunk": CHUNKED, "rubbish": b"\x00\r\n\r\n"}


@pytest.mark.parametrize("bad", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("between", [0, 1])
def test_what_is_no_request_takes_no_reply_of_those_before_it(held, onnx_file, image, bad, between):
    with Server(onnx_file) as server, server.wired() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.send(request(image(), X_Request_Id="r0"))
        server.wait_until(lambda: held.inputs)
        wire.send(request(image(), X_Request_Id="r1") * between + bad)
        server.wait_until(lambda: server.only()._refused)
        held.go_on.set()
        replies = [wire.reply() for _ in range(1 + between)]
        assert [(one.status, one.headers["x-request-id"]) for one in replies] == [
            (200, f"r{n}") for n in range(1 + between)
        ]
        assert wire.ended()
        server.wait_until(lambda: not server.connections())


def test_a_head_that_does_not_come_ends_the_connection_behind_the_reply_that_is_on_its_way(held, onnx_file, image):
    with Server(onnx_file) as server, server.wired() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.send(request(image()))
        server.wait_until(lambda: held.inputs)
        wire.send(b"GET /li")
        protocol = server.only()
        server.wait_until(lambda: protocol._head_timer is not None)
        protocol.loop.call_soon_threadsafe(protocol._end_head_time)
        server.wait_until(lambda: protocol._refused)
        held.go_on.set()
        assert wire.reply().status == 200
        assert wire.ended()


def test_all_connections_together_may_let_a_number_of_requests_wait(held, onnx_file, image, monkeypatch):
    monkeypatch.setattr(module, "_MAX_WAITING_IN_ALL", 3)
    with Server(onnx_file) as server, server.wired() as one, server.wired() as two:
        held.inputs.clear()
        held.go_on.clear()
        one.send(request(image()) * 4)
        server.wait_until(lambda: server.all_connections().waiting == 3)
        two.send(request(image()) * 2)
        server.wait_until(lambda: any(connection._refused for connection in server.all_connections().open))
        held.go_on.set()
        assert [one.reply().status for _ in range(4)] == [200] * 4
        assert two.reply().status == 200
        assert two.ended()


def test_connections_that_take_no_replies_are_ended_when_memory_is_short(onnx_file):
    with Server(onnx_file) as server, server.connected() as reads:
        reads.sendall(request(method="GET", path="/livez"))
        assert reply(reads)[0] == 200
        loop = server.only().loop
        with server.connected() as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ask = request(method="GET", path="/openapi.json")

            async def end_unread() -> int:
                return server.all_connections().end_unread()

            left = b""

            def ended_one() -> bool:
                nonlocal left
                left = left or ask  # a part of one may be taken alone: what follows must be the rest of it
                with suppress(BlockingIOError):
                    left = left[wire.send(left, socket.MSG_DONTWAIT) :]
                return asyncio.run_coroutine_threadsafe(end_unread(), loop).result(PATIENCE_S) == 1

            server.wait_until(ended_one)
            server.wait_until(lambda: server.connections() == 1)
        reads.sendall(request(method="GET", path="/livez"))
        assert reply(reads)[0] == 200


def test_a_long_body_and_many_heads_are_not_a_long_head(onnx_file, image):
    with Server(onnx_file) as server, server.connected() as wire:
        large = image(kind="BMP", size=(300, 200))
        assert len(large) > module._MAX_HEAD_BYTES
        for n in range(4):
            whole = request(large, X_Request_Id=f"r{n}", X_Long="y" * 30_000)
            wire.sendall(whole[:25_000])
            time.sleep(0.05)  # so that the head mostly comes in two pieces
            wire.sendall(whole[25_000:])
            status, own, _ = reply(wire)
            assert (status, own) == (200, f"r{n}")


def test_connections_beyond_the_bound_are_closed_and_there_is_room_again(onnx_file):
    with Server(onnx_file, max_connections=3) as server, ExitStack() as stack:
        kept = [stack.enter_context(server.connected()) for _ in range(3)]
        server.wait_until(lambda: server.connections() == 3)
        for _ in range(5):
            with server.connected() as more:
                assert ended(more)
        kept[0].sendall(request(method="GET", path="/livez"))
        assert reply(kept[0])[0] == 200, "those inside are served"
        kept[1].close()
        server.wait_until(lambda: server.connections() == 2)
        with server.connected() as wire:
            wire.sendall(request(method="GET", path="/livez"))
            assert reply(wire)[0] == 200


@pytest.mark.parametrize("late", [True, False])
def test_after_a_415_whose_body_was_not_read_the_next_request_gets_its_own_reply(onnx_file, image, late):
    refused = request(image(), Content_Type="application/json", X_Request_Id="refused")
    cut = len(refused) - len(image()) // 2 if late else len(refused)
    with Server(onnx_file) as server, server.connected() as wire:
        wire.sendall(refused[:cut])
        assert reply(wire)[:2] == (415, "refused")
        wire.sendall(refused[cut:] + request(image(), X_Request_Id="next"))
        status, own, body = reply(wire)
        assert (status, own) == (200, "next")
        assert b'"label":"red"' in body


def test_after_a_503_whose_body_was_not_read_the_next_request_gets_its_own_reply(held, onnx_file, image):
    with Server(onnx_file, max_queue=0) as server, server.connected() as first, server.connected() as wire:
        held.inputs.clear()
        held.go_on.clear()
        first.sendall(request(image(), X_Request_Id="first"))
        server.wait_until(lambda: held.inputs)
        refused = request(image(), X_Request_Id="refused")
        cut = len(refused) - len(image()) // 2
        wire.sendall(refused[:cut])
        assert reply(wire)[:2] == (503, "refused")
        held.go_on.set()
        assert reply(first)[:2] == (200, "first")
        server.wait_until(lambda: not server.service.admission.inside)
        wire.sendall(refused[cut:] + request(image((20, 60, 230)), X_Request_Id="next"))
        status, own, body = reply(wire)
        assert (status, own) == (200, "next")
        assert b'"label":"blue"' in body


def test_the_rest_of_a_refused_body_has_the_time_of_a_head(onnx_file):
    with Server(onnx_file) as server, server.connected() as wire:
        refused = request(bytes(1000), Content_Type="application/json")
        wire.sendall(refused[:-500])
        assert reply(wire)[0] == 415
        wire.sendall(bytes(1))
        server.end_head_time()
        assert ended(wire)


def test_rubbish_behind_a_request_ends_the_connection_after_its_reply(held, onnx_file, image):
    with Server(onnx_file) as server, server.connected() as wire:
        held.inputs.clear()
        held.go_on.clear()
        wire.sendall(request(image(), X_Request_Id="whole"))
        server.wait_until(lambda: held.inputs)
        wire.sendall(b"\x00rubbish\r\n\r\n")
        server.wait_until(lambda: not server.only().cycle.keep_alive)
        held.go_on.set()
        assert reply(wire)[:2] == (200, "whole")
        assert ended(wire)


def test_at_its_end_the_server_answers_what_it_has_and_closes_what_is_idle(held, onnx_file, image):
    with Server(onnx_file) as server, server.connected() as busy, server.connected() as idle:
        held.inputs.clear()
        held.go_on.clear()
        busy.sendall(request(image(), X_Request_Id="busy"))
        server.wait_until(lambda: held.inputs and server.connections() == 2)
        server.server.should_exit = True
        assert ended(idle)
        held.go_on.set()
        assert reply(busy)[:2] == (200, "busy")
        assert ended(busy)


def head(wire: socket.socket, path: str) -> tuple[int, int, bytes]:
    """Return status, declared length and body of the reply to HEAD."""
    wire.sendall(request(method="HEAD", path=path))
    answer = HTTPResponse(wire, method="HEAD")
    answer.begin()
    with answer:
        return answer.status, int(answer.headers["content-length"]), answer.read()


def test_head_is_answered_as_get_without_the_body(onnx_file):
    with Server(onnx_file) as server, server.connected() as wire:
        for path in ("/livez", "/readyz", "/healthz", "/metrics"):
            status, length, body = head(wire, path)
            assert (status, body) == (200, b"")
            assert length > 0
        wire.sendall(request(method="GET", path="/livez"))
        assert reply(wire)[::2] == (200, b'{"status":"alive"}'), "no stray bytes are left in between"


def test_head_is_refused_as_get_is(onnx_file):
    with Server(onnx_file) as server, server.connected() as wire:
        server.service.draining = True
        for path, status in (("/readyz", 503), ("/livez", 200), ("/v1/classify", 405), ("/none", 404)):
            assert head(wire, path)[::2] == (status, b"")


def test_connections_that_are_refused_are_said_once_in_a_while(monkeypatch, caplog):
    now_s = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now_s[0])
    connections = Connections(max_connections=7, header_timeout_s=1.0)
    for now_s[0] in (100.0, 101.0, 109.9, 110.1, 111.0):
        connections.see_refused()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "7 connections are open; more are closed, 1 so far",
        "7 connections are open; more are closed, 4 so far",
    ]
