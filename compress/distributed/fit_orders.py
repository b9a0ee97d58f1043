"""How process 0, which carries out a run, has the other processes take part in its fits.

The others cannot be handed a model and a loss: they run the same stage on the same sealed inputs, in a scratch folder,
up to and with its fit. Process 0 says what comes:

    stage   this stage begins (its options and inputs); wait
    fit     process 0 stands before a fit: run the stage up to there; after a fit: another one of this stage follows
    over    the stage is done: whatever you are at after the fit is of no use
    end     the run is done

So a stage without a fit costs the others nothing, nothing disturbs what process 0 measures, and pixels that process 0
has decoded are in the cache before any other process looks for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from compress.distributed import collectives


class Order(StrEnum):
    """What process 0 says."""

    STAGE = "stage"
    FIT = "fit"
    OVER = "over"
    END = "end"


class StageOver(BaseException):
    """Ends a stage in a process that only helps, once its fits are done."""


def send(order: Order, details: Mapping[str, Any] | None = None) -> None:
    """Tell all other processes what comes next (process 0 only)."""
    collectives.from_first(json.dumps({"order": order, **(details or {})}).encode())


def receive() -> tuple[Order, dict[str, Any]]:
    """Wait for what process 0 says next; return it with its details."""
    details: dict[str, Any] = json.loads(collectives.from_first(b""))
    return Order(details.pop("order")), details


@contextmanager
def taking_part() -> Iterator[None]:
    """Bring all processes into the fit inside the block.

    Raises:
        StageOver: in a helping process, where no other fit of the stage follows.
    """
    if collectives.world_size() == 1:
        yield
        return
    if collectives.rank() == 0:
        send(Order.FIT)
        yield
        return
    yield
    if receive()[0] is not Order.FIT:
        raise StageOver
