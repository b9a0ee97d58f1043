"""`Crew`: the server processes of one port tell each other their metrics, so that any of them can say the whole.

Each listens on a Unix socket in a folder that their parent made (readable by this user alone) and writes its counts to
whoever connects. A process that ends leaves its counts in a file, so that no counter falls when a worker is restarted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ANSWER_S = 0.5
_MAX_BYTES = 1 << 20
_LEFT_NAME = "left-{pid}.json"


class Crew:
    """One process's seat among its siblings.

    Attributes:
        folder: where the sockets are; None: this process is alone.
        snapshot: returns this process's counts.
    """

    def __init__(self, folder: Path | None, snapshot: Callable[[], dict[str, Any]]) -> None:
        self.folder = folder
        self.snapshot = snapshot
        self._server: asyncio.AbstractServer | None = None

    async def join(self) -> None:
        """Begin to answer siblings."""
        if self.folder is not None:
            self._server = await asyncio.start_unix_server(self._answer, self._socket())

    async def leave(self) -> None:
        """Stop answering, and leave the counts for those who stay; gauges end with the process."""
        if self.folder is None or self._server is None:
            return
        left = self.folder / _LEFT_NAME.format(pid=os.getpid())
        part = left.with_suffix(".part")
        part.write_text(json.dumps({**self.snapshot(), "gauges": {}}))
        part.replace(left)
        self._socket().unlink(missing_ok=True)
        self._server.close()

    async def snapshots(self) -> list[dict[str, Any]]:
        """Return the counts of all: this process, the siblings that answer in time, those that have ended."""
        if self.folder is None:
            return [self.snapshot()]
        sockets = [path for path in sorted(self.folder.glob("*.sock")) if path != self._socket()]
        answers = await asyncio.gather(*(_ask(path) for path in sockets))
        ended = [json.loads(path.read_text()) for path in sorted(self.folder.glob("left-*.json"))]
        return [self.snapshot(), *(answer for answer in answers if answer is not None), *ended]

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self.snapshot()).encode())
        writer.close()

    def _socket(self) -> Path:
        assert self.folder is not None, "asked only with a folder"
        return self.folder / f"{os.getpid()}.sock"


async def _ask(path: Path) -> dict[str, Any] | None:
    """Return a sibling's counts; None when it has gone or does not answer."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                answer: dict[str, Any] = json.loads(await reader.read(_MAX_BYTES))
            finally:
                writer.close()
            return answer
    except (OSError, TimeoutError, ValueError):
        return None
