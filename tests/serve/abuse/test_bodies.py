"""Bodies that are not what they say."""

from __future__ import annotations

import threading

import pytest

from tests.serve.abuse.real_server import form, request
from tests.waiting import until

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

LIMIT = 10 << 20
HUNDRED_MIB = 100 << 20
BLOCK = bytes(1 << 20)


def send_all_of_it(wire, blocks) -> None:
    """Send until the server has closed; a client that reads only after it has written."""
    try:
        for block in blocks:
            wire.send(block)
    except OSError:
        return


def test_an_empty_body(server):
    for data in (
        request(b""),
        b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        reply = server.ask(data)
        assert (reply.status, reply.code) == (400, "empty_body")


@pytest.mark.parametrize("kept", [4, 100, 0.5, 0.99])
def test_a_truncated_jpeg(server, image, kept):
    body = image(size=(400, 300))
    reply = server.post(body[: kept if isinstance(kept, int) else int(len(body) * kept)])
    assert (reply.status, reply.code) == (422, "bad_image")


def test_a_declared_hundred_mib_is_refused_before_it_comes(server):
    with server.connect() as wire:
        wire.send(request(b"", length=HUNDRED_MIB))
        reply = wire.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        assert wire.ended()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_hundred_mib_that_come_anyway_are_not_kept(server, chunked):
    before = server.peak_mib()
    with server.connect() as wire:
        if chunked:
            wire.send(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            blocks = [f"{len(BLOCK):x}\r\n".encode() + BLOCK + b"\r\n"] * 100
        else:
            wire.send(request(b"", length=HUNDRED_MIB))
            blocks = [BLOCK] * 100
        sender = threading.Thread(target=send_all_of_it, args=(wire, blocks), daemon=True)
        sender.start()
        reply = wire.reply()
        assert (reply.status, reply.code) == (413, "too_large")
        sender.join(30)
        assert not sender.is_alive()
    assert server.peak_mib() - before < 2.5 * LIMIT / 2**20


def test_a_hundred_mib_to_a_path_that_takes_none(server):
    before = server.peak_mib()
    for path, status in (("/nothing", 404), ("/healthz", 405)):
        with server.connect() as wire:
            wire.send(request(b"", path=path, length=HUNDRED_MIB))
            sender = threading.Thread(target=send_all_of_it, args=(wire, [BLOCK] * 100), daemon=True)
            sender.start()
            assert wire.reply().status == status
            sender.join(30)
            assert not sender.is_alive()
    assert server.peak_mib() - before < 20


def test_a_length_that_is_too_short_cuts_the_image_and_the_rest_is_no_request(server, image):
    body = image(size=(400, 300))
    with server.connect() as wire:
        wire.send(request(body, length=len(body) // 2))
        assert wire.reply().status == 422, "the reply to the request comes, whatever follows it"
        assert wire.ended()


def test_a_length_that_is_too_long_and_a_client_that_leaves(server, image):
    body = image()
    wire = server.connect()
    wire.send(request(body, length=len(body) + 1))
    until(lambda: server.health()["in_flight"] == 1)
    wire.close()
    until(server.is_idle)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 900"),
        ("Content-Length: -5",),
        ("Content-Length: 0x10",),
        ("Content-Length: 99999999999999999999999999",),
        ("Content-Length: 5, 5",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
    ],
)
def test_lengths_that_lie_or_quarrel_end_the_connection(server, lines):
    """Two readings of one length are how a request is smuggled past a proxy: none may be guessed at."""
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with server.connect() as wire:
        head = "\r\n".join(["POST /v1/classify HTTP/1.1", "Host: localhost", *lines])
        wire.send(head.encode() + b"\r\n\r\n" + b"0\r\n\r\n" + smuggled)
        reply = wire.reply()
        assert reply.status in (400, 413)
        assert wire.ended(), "the second request was answered"


@pytest.mark.parametrize(
    "chunk",
    [b"zz\r\nabc\r\n", b"-1\r\nabc\r\n", b"ffffffffffffffffff\r\nabc\r\n", b"3\r\nabcdef\r\n", b"3;" + b"x" * 200_000],
)
def test_broken_chunks(server, chunk):
    with server.connect() as wire:
        wire.send(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        if chunk.startswith(b"3;"):
            wire.send(b"\r\n")
            wire.close()
            return
        assert wire.reply().status == 400
        assert wire.ended()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--edge",
        b"--edge--\r\n",
        b"no edge at all",
        b"--edge\r\n\r\nno header\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nno end",
        b'--edge\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--edge--\r\n',
        b"--edge\r\n" + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\nContent-Disposition: form-data; name=file; filename*=utf-16''%ff\r\n\r\nx\r\n--edge--\r\n",
    ],
)
def test_broken_forms(server, body):
    reply = server.post(body, "Content-Type: multipart/form-data; boundary=edge")
    assert reply.status in (400, 415, 422)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xe9"]
)
def test_forms_without_a_usable_edge(server, image, kind):
    assert server.post(form([image()])[1], f"Content-Type: {kind}").status == 400


def test_a_form_of_too_many_images_and_one_of_bad_and_good_ones(server, image):
    line, body = form([b"x"] * 5000)
    assert server.post(body, line).status == 400
    line, body = form([image(), b"", b"rubbish", image()[:200], image((10, 20, 230))])
    reply = server.post(body, line)
    assert reply.status == 200
    results = reply.json["results"]
    assert ["predictions" in one for one in results] == [True, False, False, False, True]
    assert [one["predictions"][0]["label"] for one in (results[0], results[4])] == ["red", "blue"]
