"""Several processes, one run: process 0 carries it out and writes it, the others help in every fit (see `fit_orders`).

Alone, everything here does nothing, and no backend is imported. Several machines must see the run folder and the
images under the same paths.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from compress.core.artifact import Artifact
from compress.core.dataset import DataConfig
from compress.core.stage import RunContext, StageConfig
from compress.distributed.process_rank import process_rank
from compress.errors import StageError

if TYPE_CHECKING:
    from types import FrameType

_QUIET = "TORCH_CPP_LOG_LEVEL"  # a lost process is told in our words, not in a C++ stack trace; read when torch loads
_TOLD_WITHIN_S = 3.0  # how long the others wait for process 0 to tell of a failure


class StageOrder(BaseModel):
    """A stage as process 0 describes it to the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, object]
    inputs: dict[str, Artifact]
    seed: int
    data: DataConfig | None
    device: str
    deterministic: bool


@contextmanager
def leading() -> Iterator[None]:
    """Be process 0 of all those that torchrun started.

    Raises:
        StageError: another process is gone.
    """
    if process_rank().world_size == 1:
        yield
        return
    os.environ.setdefault(_QUIET, "ERROR")
    from compress.distributed import collectives, fit_orders

    with _ended_by_torchrun():
        try:
            collectives.join(process_rank())
            yield
            fit_orders.send(fit_orders.Order.END)
        except BaseException:
            collectives.first_to_tell()
            raise
        finally:
            collectives.leave()


@contextmanager
def shared(config: StageConfig, inputs: Mapping[str, Artifact], context: RunContext) -> Iterator[RunContext]:
    """Have the other processes help in the fits of a stage; yield the context with this process's own device."""
    if process_rank().world_size == 1:
        yield context
        return
    from compress.distributed import collectives, fit_orders

    order = StageOrder(
        config=config.model_dump(mode="json", by_alias=True),
        inputs=dict(inputs),
        seed=context.seed,
        data=context.data,
        device=context.device,
        deterministic=context.deterministic,
    )
    fit_orders.send(fit_orders.Order.STAGE, order.model_dump(mode="json"))
    yield replace(context, device=collectives.own_device(context.device, process_rank()))
    fit_orders.send(fit_orders.Order.OVER)


def follow(run_stage: Callable[[StageOrder, RunContext], None]) -> bool:
    """Help process 0 until the run is done; return whether it was.

    False stands for a failure of which another process has told.

    Args:
        run_stage: runs a stage as process 0 describes it.

    Raises:
        ImgcError: a failure of which nobody else has told.
    """
    os.environ.setdefault(_QUIET, "ERROR")
    from compress.distributed import collectives

    with _ended_by_torchrun():
        try:
            collectives.join(process_rank())
            _help(run_stage)
        except Exception:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(_TOLD_WITHIN_S)
            if collectives.first_to_tell():
                raise
            return False
        finally:
            collectives.leave()
    return True


def _help(run_stage: Callable[[StageOrder, RunContext], None]) -> None:
    """Do what process 0 orders, until the end."""
    from compress.distributed.fit_orders import Order, receive

    stage: StageOrder | None = None
    while True:
        order, details = receive()
        if order is Order.END:
            return
        if order is Order.STAGE:
            stage = StageOrder.model_validate(details)
        elif order is Order.FIT and stage is not None:
            _take_part(stage, run_stage)
            stage = None


def _take_part(stage: StageOrder, run_stage: Callable[[StageOrder, RunContext], None]) -> None:
    """Run a stage up to the end of its last fit, in a folder that nobody will look at."""
    from compress.distributed.collectives import own_device
    from compress.distributed.fit_orders import StageOver

    device = own_device(stage.device, process_rank())
    with tempfile.TemporaryDirectory(prefix="imgc-") as folder:
        context = RunContext(Path(folder), stage.seed, stage.data, device, deterministic=stage.deterministic)
        try:
            run_stage(stage, context)
        except StageOver:
            return
    raise StageError(
        f"the processes of this run disagree: stage '{stage.config.get('id')}' trains in some of them only"
    )


@contextmanager
def _ended_by_torchrun() -> Iterator[None]:
    """Turn SIGTERM, which torchrun sends when another process has died or it is to stop, into a failure."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        from compress.distributed.collectives import lost_peer

        raise lost_peer()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
