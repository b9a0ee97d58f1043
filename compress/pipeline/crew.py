"""Several processes, one run: process 0 carries it out and writes it, the others help in every fit (see `orders`).

Alone, everything here does nothing, and no backend is imported. Several machines must see the run folder and the
images under the same paths.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from compress.core.artifact import Artifact
from compress.core.dataset import DataConfig
from compress.core.place import place
from compress.core.stage import RunContext, StageConfig
from compress.errors import StageError
from compress.pipeline.call import call_stage
from compress.recipe.schema import AnyStage

if TYPE_CHECKING:
    from types import FrameType

_QUIET = "TORCH_CPP_LOG_LEVEL"  # a lost process is told in our words, not in a C++ stack trace; read when torch loads
_TOLD_WITHIN_S = 3.0  # how long the others wait for process 0 to tell of a failure


class Work(BaseModel):
    """A stage as process 0 describes it to the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
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
    if place().world_size == 1:
        yield
        return
    os.environ.setdefault(_QUIET, "ERROR")
    from compress.engine import distributed, orders

    with _ended_by_torchrun():
        try:
            distributed.join(place())
            yield
            orders.send(orders.Order.END)
        except BaseException:
            distributed.first_to_tell()
            raise
        finally:
            distributed.leave()


@contextmanager
def shared(config: StageConfig, inputs: Mapping[str, Artifact], context: RunContext) -> Iterator[RunContext]:
    """Have the other processes help in the fits of a stage; yield the context with this process's own device."""
    if place().world_size == 1:
        yield context
        return
    from compress.engine import distributed, orders

    work = Work(
        config=config.model_dump(mode="json", by_alias=True),
        inputs=dict(inputs),
        seed=context.seed,
        data=context.data,
        device=context.device,
        deterministic=context.deterministic,
    )
    orders.send(orders.Order.STAGE, work.model_dump(mode="json"))
    yield replace(context, device=distributed.own_device(context.device, place()))
    orders.send(orders.Order.OVER)


def follow() -> bool:
    """Help process 0 until the run is done; return whether it was.

    False stands for a failure of which another process has told.

    Raises:
        ImgcError: a failure of which nobody else has told.
    """
    os.environ.setdefault(_QUIET, "ERROR")
    from compress.engine import distributed

    with _ended_by_torchrun():
        try:
            distributed.join(place())
            _help()
        except Exception:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(_TOLD_WITHIN_S)
            if distributed.first_to_tell():
                raise
            return False
        finally:
            distributed.leave()
    return True


def _help() -> None:
    """Do what process 0 orders, until the end."""
    from compress.engine.orders import Order, receive

    work: Work | None = None
    while True:
        order, details = receive()
        if order is Order.END:
            return
        if order is Order.STAGE:
            work = Work.model_validate(details)
        elif order is Order.FIT and work is not None:
            _take_part(work)
            work = None


def _take_part(work: Work) -> None:
    """Run a stage up to the end of its last fit, in a folder that nobody will look at."""
    from compress.engine.distributed import own_device
    from compress.engine.orders import StageOver

    config: StageConfig = TypeAdapter[StageConfig](AnyStage).validate_python(work.config)
    device = own_device(work.device, place())
    with tempfile.TemporaryDirectory(prefix="imgc-") as folder:
        context = RunContext(Path(folder), work.seed, work.data, device, deterministic=work.deterministic)
        try:
            call_stage(config, work.inputs, context)
        except StageOver:
            return
    raise StageError(f"the processes of this run disagree: stage '{config.id}' trains in some of them only")


@contextmanager
def _ended_by_torchrun() -> Iterator[None]:
    """Turn SIGTERM, which torchrun sends when another process has died or it is to stop, into a failure."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        from compress.engine.distributed import lost_peer

        raise lost_peer()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
