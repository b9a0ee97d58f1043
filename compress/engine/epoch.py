"""One epoch of a fit: a step a batch, then the validation. Alone, or together with other processes."""

from __future__ import annotations

import math
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from compress.core.stage import Advance
from compress.distributed.collectives import add_gradients, world_size
from compress.distributed.sync_batch_norm import WholeBatch
from compress.engine.batches import batch_images, steps_per_epoch
from compress.engine.ema import Ema
from compress.engine.losses import Loss
from compress.engine.optim import set_learning_rate
from compress.engine.prefetch import ahead
from compress.engine.randomness import Purpose, seeded_torch
from compress.engine.schedule import learning_rate
from compress.engine.setup import Learned, Setup
from compress.engine.state import EpochRow, Parts, val_key
from compress.errors import StageError


@dataclass
class Loop:
    """The moving parts of one fit."""

    model: nn.Module
    setup: Setup
    loss: Loss
    device: torch.device
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    amp: bool

    @property
    def steps(self) -> int:
        """Return the optimizer steps of an epoch."""
        return steps_per_epoch(self.setup.n_train, self.setup.options.batch_size)

    @property
    def judged(self) -> nn.Module:
        """Return the model whose weights are validated and kept: the average where there is one."""
        return self.ema.model if self.ema else self.model

    @property
    def parts(self) -> Parts:
        """Return what a checkpoint holds."""
        return Parts(self.model, self.optimizer, self.ema.model if self.ema else None)


def run_epoch(run: Loop, epoch: int, advance: Advance) -> EpochRow:
    """Train one epoch and return its row; randomness inside the model is seeded by the epoch.

    Raises:
        StageError: a loss or a validation output is not finite.
    """
    setup, options = run.setup, run.setup.options
    started, seen, total = time.perf_counter(), 0, 0.0
    lr = 0.0
    batches = setup.batches(epoch, run.device)
    prepared = ahead(batches) if run.device.type == "cuda" else batches
    with seeded_torch(setup.seed, Purpose.TORCH, epoch, device=run.device), closing(prepared):
        for step, batch in enumerate(prepared):
            n = batch_images(setup.n_train, options.batch_size, step)
            lr = learning_rate(epoch * run.steps + step, run.steps, options)
            value = _step(run, batch, lr, n)
            if not math.isfinite(value):
                raise _diverged(f"the loss is {value}", epoch, step, lr, run)
            if run.ema:
                run.ema.update(run.model, epoch * run.steps + step)
            seen += n
            total += value * n
            speed = seen / (time.perf_counter() - started)
            advance(1, f"epoch {epoch + 1}/{options.epochs} loss {total / seen:.3f} {speed:.0f} img/s")
    speed = seen / (time.perf_counter() - started)
    judged_pct = setup.judged_pct(run.judged)
    if judged_pct is None:
        raise _diverged("the validation logits are not finite", epoch, run.steps - 1, lr, run)
    return {
        "epoch": epoch + 1,
        "train_loss": total / seen,
        val_key(setup.metric): judged_pct,
        "lr": lr,
        "images_per_s": speed,
    }


def _step(run: Loop, batch: Learned, lr: float, n: int) -> float:
    """Do one optimizer step on a batch of `n` images, of which `batch` is this process's share; return its loss.

    A loss that is not finite leaves the weights alone.
    """
    set_learning_rate(run.optimizer, lr)
    run.optimizer.zero_grad(set_to_none=True)
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=run.amp and run.device.type == "cuda")
    with WholeBatch(n) if world_size() > 1 else nullcontext(), autocast:
        loss = run.loss(run.model(batch.images_NCHW), batch) * (len(batch.index_N) / n)
    loss.backward()  # type: ignore[no-untyped-call]
    value = add_gradients(run.model, float(loss.detach()), run.device)
    if math.isfinite(value):
        if run.setup.options.clip_norm:
            nn.utils.clip_grad_norm_(run.model.parameters(), run.setup.options.clip_norm)
        run.optimizer.step()
    return value


def _diverged(what: str, epoch: int, step: int, lr: float, run: Loop) -> StageError:
    options = run.setup.options
    return StageError(
        f"training diverged: {what} in epoch {epoch + 1} of {options.epochs}, batch {step + 1} of {run.steps}, "
        f"lr {lr:.3g}",
        hint=f"lower fit.lr (now {options.lr:g}), lengthen fit.warmup_epochs, or set fit.clip_norm to 1.0",
    )
