"""`MemoryAlarm`: how much memory this process takes of what it may take, and what that means."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOFT = 0.80  # of the limit: give up cached answers, degrade
HARD = 0.92  # of the limit: let nothing more in
_BACK = 0.05  # how far below a mark the alarm ends
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_M_MMAP_THRESHOLD = -3
_NO_LIMIT = 1 << 60  # cgroup v1 says "none" by a number beyond any machine


class Pressure(IntEnum):
    """How short memory is."""

    NONE = 0
    SOFT = 1
    HARD = 2


@dataclass
class MemoryAlarm:
    """Compares the resident set with a limit.

    Attributes:
        limit_bytes: None: no limit is known, and there is never an alarm.
        pressure: as of the last `see`.
    """

    limit_bytes: int | None
    pressure: Pressure = Pressure.NONE

    def see(self, used_bytes: int) -> Pressure:
        """Return the pressure at this use; it falls only once the use is clearly below the mark that it passed."""
        if self.limit_bytes is None:
            return Pressure.NONE
        share = used_bytes / self.limit_bytes
        self.pressure = max(_level(share), min(self.pressure, _level(share + _BACK)))
        return self.pressure


def _level(share: float) -> Pressure:
    return Pressure.HARD if share >= HARD else Pressure.SOFT if share >= SOFT else Pressure.NONE


def resident_bytes() -> int:
    """Return the resident set of this process in bytes; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def give_back() -> bool:
    """Give memory that was freed back to the system, which glibc keeps for later; return whether there was any."""
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps less
    return trim is not None and trim(0) == 1


def keep_no_large_blocks(from_bytes: int) -> bool:
    """Have blocks of this size given back when they are freed, not kept by the thread that used them; return whether.

    glibc raises the size from which it does so with every such block, to 32 MiB. Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, from_bytes) == 1


def cgroup_limit_bytes() -> int | None:
    """Return the container's memory limit in bytes (cgroup v2, then v1); None when there is none."""
    for name in _CGROUP_FILES:
        try:
            limit = int(Path(name).read_text())
        except (OSError, ValueError):  # "max" is no number
            continue
        return limit if limit < _NO_LIMIT else None
    return None
