"""Where this process stands among those of one run, as torchrun says in the environment. Light: imports no backend."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessRank:
    """One process of a run.

    Attributes:
        rank: its number from 0; the process 0 writes the run, the others help it to train.
        world_size: how many processes there are.
        local_rank: its number on this machine.
        local_world_size: how many there are on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1


def process_rank() -> ProcessRank:
    """Return this process's place; without torchrun it is the only one."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ProcessRank()
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    return ProcessRank(rank, world_size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", world_size)))
