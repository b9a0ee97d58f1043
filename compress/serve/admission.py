"""`Admission`: how many requests are inside at once. Decided from the headers alone, before a body is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from compress.serve.errors import overloaded


@dataclass
class Slot:
    """One admitted request; `work` is what a thread does for it, once handed over."""

    work: asyncio.Future[Any] | None = None


class Admission:
    """Counts requests from their headers until their work has left its thread, even when nobody waits for it any more.

    So a pool full of abandoned work still counts as full. Used from the event loop alone: needs no lock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.inside = 0

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """Hold one place.

        Raises:
            RequestError: 503 when all places are taken.
        """
        if self.inside >= self.limit:
            raise overloaded()
        self.inside += 1
        slot = Slot()
        try:
            yield slot
        finally:
            if slot.work is None:
                self.inside -= 1
            else:
                slot.work.add_done_callback(self._leave)

    def _leave(self, work: asyncio.Future[Any]) -> None:
        self.inside -= 1
        if not work.cancelled():
            work.exception()  # fetched, so that abandoned work does not end as a log line about a lost exception
