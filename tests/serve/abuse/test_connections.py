"""Connections that are slow, silent, many, or gone."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from tests.serve.abuse.real_server import Wire, request, running
from tests.waiting import LONG_S, until

pytestmark = pytest.mark.slow

HEADER_S = 1.0
PATIENCE_S = 9.0  # a server that was not told so would wait for 10 s


@pytest.fixture(scope="module")
def shared(onnx_file, tmp_path_factory):
    """Return a server with short patience for headers and little room for connections."""
    config = tmp_path_factory.mktemp("config") / "serve.yaml"
    config.write_text(
        f"header_timeout_ms: {HEADER_S * 1000:.0f}\nmax_connections: 300\ncache_mib: 0\ntimeout_ms: 3000\n"
    )
    folder = tmp_path_factory.mktemp("abuse")
    with running(onnx_file, folder, "--config", str(config), patient=False) as server:
        yield server
        assert server.stop() == 0


@pytest.fixture(scope="module")
def idle_files(shared):
    """Return how many files the server has open while nobody is connected."""
    return until(lambda: files if (files := shared.files()) == shared.files() else None)


def drip(wire: Wire, data: bytes, *, every_s: float) -> None:
    """Send byte by byte; OSError once the server has had enough."""
    for byte in data:
        wire.send(bytes([byte]))
        time.sleep(every_s)


def closed_after_s(wire: Wire) -> float:
    begun = time.monotonic()
    assert wire.ended()
    return time.monotonic() - begun


@pytest.mark.parametrize("said", [b"", b"POST /v1/classify HTT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A"])
def test_a_head_that_does_not_come(server, said):
    with server.connect() as wire:
        wire.send(said)
        assert closed_after_s(wire) < PATIENCE_S


def test_a_head_that_comes_byte_by_byte(server):
    with server.connect() as wire:
        begun = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011 - reset, broken pipe or end, as the timing has it
            drip(wire, request(b"x", "X-Slow: " + "y" * 3000), every_s=0.02)
        assert time.monotonic() - begun < PATIENCE_S


def test_a_body_that_comes_byte_by_byte_is_told_504_and_ends(server, image):
    end_s = time.monotonic() + LONG_S
    with server.connect() as wire:
        wire.send(request(b"", length=100_000))
        body = image()
        wire.socket.settimeout(0.05)
        while b"\r\n\r\n" not in wire.left and time.monotonic() < end_s:
            wire.send(body[:1])
            try:
                wire.left += wire.socket.recv(1000)
            except TimeoutError:
                continue
        wire.socket.settimeout(20)
        reply = wire.reply()
        assert (reply.status, reply.code) == (504, "deadline")
        assert wire.ended()


def test_the_rest_of_an_answered_body_does_not_hold_the_connection(server):
    with server.connect() as wire:
        wire.send(request(b"x", path="/nothing", length=1000))
        assert wire.reply().status == 404
        begun = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011
            drip(wire, bytes(120), every_s=0.1)
        assert time.monotonic() - begun < PATIENCE_S


@pytest.mark.parametrize("head", ["X-Long: " + "y" * 200_000, "\r\n".join(f"X-{i}: y" for i in range(20_000))])
def test_a_head_that_is_too_long(server, head):
    with server.connect() as wire:
        try:
            wire.send(request(b"x", head))
            assert wire.reply().status == 400
        except ConnectionError:
            pass  # closed while we still sent: the refusal may be lost with it
        assert wire.ended()


def test_a_target_that_is_too_long(server):
    with server.connect() as wire:
        try:
            wire.send(request(b"x", path="/v1/classify?" + "a" * 300_000))
            assert wire.reply().status in (400, 414)
        except ConnectionError:
            pass


@pytest.mark.parametrize(
    "rubbish",
    [b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00", b"HELO x\r\n",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"GET /\xff HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
     b"GET /a\0b HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"],
)  # fmt: skip
def test_rubbish_instead_of_a_request(server, rubbish):
    with server.connect() as wire:
        wire.send(rubbish)
        with suppress(ConnectionError):
            assert wire.reply().status < 500


def test_rubbish_behind_a_request_does_not_take_its_reply(server, image):
    with server.connect() as wire:
        wire.send(request(image()) + b"\0rubbish\r\n\r\n" * 10)
        reply = wire.reply()
        assert (reply.status, reply.label) == (200, "red")
        assert wire.ended()


def test_pipelined_requests_are_answered_in_order(server, image):
    bodies = {"red": image(), "blue": image((10, 30, 240))}
    labels = ["red", "blue", "blue", "red"] * 5
    with server.connect() as wire:
        wire.send(b"".join(request(bodies[label], f"X-Request-Id: r{i}") for i, label in enumerate(labels)))
        replies = [wire.reply() for _ in labels]
    assert [(r.headers["x-request-id"], r.label) for r in replies] == [
        (f"r{i}", label) for i, label in enumerate(labels)
    ]


def test_thousands_that_say_nothing_are_bounded_and_others_are_served(server, image):
    most = min(5000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    before = server.files()
    with ExitStack() as wires:
        for _ in range(most):
            wires.enter_context(server.connect())
        most_files = server.files()
        assert most_files - before <= 310
    until(lambda: server.files() <= before + 5)
    assert server.post(image()).status == 200


def test_silence_makes_room_again_by_itself(server, image):
    with ExitStack() as wires:
        for _ in range(400):
            wires.enter_context(server.connect())
        until(lambda: _served(server, image()), within_s=LONG_S)


def _served(server, body) -> bool:
    try:
        return server.post(body).status == 200
    except ConnectionError:
        return False


def test_who_asks_and_never_reads_does_not_stay(server, idle_files):
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(server.address)
        wire.sendall(request(b"", path="/livez", method="GET"))
        assert wire.recv(4096).startswith(b"HTTP/1.1 200"), "it is connected"
        for _ in range(3000):  # 5 MB of replies, more than the system holds for a connection
            try:
                wire.sendall(request(b"", path="/", method="GET"))
            except OSError:
                break
            time.sleep(0.001)  # whole requests, so that no unfinished head ends the connection
        until(lambda: server.files() <= idle_files)


@pytest.mark.parametrize("reset", [False, True])
def test_a_thousand_that_cancel(server, image, reset):
    body = image(size=(300, 200))
    before = server.files()
    for i in range(500):
        wire = server.connect()
        data = request(body)
        wire.send(data if i % 2 else data[: len(data) // 2])
        (wire.reset if reset else wire.close)()
    until(server.is_idle)
    until(lambda: server.files() <= before + 5)
