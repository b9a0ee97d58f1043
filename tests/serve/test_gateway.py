"""The gateway against raw ASGI messages, where the order of reading and refusing can be seen."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from compress.serve.deadline import Deadline
from compress.serve.errors import RequestError
from compress.serve.gateway import check_headers, read_body


class Wire:
    """One request as ASGI messages: chunks to receive (then silence or a hang-up), what was sent, reads counted."""

    def __init__(self, chunks=(), *, ends=True, hangs_up=False, headers=()):
        self.messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if self.messages and ends:
            self.messages[-1]["more_body"] = False
        if hangs_up:
            self.messages.append({"type": "http.disconnect"})
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/classify",
            "raw_path": b"/v1/classify",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"image/jpeg"), *headers],
            "client": None,
            "server": ("test", 80),
        }
        self.reads = 0
        self.sent = []

    async def receive(self):
        self.reads += 1
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def json(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))


def ask(app, *wires):
    """Send the requests one after the other, each until it is answered."""

    async def scenario():
        async with app.router.lifespan_context(app):
            for wire in wires:
                await asyncio.wait_for(app(wire.scope, wire.receive, wire.send), 20)

    asyncio.run(scenario())


@pytest.fixture
def app(onnx_file):
    return create_app(ServeConfig(artifact=onnx_file, threads=1, max_body_bytes=4096, timeout_ms=5000))


def test_a_declared_length_over_the_limit_is_refused_unread_and_the_connection_closed(app):
    wire = Wire([b"x" * 5000], headers=[(b"content-length", b"999999999999")])
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


def test_a_streamed_body_is_refused_at_the_chunk_that_passes_the_limit(app):
    wire = Wire([b"x" * 1500] * 50)
    reads = []
    send = wire.send

    async def watch(message):
        reads.append(wire.reads)
        await send(message)

    wire.send = watch
    ask(app, wire)
    assert wire.status == 413
    assert reads[0] == 3, "4500 bytes are more than 4096"


def test_a_full_house_is_told_before_its_body_is_read(app, onnx_file):
    app = create_app(ServeConfig(artifact=onnx_file, threads=1, max_queue=0, timeout_ms=5000))

    async def scenario():
        slow, second = Wire([b"\xff\xd8\xff"], ends=False), Wire([b"x"])
        async with app.router.lifespan_context(app):
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


def test_a_body_that_never_ends_is_told_504_and_gives_its_place_back(onnx_file, monkeypatch):
    monkeypatch.setattr("compress.serve.gateway._LINGER_S", 0.05)
    app = create_app(ServeConfig(artifact=onnx_file, threads=1, max_queue=0, timeout_ms=50))
    loris, after = Wire([b"\xff\xd8\xff"], ends=False), Wire([b"not an image"])
    ask(app, loris, after)
    assert (loris.status, loris.json["code"]) == (504, "deadline")
    assert after.status == 415, "not 503: the place is free again"


def test_a_client_that_hangs_up_takes_no_place_and_raises_nothing(onnx_file):
    app = create_app(ServeConfig(artifact=onnx_file, threads=1, max_queue=0))
    wires = [Wire([b"\xff\xd8\xff"], ends=False, hangs_up=True) for _ in range(3)]
    ask(app, *wires)
    assert Counter((wire.status, wire.json["code"]) for wire in wires) == {(400, "incomplete_body"): 3}


@pytest.mark.parametrize("given", [b"a b", b"x" * 65, b"\xff", b"<script>", b""])
def test_an_unsafe_request_id_is_replaced(app, given):
    wire = Wire([b"x"], headers=[(b"x-request-id", given)])
    ask(app, wire)
    own = wire.headers[b"x-request-id"]
    assert own != given
    assert len(own) == 16
    assert wire.json["request_id"] == own.decode()


def test_a_safe_request_id_is_echoed(app):
    wire = Wire([b"x"], headers=[(b"x-request-id", b"a.B-1:2_3")])
    ask(app, wire)
    assert wire.headers[b"x-request-id"] == b"a.B-1:2_3"
    assert wire.json["request_id"] == "a.B-1:2_3"


@pytest.mark.parametrize(
    "kind", ["", "image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_raw_bodies_by_their_type(kind):
    check_headers({"content-type": kind, "content-length": "10"}, 10)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/json"}, 415),
        ({"content-length": "11"}, 413),
        ({"content-length": "-1"}, 400),
        ({"content-length": "٣"}, 400),
        ({"content-length": "9" * 5000}, 400),
    ],
)
def test_headers_that_do_not_pass(headers, status):
    with pytest.raises(RequestError) as caught:
        check_headers(headers, 10)
    assert caught.value.status == status


def test_a_body_comes_back_whole():
    wire = Wire([b"ab", b"", b"cd"])
    assert asyncio.run(read_body(wire.receive, 4, Deadline(5000))) == b"abcd"
