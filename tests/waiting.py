"""Waiting for what another thread or process does: the one place where a test sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
LONG_S = 60.0  # never waited for unless something is broken


def until(holds: Callable[[], Value], *, within_s: float = LONG_S) -> Value:
    """Return what `holds` returns as soon as it is true."""
    end_s = time.monotonic() + within_s
    while not (value := holds()):
        assert time.monotonic() < end_s, f"not so after {within_s} s"
        time.sleep(0.01)
    return value
