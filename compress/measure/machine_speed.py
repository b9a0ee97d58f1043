"""How fast this machine is at the moment: a fixed computation, timed beside what is measured.

Others that share a physical core, or a lower clock, make every program slower for seconds or minutes, and no counter of
a virtual machine tells. On a 2-core guest the same int8 network took 1.10 to 1.70 ms within four minutes, and this
computation 0.15 to 0.31 ms.
"""

from __future__ import annotations

import json
import platform
from bisect import insort
from collections.abc import Callable
from math import inf
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from compress.core.cache import cache_dir
from compress.core.storage import write_json
from compress.runtime.host import cpu_model

FULL_RATIO = 1.10  # a reading of at most so many times the best one is full speed
_VALUES = np.ones(4096, np.float32)  # 16 KiB: in the first-level cache, and it stays ones
_PASSES = 100
_TRIES = 3
_BEST_OF = 10  # the best of one measurement is what one reading in ten is below: a single one may be luck
_LEAST_READINGS = 20  # before a measurement tells what this machine can
_NS_PER_MS = 1e6


def reading_ms() -> float:
    """Return the milliseconds of the fixed computation now, the least of three; about half a millisecond in all."""
    took_ns = []
    for _ in range(_TRIES):
        began = perf_counter_ns()
        for _ in range(_PASSES):
            np.multiply(_VALUES, _VALUES, out=_VALUES)
        took_ns.append(perf_counter_ns() - began)
    return min(took_ns) / _NS_PER_MS


class MachineSpeed:
    """The readings of one measurement, beside the best that this machine has shown.

    Attributes:
        known_ms: best of earlier measurements, infinity without any.
    """

    def __init__(self, read: Callable[[], float] = reading_ms, known_ms: float = inf) -> None:
        """Start without readings; tests bring their own `read`."""
        self.known_ms = known_ms
        self._read = read
        self._sorted_ms: list[float] = []

    def read(self) -> float:
        """Take a reading and return it."""
        found = self._read()
        insort(self._sorted_ms, found)
        return found

    @property
    def best_ms(self) -> float:
        """Return what the computation takes at full speed, as far as is known by now."""
        own = self._sorted_ms[len(self._sorted_ms) // _BEST_OF : len(self._sorted_ms) // _BEST_OF + 1]
        return min(self.known_ms, *own) if own else self.known_ms

    @property
    def limit_ms(self) -> float:
        """Return what the computation takes at most at full speed, as far as is known by now."""
        return FULL_RATIO * self.best_ms

    def remember(self) -> None:
        """Keep the best for later measurements on this machine; a cache that cannot be written is no error."""
        if len(self._sorted_ms) < _LEAST_READINGS or self.best_ms >= self.known_ms:
            return
        try:
            write_json(_path(), _kept() | {_machine(): self.best_ms})
        except OSError:
            return


def speed_of_this_machine() -> MachineSpeed:
    """Return a speed that knows the best of earlier measurements here."""
    known = _kept().get(_machine(), inf)
    return MachineSpeed(known_ms=known if isinstance(known, float) and known > 0 else inf)


def _kept() -> dict[str, object]:
    try:
        found = json.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path() -> Path:
    return cache_dir() / "speed.json"


def _machine() -> str:
    return f"{platform.node()} {cpu_model()} Python {platform.python_version()} NumPy {np.__version__}"
