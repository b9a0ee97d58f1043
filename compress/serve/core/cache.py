"""`AnswerCache`: answers to images seen before, bounded by bytes, the longest unused given up first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Key = tuple[str, bytes]  # which model (its SHA-256, and so its preprocessing), which image (the bytes' hash)
_ENTRY_BYTES = 400  # what key, array header and dictionary slot take beside the numbers


@dataclass
class AnswerCache:
    """A true LRU of arrays (logits_K, or boxes [B, 6]), with one computation for equal images asked for at one time.

    Used from the event loop alone: needs no lock. Errors are never kept.

    Attributes:
        limit_bytes: room for answers; 0 keeps none and joins none.
        used_bytes: room taken.
        pending: images being computed, so that an equal one waits for the same answer.
    """

    limit_bytes: int
    used_bytes: int = 0
    pending: dict[Key, asyncio.Future[object]] = field(default_factory=dict)
    _answers: OrderedDict[Key, NDArray[np.float32]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        """Return the number of answers kept."""
        return len(self._answers)

    def get(self, key: Key) -> NDArray[np.float32] | None:
        """Return the numbers kept for this key, and make it the last to go."""
        numbers = self._answers.get(key)
        if numbers is not None:
            self._answers.move_to_end(key)
        return numbers

    def put(self, key: Key, numbers: NDArray[np.float32]) -> None:
        """Keep an answer; one larger than the whole room is not kept."""
        size = numbers.nbytes + _ENTRY_BYTES
        if size > self.limit_bytes or key in self._answers:
            return
        self._answers[key] = numbers
        self.used_bytes += size
        self.shrink(self.limit_bytes)

    def shrink(self, to_bytes: int) -> None:
        """Give up the longest unused answers until at most `to_bytes` are taken."""
        while self.used_bytes > to_bytes:
            _, numbers = self._answers.popitem(last=False)
            self.used_bytes -= numbers.nbytes + _ENTRY_BYTES
