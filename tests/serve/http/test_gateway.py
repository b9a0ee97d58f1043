"""The gateway against raw ASGI messages, where the order of reading and refusing can be seen."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from compress.serve.app import create_app
from compress.serve.config import ServeConfig


def ask(app, *wires):
    """Send the requests one after the other, each until it is answered."""

    async def scenario():
        async with app.app.router.lifespan_context(app.app):
            for wire in wires:
                await asyncio.wait_for(app(wire.scope, wire.receive, wire.send), 20)

    asyncio.run(scenario())


@pytest.fixture
def app(onnx_file):
    return create_app(ServeConfig(models=[onnx_file], threads=1, max_body_bytes=4096, timeout_ms=5000))


def test_a_declared_length_over_the_limit_is_refused_unread_and_the_connection_closed(app, make_wire):
    wire = make_wire([b"x" * 5000], headers=[(b"content-length", b"999999999999")])
    seen_at_answer = []
    send = wire.send

    async def watch(message):
        seen_at_answer.append(wire.reads)
        await send(message)

    wire.send = watch
    ask(app, wire)
    assert (wire.status, wire.json["code"]) == (413, "too_large")
    assert seen_at_answer[0] == 0
    assert wire.headers[b"connection"] == b"close"


def test_a_streamed_body_is_refused_at_the_chunk_that_passes_the_limit(app, make_wire):
    wire = make_wire([b"x" * 1500] * 50)
    reads = []
    send = wire.send

    async def watch(message):
        reads.append(wire.reads)
        await send(message)

    wire.send = watch
    ask(app, wire)
    assert wire.status == 413
    assert reads[0] == 3, "4500 bytes are more than 4096"


def test_a_full_house_is_told_before_its_body_is_read(app, onnx_file, make_wire):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, max_queue=0, timeout_ms=5000))

    async def scenario():
        slow, second = make_wire([b"\xff\xd8\xff"], ends=False), make_wire([b"x"])
        async with app.app.router.lifespan_context(app.app):
            first = asyncio.create_task(app(slow.scope, slow.receive, slow.send))
            while not slow.reads:
                await asyncio.sleep(0)
            await app(second.scope, second.receive, second.send)
            slow.messages.append({"type": "http.disconnect"})
            first.cancel()
        return second

    second = asyncio.run(scenario())
    assert (second.status, second.json["code"], second.reads) == (503, "overloaded", 0)
    assert int(second.headers[b"retry-after"]) >= 1


def test_a_body_that_never_ends_is_told_504_and_gives_its_place_back(onnx_file, monkeypatch, make_wire):
    monkeypatch.setattr("compress.serve.http.gateway._LINGER_S", 0.05)
    app = create_app(ServeConfig(models=[onnx_file], threads=1, max_queue=0, timeout_ms=60_000))
    loris = make_wire([b"\xff\xd8\xff"], headers=[(b"x-timeout-ms", b"50")], ends=False)
    after = make_wire([b"not an image"])
    ask(app, loris, after)
    assert (loris.status, loris.json["code"]) == (504, "deadline")
    assert after.status == 415, "not 503: the place is free again"


def test_a_client_that_hangs_up_takes_no_place_and_raises_nothing(onnx_file, make_wire):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, max_queue=0))
    wires = [make_wire([b"\xff\xd8\xff"], ends=False, hangs_up=True) for _ in range(3)]
    ask(app, *wires)
    assert Counter((wire.status, wire.json["code"]) for wire in wires) == {(400, "incomplete_body"): 3}


@pytest.mark.parametrize("given", [b"a b", b"x" * 65, b"\xff", b"<script>", b""])
def test_an_unsafe_request_id_is_replaced(app, given, make_wire):
    wire = make_wire([b"x"], headers=[(b"x-request-id", given)])
    ask(app, wire)
    own = wire.headers[b"x-request-id"]
    assert own != given
    assert len(own) == 16
    assert wire.json["request_id"] == own.decode()


def test_a_safe_request_id_is_echoed(app, make_wire):
    wire = make_wire([b"x"], headers=[(b"x-request-id", b"a.B-1:2_3")])
    ask(app, wire)
    assert wire.headers[b"x-request-id"] == b"a.B-1:2_3"
    assert wire.json["request_id"] == "a.B-1:2_3"
