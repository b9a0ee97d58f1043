"""`MemoryWatch`: what is given up while memory is short, and when only a restart helps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from compress.serve.config import MIB, ServeConfig
from compress.serve.core.admission import Admission
from compress.serve.core.cache import AnswerCache
from compress.serve.core.decode_budget import DecodeBudget
from compress.serve.core.degrade import Degrader
from compress.serve.core.memory import HARD, MemoryAlarm, Pressure, cgroup_limit_bytes, give_back, resident_bytes

log = logging.getLogger("imgc.serve")
_LEAST_FOR_IMAGES = 32 * MIB  # an image of 4 megapixels in most formats
_MUCH_FREED = 64 * MIB  # by images that were decoded; glibc would keep it
_HOPELESS_S = 30


@dataclass(eq=False)
class MemoryWatch:
    """Looks at the memory of this process, again and again.

    Attributes:
        alarm: the limit and how near it is.
        cache, admission, degrader: of the service.
        decoding: the memory of large images.
        on_hard_pressure: called while memory is very short, to give up what others hold.
        on_hopeless: called once when memory stays very short whatever is given up.
        hopeless: whether it is so, so that only a restart helps.
    """

    alarm: MemoryAlarm
    cache: AnswerCache
    decoding: DecodeBudget
    admission: Admission
    degrader: Degrader
    on_hard_pressure: Callable[[], object] = lambda: None
    on_hopeless: Callable[[], object] = lambda: None
    hopeless: bool = False
    _hard_since_s: float | None = None

    async def see(self) -> None:
        """Look once, and act on it."""
        before = self.alarm.pressure
        pressure = self.alarm.see(resident_bytes())
        if pressure >= Pressure.SOFT or (self.decoding.freed_bytes > _MUCH_FREED and not self.decoding.held_bytes):
            self.decoding.freed_bytes = 0
            await asyncio.to_thread(give_back)
            pressure = self.alarm.see(resident_bytes())
        # large images may take up to the hard mark for a moment: a stranger's must not bring a smaller model about
        short = pressure is Pressure.HARD or (pressure is Pressure.SOFT and not self.decoding.held_bytes)
        if short:
            self.cache.shrink(self.cache.limit_bytes // 4 if pressure is Pressure.SOFT else 0)
        if pressure is Pressure.HARD:
            self.on_hard_pressure()
        self.admission.refusing = pressure is Pressure.HARD
        self.degrader.forced = short
        if pressure is not before:
            log.warning("memory: %s", pressure.name.lower())
        self._see_how_long(pressure)

    def _see_how_long(self, pressure: Pressure) -> None:
        now_s = monotonic()
        if pressure is not Pressure.HARD:
            self._hard_since_s = None
        elif self._hard_since_s is None:
            self._hard_since_s = now_s
        hopeless = self._hard_since_s is not None and now_s - self._hard_since_s > _HOPELESS_S
        if hopeless and not self.hopeless:
            log.error("memory is short for %d s and nothing is left to give up: this process has to end", _HOPELESS_S)
            self.on_hopeless()
        self.hopeless = hopeless


def memory_limit_bytes(config: ServeConfig) -> int | None:
    """Return what one process may take: the setting, else its part of the container's limit; None: no limit."""
    if config.memory_limit_mib is not None:
        return config.memory_limit_mib * MIB
    limit = cgroup_limit_bytes()
    return None if limit is None else limit // config.workers


def left_for_images(limit_bytes: int | None, config: ServeConfig) -> int | None:
    """Return the bytes that decoding may take: what the limit leaves beside models, bodies and cache; None: any.

    Called when the models are open and warm.
    """
    if limit_bytes is None:
        return None
    left = int(limit_bytes * HARD) - resident_bytes() - config.max_queue_bytes - config.cache_mib * MIB
    if left < _LEAST_FOR_IMAGES:
        log.warning(
            "the memory limit of %d MiB leaves too little to decode images in; %d MiB are used all the same",
            *(limit_bytes // MIB, _LEAST_FOR_IMAGES // MIB),
        )
    return max(left, _LEAST_FOR_IMAGES)
