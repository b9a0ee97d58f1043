"""`Deadline`: how long one request still has."""

from __future__ import annotations

from time import monotonic

from compress.serve.errors import deadline_passed


class Deadline:
    """A point in time, `timeout_ms` after it was made. A thread cannot be stopped, so work asks before each step."""

    __slots__ = ("end_s", "timeout_ms")

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self.end_s = monotonic() + timeout_ms / 1000

    def remaining_s(self) -> float:
        """Return the seconds left, 0 when none are."""
        return max(0.0, self.end_s - monotonic())

    def check(self, before: str) -> None:
        """Do nothing while time is left.

        Raises:
            RequestError: 504, naming the step that was not begun.
        """
        if monotonic() >= self.end_s:
            raise deadline_passed(self.timeout_ms, before)
