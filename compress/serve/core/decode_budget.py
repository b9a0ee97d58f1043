"""`DecodeBudget`: the memory that images may take while they are decoded, shared by the worker threads.

A file of 2 kilobytes may declare 60 million pixels. What it takes is told from its header, and held before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Lock

from compress.data.decode import MAX_PIXELS
from compress.serve.core.deadline import Deadline
from compress.serve.errors import image_too_costly, overloaded


class LargeImage(Exception):  # noqa: N818 - no error: it is decoded elsewhere
    """An image that takes more memory than this budget is for."""


@dataclass(eq=False)
class DecodeBudget:
    """Bounds of the images that are decoded.

    Attributes:
        max_pixels: most that a file may declare.
        capacity_bytes: most that all images together take while they are decoded; None: any.
        largest_bytes: most that one image takes here; None: any.
        held_bytes: what they hold now.
        freed_bytes: what they have given back; set to 0 by who returns it to the system.
    """

    max_pixels: int = MAX_PIXELS
    capacity_bytes: int | None = None
    largest_bytes: int | None = None
    held_bytes: int = 0
    freed_bytes: int = 0
    _changed: Condition = field(default_factory=Condition)
    _turn: Lock = field(default_factory=Lock)  # of who waits for room

    @contextmanager
    def share(self, deadline: Deadline) -> Iterator[Callable[[int], None]]:
        """Yield what takes a number of bytes from the budget, in a thread; they are given back at the end.

        It waits while others hold too much, for at most the request's time. Who waits is first: what needs less could
        otherwise pass it for ever.

        Raises:
            LargeImage: more than `largest_bytes`.
            RequestError: 413 more than there will ever be, 503 others hold it until the request's time is over.
        """
        mine = 0

        def afford(cost_bytes: int) -> None:
            nonlocal mine
            self._take(cost_bytes, deadline)
            mine += cost_bytes

        try:
            yield afford
        finally:
            with self._changed:
                self.held_bytes -= mine
                self.freed_bytes += mine
                self._changed.notify_all()

    def _take(self, cost_bytes: int, deadline: Deadline) -> None:
        capacity = self.capacity_bytes
        if self.largest_bytes is not None and cost_bytes > self.largest_bytes:
            raise LargeImage
        if capacity is not None and cost_bytes > capacity:
            raise image_too_costly(cost_bytes, capacity)
        if not self._turn.acquire(timeout=deadline.remaining_s()):
            raise overloaded("memory")
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._fits(cost_bytes), deadline.remaining_s()):
                    raise overloaded("memory")
                self.held_bytes += cost_bytes
        finally:
            self._turn.release()

    def _fits(self, cost_bytes: int) -> bool:
        return self.capacity_bytes is None or self.held_bytes + cost_bytes <= self.capacity_bytes
