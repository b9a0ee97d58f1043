"""Memory: small files that become large images, and clients that ask faster than they can be answered."""

from __future__ import annotations

import io
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from tests.serve.abuse.real_server import Server, Wire, request, running
from tests.waiting import until

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

LIMIT_MIB = 320
SIDE = 2500  # of the bombs: one WebP of it takes 100 MiB, and six at once would take 600


@pytest.fixture(scope="module")
def small(onnx_file, tmp_path_factory):
    """Return a server with little memory; it keeps no answers, so that every bomb is decoded."""
    limit = ("--memory-limit-mib", str(LIMIT_MIB))
    with running(onnx_file, tmp_path_factory.mktemp("small"), *limit, "--cache-mib", "0") as server:
        yield server
        assert server.stop() == 0


def bomb(kind: str, side: int = SIDE, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (side, side), "#c02010").save(file, kind, **options)
    return file.getvalue()


def test_bombs_at_once_stay_within_the_limit_and_service_goes_on(small: Server, image):
    kinds = [("WEBP", "RGB"), ("WEBP", "RGBA"), ("PNG", "RGBA"), ("PNG", "LA"), ("JPEG", "RGB")]
    bombs = [bomb(kind, mode=mode, **({"progressive": True} if kind == "JPEG" else {})) for kind, mode in kinds]
    with ThreadPoolExecutor(10) as crowd:
        statuses = [reply.status for reply in crowd.map(small.post, [data for data in bombs for _ in range(3)])]
    assert statuses == [200] * len(statuses), "they wait for each other"
    assert small.peak_mib() <= 1.1 * LIMIT_MIB
    until(lambda: small.post(image()).status == 200)
    until(lambda: small.rss_mib() < 0.8 * LIMIT_MIB)


def test_an_image_that_would_need_more_than_there_is_is_told_so(small: Server):
    data = bomb("WEBP", side=5000)
    assert len(data) < 50_000
    reply = small.post(data)
    assert (reply.status, reply.code) == (413, "image_too_costly")
    assert "decoding this image would take 406 MiB" in reply.json["error"]
    assert small.peak_mib() <= 1.1 * LIMIT_MIB


@pytest.mark.parametrize("path", ["/livez", "/", "/v2/health/ready", "/openapi.json", "/nowhere"])
@pytest.mark.parametrize("reads", [True, False])
def test_requests_sent_ahead_without_end_fill_no_memory(small: Server, path: str, reads: bool):
    before = small.rss_mib()
    ask = request(path=path, method="GET") * 4000
    for _ in range(4):
        with small.connect() as wire:
            _pour(wire, ask * 8, reads)
    assert small.get("/livez").status == 200
    assert small.rss_mib() - before < 25


def _pour(wire: Wire, data: bytes, reads: bool) -> None:
    """Send until the server has had enough."""
    wire.socket.settimeout(0.2)
    sent = 0
    while sent < len(data):
        try:
            sent += wire.socket.send(data[sent : sent + 65_536])
            if reads:
                wire.socket.recv(1 << 20)
        except TimeoutError:  # it reads no more
            return
        except OSError:
            return


def test_many_fields_from_many_connections_fill_no_memory(small: Server):
    before = small.rss_mib()
    wires = [small.connect() for _ in range(200)]
    for wire in wires:
        wire.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"a:b\r\n" * 120)
    assert small.get("/livez").status == 200
    assert small.rss_mib() - before < 15
    for wire in wires:
        wire.socket.shutdown(socket.SHUT_WR)
        wire.close()
