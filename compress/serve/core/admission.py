"""`Admission`: how many requests are inside at once. Decided from the headers alone, before a body is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from compress.serve.core.deadline import Deadline
from compress.serve.core.pool import QueuedJob
from compress.serve.errors import overloaded


@dataclass(slots=True)
class Slot:
    """One admitted request; `jobs` are what threads do for it, once handed over."""

    jobs: list[QueuedJob] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a request that was let in has: its time, and its place."""

    deadline: Deadline
    slot: Slot


class Admission:
    """Counts requests from their headers until their work has left its threads, even when nobody waits any more.

    So a pool full of abandoned work still counts as full. Used from the event loop alone: needs no lock.

    Attributes:
        inside: requests admitted and not gone.
        inside_bytes: bytes of bodies that they declared.
        refusing: whether nobody is let in, because memory is short.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.inside = 0
        self.inside_bytes = 0
        self.refusing = False

    @contextmanager
    def slot(self, declared_bytes: int, wait_s: float, remaining_s: float) -> Iterator[Slot]:
        """Hold one place.

        Args:
            declared_bytes: of the body; 0 when the client did not say.
            wait_s: predicted wait before a thread is free.
            remaining_s: what the request has left.

        Raises:
            RequestError: 503 when all places are taken, or the answer would come too late.
        """
        self._check(declared_bytes, wait_s, remaining_s)
        self.inside += 1
        self.inside_bytes += declared_bytes
        slot = Slot()
        try:
            yield slot
        finally:
            running = [job.done for job in slot.jobs if not job.done.done()]
            if not running:
                self._leave(declared_bytes)
            else:  # only a request that gave up waiting leaves work behind
                left = set(running)

                def on_done(done: object) -> None:
                    left.discard(done)
                    if not left:
                        self._leave(declared_bytes)

                for done in running:
                    done.add_done_callback(on_done)

    def _check(self, declared_bytes: int, wait_s: float, remaining_s: float) -> None:
        if self.refusing:
            raise overloaded("memory")
        if self.inside >= self.limit:
            raise overloaded("count")
        if self.inside and self.inside_bytes + declared_bytes > self.limit_bytes:
            raise overloaded("bytes")
        if wait_s >= remaining_s:
            raise overloaded("wait")

    def _leave(self, declared_bytes: int) -> None:
        self.inside -= 1
        self.inside_bytes -= declared_bytes
