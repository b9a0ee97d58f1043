"""What a client sends, byte by byte: requests of every route, and a server that is sent them."""

from __future__ import annotations

import json
import random
import re
import socket
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.fuzz.images import images
from tests.fuzz.parsed import change_json

_END = b"\r\n\r\n"
_PATIENCE_S = 20.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def requests() -> list[bytes]:
    """Return an image alone, two in a form, tensors as JSON and as bytes, and questions without a body."""
    image, other = images()[0], images()[3]
    form = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="%d.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n%s\r\n" % (at, one)
        for at, one in enumerate((image, other))
    )
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 16, 16]}
    floats = np.zeros(3 * 16 * 16, np.float32)
    described = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": floats.nbytes}}], "outputs": [{"name": "logits"}]}
    ).encode()
    infer = "/v2/models/tiny/infer"
    return [
        _request("POST", "/v1/classify?top_k=2", image, "Content-Type: image/jpeg"),
        _request("POST", "/v1/classify", form + b"--edge--\r\n", "Content-Type: multipart/form-data; boundary=edge"),
        _request("POST", infer, json.dumps({"id": "1", "inputs": [{**tensor, "data": floats.tolist()}]}).encode()),
        _request("POST", infer, described + floats.tobytes(), f"Inference-Header-Content-Length: {len(described)}"),
        _request("GET", "/v2", b"", "Accept: */*") + _request("GET", "/metrics", b""),
        b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(image), image),
    ]


def _request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *([f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join(lines).encode() + _END + body


def lying_request(whole: bytes, rng: random.Random) -> bytes:
    """Return the request with its JSON or its head changed, and lengths that are true of the body."""
    head, body = whole.split(_END, 1)
    lines = head.split(b"\r\n")
    if body.startswith(b"{") and rng.random() < 0.7:
        text, tail = _json_and_rest(body)
        value = json.loads(text)
        change_json(value, rng)
        text = json.dumps(value).encode()
        lines, body = _with_length(lines, b"Inference-Header-Content-Length", len(text)), text + tail
    else:
        _change_lines(lines, rng)
    return b"\r\n".join(_with_length(lines, b"Content-Length", len(body))) + _END + body


def _change_lines(lines: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    what = rng.choice(("leave out", "twice", "long", "other"))
    if what == "leave out" and len(lines) > 1:
        del lines[at]
    elif what == "twice":
        lines.insert(at, lines[at])
    elif what == "long":
        lines[at] += b"x" * rng.choice((10, 1000, 40_000))
    else:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)] + bytes([rng.randrange(256)])


def _with_length(lines: list[bytes], name: bytes, length: int) -> list[bytes]:
    return [b"%s: %d" % (name, length) if line.startswith(name) else line for line in lines]


def _json_and_rest(body: bytes) -> tuple[bytes, bytes]:
    _, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    return body[:end], body[end:]


@cache
def _model() -> Path:
    from tests.tiny_files import Tiny

    tiny = Tiny(Path(tempfile.mkdtemp(prefix="imgc-fuzz-")))
    return tiny.onnx(spec=tiny.spec())


def send(path: Path) -> None:
    """Send the bytes to a server; it must answer, or end the connection, and go on.

    Raises:
        UsageError: the server refused what was sent, which it may.
    """
    from compress.errors import UsageError
    from tests.serve.http.test_protocol import Server

    with Server(_model(), timeout_ms=400, header_timeout_ms=200) as server:
        said = _said(server.listener.getsockname(), path.read_bytes() + _LAST)
        after = _said(server.listener.getsockname(), _LAST)
    statuses = [int(one) for one in _STATUS.findall(said)]
    assert _STATUS.findall(after) == [b"200"], f"the server does not go on: {after[:200]!r}"
    assert not {500, 502} & set(statuses), f"the server failed: {said[:500]!r}"
    if statuses[:-1] != [200] * (len(statuses) - 1) or not statuses or statuses[-1] != 200:
        raise UsageError(f"refused: {statuses}")


def _said(address: tuple[str, int], data: bytes) -> bytes:
    """Return all that comes until the server ends the connection."""
    said = bytearray()
    with socket.create_connection(address, timeout=_PATIENCE_S) as wire:
        try:
            wire.sendall(data)
            while more := wire.recv(1 << 16):
                said += more
        except ConnectionError:  # ended while there was more to send
            pass
    return bytes(said)
