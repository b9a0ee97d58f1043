"""`fit`: the one training loop, for fine-tuning, recovery after pruning, distillation and quantization-aware training.

Exactly resumable: weights, BatchNorm statistics, average, optimizer and best weights are one checkpoint file an epoch,
the learning rate is a function of the step, and every draw is a function of (seed, epoch, batch). A run that is killed
and started again with the same arguments ends with the same bits, on the same host and number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.core.digest import sha256_bytes, sha256_json
from compress.core.preprocess import Preprocess
from compress.core.stage import Advance, Reporter, SilentReporter
from compress.engine.allocator import keep_freed_memory
from compress.engine.batches import Batch, TrainSet, ValSet, steps_per_epoch, train_batches
from compress.engine.ema import Ema
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.freeze import freeze_all_but, trainable_names, unfreeze
from compress.engine.optim import build_optimizer, set_learning_rate
from compress.engine.options import FitOptions
from compress.engine.randomness import Purpose, seeded_torch
from compress.engine.scalars import append_scalars, start_scalars
from compress.engine.schedule import learning_rate
from compress.engine.state import EpochRow, FitState, Parts, resume, save
from compress.errors import StageError

Loss = Callable[[Any, Batch], torch.Tensor]
EpochHook = Callable[[int, nn.Module], None]


@dataclass(frozen=True)
class FitResult:
    """What a fit did.

    Attributes:
        history: one row an epoch: epoch (from 1), train_loss, val_top1_pct, lr (of the last step), images_per_s.
        best_epoch: the epoch whose weights were kept, from 1; 0 when no epoch was asked for.
        best_val_top1_pct: validation accuracy of the kept weights, 0..100.
    """

    history: tuple[EpochRow, ...]
    best_epoch: int
    best_val_top1_pct: float


@dataclass
class _Fit:
    """The moving parts of one fit."""

    model: nn.Module
    train: TrainSet
    val: ValSet
    num_classes: int
    preprocess: Preprocess
    options: FitOptions
    loss: Loss
    seed: int
    device: torch.device
    optimizer: torch.optim.Optimizer
    ema: Ema | None

    @property
    def steps(self) -> int:
        """Return the optimizer steps of an epoch."""
        return steps_per_epoch(len(self.train.labels_N), self.options.batch_size)

    @property
    def judged(self) -> nn.Module:
        """Return the model whose weights are validated and kept: the average where there is one."""
        return self.ema.model if self.ema else self.model


def fit(
    model: nn.Module,
    *,
    train: TrainSet,
    val: ValSet,
    num_classes: int,
    preprocess: Preprocess,
    options: FitOptions,
    loss: Loss,
    work_dir: Path,
    seed: int,
    device: str = "cpu",
    reporter: Reporter | None = None,
    head: Sequence[str] = (),
    on_epoch: EpochHook | None = None,
) -> FitResult:
    """Train the model in place; it ends on the CPU, in eval mode, with the kept (averaged) weights.

    Args:
        model: images_NCHW -> logits_NK, or whatever `loss` takes; in eval mode it must give logits_NK.
        train: training pictures.
        val: validation pictures; they choose the epoch that is kept (`options.keep`) and the early stop.
        num_classes: K.
        preprocess: crop side, mean and standard deviation of this model.
        options: the recipe's `fit:` block.
        loss: (outputs of the model, batch) -> scalar.
        work_dir: checkpoint and `tensorboard/`; a checkpoint of the same fit found there is continued.
        seed: of all randomness.
        device: "cpu" or "cuda".
        reporter: hears a bar and one line an epoch.
        head: modules that learn during `options.freeze_epochs`.
        on_epoch: called as (epoch from 0, model) before each epoch, in training mode; it must depend on its arguments
            alone, since a resumed run does not call it for the epochs done before.

    Raises:
        StageError: too few pictures for one batch, or a loss or an output that is not finite.
    """
    said: Reporter = reporter or SilentReporter()
    keep_freed_memory()
    _check_sizes(train, val, options)
    start_id = _identity(model, train, val, options, seed)
    model.to(device).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, options)
    ema = Ema(model, options.ema_decay) if options.ema_decay else None
    run = _Fit(model, train, val, num_classes, preprocess, options, loss, seed, torch.device(device), optimizer, ema)
    parts = Parts(model, optimizer, ema.model if ema else None)
    state = resume(parts, work_dir, start_id, said)
    trainable = trainable_names(model)
    start_scalars(work_dir / "tensorboard", state.history)
    with said.progress("fit", options.epochs * run.steps) as advance:
        advance(len(state.history) * run.steps)
        for epoch in range(len(state.history), options.epochs):
            if state.out_of_patience(options.patience):
                said.info(f"stopped early: no better validation accuracy for {options.patience} epochs")
                break
            _set_mode(model, epoch, options, trainable, head)
            if on_epoch:
                on_epoch(epoch, model)
            row = _run_epoch(run, epoch, advance)
            state.judge(row, run.judged, always=options.keep == "last")
            save(parts, state, work_dir, start_id)
            append_scalars(work_dir / "tensorboard", row)
            said.info(_line(row, options.epochs))
    unfreeze(model, trainable)
    return _finish(run, state)


def _check_sizes(train: TrainSet, val: ValSet, options: FitOptions) -> None:
    if steps_per_epoch(len(train.labels_N), options.batch_size) == 0 or len(val.labels_N) == 0:
        raise StageError(
            f"training needs at least 2 training and 1 validation pictures, found {len(train.labels_N)} and "
            f"{len(val.labels_N)}",
            hint="add pictures, or raise data.split.val",
        )


def _identity(model: nn.Module, train: TrainSet, val: ValSet, options: FitOptions, seed: int) -> str:
    """Return a digest of what the fit starts from, so that a checkpoint of another fit is never continued."""
    weights = [
        (n, sha256_bytes(t.detach().cpu().contiguous().numpy().tobytes())) for n, t in model.state_dict().items()
    ]
    labels = [sha256_bytes(labels.tobytes()) for labels in (train.labels_N, val.labels_N)]
    shapes = [list(train.pixels_NSSC.shape), list(val.pixels_NHWC.shape)]
    return sha256_json([weights, labels, shapes, options.model_dump(mode="json"), seed])


def _set_mode(
    model: nn.Module, epoch: int, options: FitOptions, trainable: frozenset[str], head: Sequence[str]
) -> None:
    if epoch < options.freeze_epochs:
        freeze_all_but(model, head)
    else:
        unfreeze(model, trainable)


def _run_epoch(run: _Fit, epoch: int, advance: Advance) -> EpochRow:
    """Train one epoch and return its row; randomness inside the model is seeded by the epoch."""
    started, seen, total = time.perf_counter(), 0, 0.0
    lr = 0.0
    with seeded_torch(run.seed, Purpose.TORCH, epoch, device=run.device):
        batches = train_batches(
            run.train, run.num_classes, run.preprocess, run.options, seed=run.seed, epoch=epoch, device=run.device
        )
        for step, batch in enumerate(batches):
            lr = learning_rate(epoch * run.steps + step, run.steps, run.options)
            value = _step(run, batch, lr)
            if not math.isfinite(value):
                raise _diverged(f"the loss is {value}", epoch, step, lr, run)
            if run.ema:
                run.ema.update(run.model, epoch * run.steps + step)
            seen += len(batch.index_N)
            total += value * len(batch.index_N)
            speed = seen / (time.perf_counter() - started)
            advance(1, f"epoch {epoch + 1}/{run.options.epochs} loss {total / seen:.3f} {speed:.0f} img/s")
    speed = seen / (time.perf_counter() - started)
    logits_NK = torch_logits(run.judged, run.val.pixels_NHWC, run.preprocess)
    if not torch.from_numpy(logits_NK).isfinite().all():
        raise _diverged("the validation logits are not finite", epoch, run.steps - 1, lr, run)
    return {
        "epoch": epoch + 1,
        "train_loss": total / seen,
        "val_top1_pct": top1_pct(logits_NK, run.val.labels_N),
        "lr": lr,
        "images_per_s": speed,
    }


def _step(run: _Fit, batch: Batch, lr: float) -> float:
    """Do one optimizer step and return the loss; a loss that is not finite leaves the weights alone."""
    set_learning_rate(run.optimizer, lr)
    run.optimizer.zero_grad(set_to_none=True)
    loss = run.loss(run.model(batch.images_NCHW), batch)
    value = float(loss.detach())
    if math.isfinite(value):
        loss.backward()  # type: ignore[no-untyped-call]
        if run.options.clip_norm:
            nn.utils.clip_grad_norm_(run.model.parameters(), run.options.clip_norm)
        run.optimizer.step()
    return value


def _diverged(what: str, epoch: int, step: int, lr: float, run: _Fit) -> StageError:
    return StageError(
        f"training diverged: {what} in epoch {epoch + 1} of {run.options.epochs}, batch {step + 1} of {run.steps}, "
        f"lr {lr:.3g}",
        hint=f"lower fit.lr (now {run.options.lr:g}), lengthen fit.warmup_epochs, or set fit.clip_norm to 1.0",
    )


def _finish(run: _Fit, state: FitState) -> FitResult:
    if state.best:
        run.model.load_state_dict(state.best)
    else:
        logits_NK = torch_logits(run.model, run.val.pixels_NHWC, run.preprocess)
        state.best_val_top1_pct = top1_pct(logits_NK, run.val.labels_N)
    run.model.to("cpu").to(memory_format=torch.contiguous_format)
    run.model.eval()
    return FitResult(tuple(state.history), state.best_epoch, state.best_val_top1_pct)


def _line(row: EpochRow, epochs: int) -> str:
    return (
        f"epoch {int(row['epoch'])}/{epochs}: loss {row['train_loss']:.4f}, val top-1 {row['val_top1_pct']:.2f} %, "
        f"lr {row['lr']:.2e}, {row['images_per_s']:.0f} images/s"
    )
