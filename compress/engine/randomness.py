"""The engine's one door for randomness: every draw is a function of (seed, epoch, batch), never of what ran before.

So a run that is killed and resumed draws what the uninterrupted run drew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream of draws is for; streams of different purposes are independent."""

    ORDER = 1  # the epoch's permutation
    AUGMENT = 2  # a batch's crops, colours and mixing
    TORCH = 3  # torch's own generators: dropout
    HEAD = 4  # fresh weights


def generator(seed: int, purpose: Purpose, *keys: int) -> np.random.Generator:
    """Return a NumPy generator that depends on `seed`, `purpose` and `keys` (non-negative) alone."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *keys]))


@contextmanager
def seeded_torch(seed: int, purpose: Purpose, *keys: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators inside the block (dropout, fresh heads) and restore them after it."""
    device = torch.device(device)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(int(generator(seed, purpose, *keys).integers(1 << 63)))
        yield
