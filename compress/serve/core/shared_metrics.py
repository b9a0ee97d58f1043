"""`SharedMetrics`: the server processes of one port tell each other their metrics: any of them can say the whole.

Each listens on a Unix socket in a folder that their parent made (readable by this user alone) and writes its counts to
whoever connects. A process that ends leaves its counts in a file, so that no counter falls when a worker is restarted.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from compress.serve.core.metrics import Snapshot

_ANSWER_S = 0.5
_LIVE, _LEFT = ".sock", ".json"


class SharedMetrics:
    """One process's seat among its siblings.

    Attributes:
        folder: where the sockets are; None: this process is alone.
        snapshot: returns this process's counts.
    """

    def __init__(self, folder: Path | None, snapshot: Callable[[], Snapshot]) -> None:
        self.folder = folder
        self.snapshot = snapshot
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"  # a process id alone may come again
        self._server: asyncio.AbstractServer | None = None

    async def join(self) -> None:
        """Begin to answer siblings."""
        if self.folder is not None:
            self._server = await asyncio.start_unix_server(self._answer, self._path(_LIVE))

    async def leave(self) -> None:
        """Stop answering, and leave the counts for those who stay; gauges end with the process."""
        if self.folder is None or self._server is None:
            return
        left = self._path(_LEFT)
        part = left.with_suffix(".part")
        part.write_text(json.dumps({**self.snapshot(), "gauges": {}}))
        part.replace(left)
        self._path(_LIVE).unlink(missing_ok=True)
        self._server.close()

    async def snapshots(self) -> list[Snapshot]:
        """Return the counts of all: this process, the siblings that answer in time, those that have ended."""
        if self.folder is None:
            return [self.snapshot()]
        sockets = sorted(path for path in self.folder.glob(f"*{_LIVE}") if path.stem != self._name)
        answers = await asyncio.gather(*(_ask(path) for path in sockets))
        found = {path.stem: answer for path, answer in zip(sockets, answers, strict=True) if answer is not None}
        for path in sorted(self.folder.glob(f"*{_LEFT}")):
            if path.stem not in found:  # else it answered and then left: counted once
                found[path.stem] = json.loads(path.read_text())
        return [self.snapshot(), *found.values()]

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self.snapshot()).encode())
        writer.close()

    def _path(self, suffix: str) -> Path:
        assert self.folder is not None, "asked only with a folder"
        return self.folder / f"{self._name}{suffix}"


async def _ask(path: Path) -> Snapshot | None:
    """Return a sibling's counts; None when it has gone or does not answer."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                answer: Snapshot = json.loads(await reader.read())
            finally:
                writer.close()
            return answer
    except (OSError, TimeoutError, ValueError):
        return None
