"""A server process, what the system knows of it, and raw connections to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.waiting import until

CLASSIFY = "/v1/classify"
PATIENCE_S = 60


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        return self.json.get("code")

    @property
    def label(self) -> str:
        return self.json["predictions"][0]["label"]


class Wire:
    """One connection; sends any bytes, reads replies one by one."""

    def __init__(self, address: tuple[str, int]):
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Go away without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def reply(self) -> Reply:
        """Return the next reply; ConnectionError when the connection ends instead."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        status = int(head[0].split()[1])
        if status == 100:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, self._chunks())
        return Reply(status, headers, self._take(int(headers.get("content-length", "0"))))

    def ended(self) -> bool:
        """Return whether the server closes without another byte."""
        try:
            return not self.left and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n"), 16):
            parts.append(self._take(size))
            self._take(2)
        self._take(2)
        return b"".join(parts)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.left:
            self._more()
        found, self.left = self.left.split(mark, 1)
        return found

    def _take(self, size: int) -> bytes:
        while len(self.left) < size:
            self._more()
        found, self.left = self.left[:size], self.left[size:]
        return found

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionResetError(f"the connection ended; left: {self.left[:200]!r}")
        self.left += data


def request(body: bytes = b"", *lines: str, path: str = CLASSIFY, method: str = "POST", length: int | None = None):
    """Return a request's bytes; `length`: what is declared, where it is not the truth."""
    head = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *lines,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def form(parts: Sequence[bytes]) -> tuple[str, bytes]:
    """Return a multipart form's Content-Type line and its body."""
    line = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"".join(b"--edge\r\n" + line + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return "Content-Type: multipart/form-data; boundary=edge", body


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], address: tuple[str, int], errors: Path):
        self.process = process
        self.address = address
        self.errors = errors

    def connect(self) -> Wire:
        return Wire(self.address)

    def ask(self, data: bytes) -> Reply:
        """Return the reply to these bytes on a connection of their own."""
        with self.connect() as wire:
            wire.send(data)
            return wire.reply()

    def post(self, body: bytes, *lines: str, **more) -> Reply:
        return self.ask(request(body, *lines, **more))

    def get(self, path: str) -> Reply:
        return self.ask(request(b"", path=path, method="GET"))

    def health(self):
        return self.get("/healthz").json

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            return self.get("/readyz").status == 200
        except ConnectionError:
            return False

    def is_idle(self) -> bool:
        state = self.health()
        return state["in_flight"] == 0 and state["queue"] == 0

    def rss_mib(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024

    def peak_mib(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024

    def cpu_s(self) -> float:
        """Return the processor time it has used, which does not grow while others have the processor."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def said(self) -> str:
        """Return what the log has."""
        return self.errors.read_text()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def running(
    model: Path,
    folder: Path,
    *options: str,
    stderr: IO[bytes] | int | None = None,
    patient: bool = True,
    quiet: bool = False,
    **popen,
) -> Iterator[Server]:
    """Yield a server of this model, as the command line starts it; `patient`: its deadline suits a busy host."""
    waits = ("--timeout-ms", "20000") if patient else ()
    threads = () if "--threads" in options else ("--threads", "2")
    port = free_port()  # not 0: what it took would be said on standard error, which may be closed
    begin = [sys.executable, "-m", "compress", *(["--quiet"] if quiet else []), "serve", f"colours={model}"]
    command = [*begin, "--port", str(port), *waits, *threads, *options]
    errors = folder / f"errors-{time.monotonic_ns()}.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr or log, **popen)
    with process:
        try:
            server = Server(process, ("127.0.0.1", port), errors)
            until(server.is_ready)
            yield server
        finally:
            if process.poll() is None:
                process.kill()
