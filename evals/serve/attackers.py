"""Clients that mean harm, on threads of a process of their own: `python -m evals.serve.attackers PORT SECONDS`.

Some send bombs (small files that become large images), some pipeline without end, some drip a head byte by byte, some
ask and never read. What they sent is printed as JSON at the end.
"""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from PIL import Image

_HOST = "127.0.0.1"
_HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PATIENCE_S = 5.0


def bombs() -> list[bytes]:
    """Return small files of large images: beyond the pixels that a server takes, and just within."""
    made = []
    for kind, size in (("WEBP", (16_383, 3_900)), ("PNG", (8_000, 4_000)), ("JPEG", (6_000, 5_000))):
        stream = io.BytesIO()
        options = {"lossless": True} if kind == "WEBP" else {"progressive": True} if kind == "JPEG" else {}
        Image.new("RGB", size, (90, 20, 160)).save(stream, kind, **options)
        made.append(stream.getvalue())
    return made


class Attack:
    """All of them at once, for a time."""

    def __init__(self, port: int, seconds: float) -> None:
        """Prepare; `run` starts."""
        self.port, self.seconds, self.end_s = port, seconds, 0.0
        self.counts: Counter[str] = Counter()
        self.bombs = bombs()

    def run(self) -> dict[str, int]:
        """Return what was sent, by kind, and the statuses that bombs got."""
        self.end_s = time.monotonic() + self.seconds
        kinds: list[Callable[[], None]] = [self.bomb, self.bomb, self.pipeline, self.pipeline, self.drip, self.deaf]
        threads = [threading.Thread(target=self._again, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return dict(sorted(self.counts.items()))

    def _again(self, kind: Callable[[], None]) -> None:
        while time.monotonic() < self.end_s:
            with suppress(OSError):  # the server ends such connections: that is what it is for
                kind()
            time.sleep(0.02)

    def _connect(self) -> socket.socket:
        return socket.create_connection((_HOST, self.port), timeout=_PATIENCE_S)

    def bomb(self) -> None:
        """Send one image, made another file by a few bytes behind its end, so that no cache helps."""
        number = self.counts["bombs"]
        self.counts["bombs"] += 1
        body = self.bombs[number % len(self.bombs)] + number.to_bytes(4, "big")
        head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with self._connect() as wire:
            wire.sendall(head + body)
            self.counts[f"bomb {wire.recv(64)[9:12].decode(errors='replace')}"] += 1

    def pipeline(self) -> None:
        """Send requests without waiting for a reply, and read some of the replies."""
        with self._connect() as wire:
            wire.settimeout(0.2)
            while time.monotonic() < self.end_s:
                wire.sendall(_HEAD * 200)
                self.counts["pipelined"] += 200
                with suppress(TimeoutError):
                    if not wire.recv(1 << 16):
                        return

    def drip(self) -> None:
        """Send a head one byte at a time."""
        with self._connect() as wire:
            for at in range(len(_HEAD) - 2):
                wire.sendall(_HEAD[at : at + 1])
                self.counts["dripped bytes"] += 1
                time.sleep(0.5)
                if time.monotonic() > self.end_s:
                    return

    def deaf(self) -> None:
        """Ask for the page and never read it."""
        with self._connect() as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            for _ in range(20):
                wire.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.counts["unread pages"] += 1
            time.sleep(_PATIENCE_S)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Attack(int(sys.argv[1]), float(sys.argv[2])).run()) + "\n")
