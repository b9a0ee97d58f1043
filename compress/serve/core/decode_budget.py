"""`DecodeBudget`: the memory that images may take while they are decoded, shared by the worker threads.

A file of 2 kilobytes may declare 60 million pixels. What it takes is told from its header, and held before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition

from compress.data.decode import MAX_PIXELS
from compress.serve.core.deadline import Deadline
from compress.serve.errors import image_too_costly, overloaded


@dataclass(eq=False)
class DecodeBudget:
    """Bounds of the images that are decoded.

    Attributes:
        max_pixels: most that a file may declare.
        capacity_bytes: most that all images together take while they are decoded; None: any.
        held_bytes: what they hold now.
        freed_bytes: what they have given back; set to 0 by who returns it to the system.
    """

    max_pixels: int = MAX_PIXELS
    capacity_bytes: int | None = None
    held_bytes: int = 0
    freed_bytes: int = 0
    _changed: Condition = field(default_factory=Condition)

    @contextmanager
    def share(self, deadline: Deadline) -> Iterator[Callable[[int], None]]:
        """Yield what takes a number of bytes from the budget, in a thread; they are given back at the end.

        It waits while others hold too much, for at most the request's time.

        Raises:
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
        with self._changed:
            if capacity is not None:
                if cost_bytes > capacity:
                    raise image_too_costly(cost_bytes, capacity)
                fits = self._changed.wait_for(lambda: self.held_bytes + cost_bytes <= capacity, deadline.remaining_s())
                if not fits:
                    raise overloaded("memory")
            self.held_bytes += cost_bytes
