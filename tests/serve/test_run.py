"""The server as a process: real sockets, real signals."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from compress.errors import UsageError
from compress.serve import run
from compress.serve.config import ServeConfig
from compress.serve.run import serve
from tests.waiting import until

CODE = """
import sys
from pathlib import Path
from compress.core.stage import SilentReporter
from compress.serve.config import ServeConfig
from compress.serve.run import serve
class Say(SilentReporter):
    def info(self, text):
        print(text, flush=True)
if __name__ == "__main__":
    serve(ServeConfig(models=[Path(sys.argv[1])], port=0, workers=int(sys.argv[2])), reporter=Say())
    print("ended", flush=True)
"""


@contextmanager
def running(model: Path, workers: int = 1):
    """Yield a server process and its address."""
    command = [sys.executable, "-c", CODE, str(model), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert "http://" in line, process.communicate(timeout=30)[1]
            url = "http://" + line.rsplit("http://", 1)[1].strip()
            yield process, url
        finally:
            if process.poll() is None:
                process.kill()


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def half_sent(url: str, body: bytes) -> socket.socket:
    """Send the headers and half of the body; return when the server has them, known by its 100 Continue."""
    wire = connect(url)
    head = (
        f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    wire.sendall(head.encode())
    assert wire.recv(4096).startswith(b"HTTP/1.1 100")
    wire.sendall(body[: len(body) // 2])
    return wire


def read_all(wire: socket.socket) -> bytes:
    with wire:
        return b"".join(iter(lambda: wire.recv(65_536), b""))


def wait_until_refused(url: str) -> None:
    def refused() -> bool:
        try:
            connect(url).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused)


@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_request_still_answers_it(onnx_file, image):
    body = image(size=(600, 400))
    with running(onnx_file) as (process, url):
        assert httpx2.post(f"{url}/v1/classify", content=body, timeout=60).json()["predictions"][0]["label"] == "red"
        wire = half_sent(url, body)
        process.send_signal(signal.SIGTERM)
        wait_until_refused(url)
        wire.sendall(body[len(body) // 2 :])
        reply = read_all(wire)
        assert reply.startswith(b"HTTP/1.1 200")
        assert b'"label":"red"' in reply
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip(), err) == (0, "ended", "")


@pytest.mark.slow
def test_a_client_that_sends_too_much_still_hears_why(onnx_file):
    with running(onnx_file) as (process, url):
        wire = connect(url)
        size = 64 << 20
        wire.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(40):  # what a client that does not listen while it sends has sent before it looks
            wire.sendall(bytes(1 << 20))
        assert read_all(wire).startswith(b"HTTP/1.1 413")
        connect(url).close()  # a client that says nothing
        assert httpx2.get(f"{url}/healthz", timeout=60).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0


@pytest.mark.slow
def test_two_processes_share_the_port_and_end_together(onnx_file, image):
    body = image()
    with running(onnx_file, workers=2) as (process, url):
        replies = [httpx2.post(f"{url}/v1/classify", content=body, timeout=60) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200] * 4
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip(), err) == (0, "ended", "")


def test_an_address_in_use_is_a_users_mistake(onnx_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            serve(ServeConfig(models=[onnx_file], port=port))
    assert f"--port {port + 1}" in caught.value.hint


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised"),
    [
        (5000, 5000, 2048, None),
        (256, 4096, 2048, 2112),
        (256, -1, 2048, 2112),
        (256, 1000, 936, 1000),
        (256, 256, 192, None),
        (-1, -1, 2048, None),
        (32, 32, 1, None),
    ],
)
def test_there_are_no_more_connections_than_files_may_be_open(monkeypatch, caplog, soft, hard, connections, raised):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert run._with_files_enough(ServeConfig()).max_connections == connections
    assert limits == ([] if raised is None else [(raised, hard)])
    assert ("ulimit -n" in caplog.text) == (connections < 2048)
