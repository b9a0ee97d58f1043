"""`fit`: the one training loop, for fine-tuning, recovery after pruning, distillation and quantization-aware training.

Exactly resumable: weights, BatchNorm statistics, average, optimizer and best weights are one checkpoint file an epoch,
the learning rate is a function of the step, and every draw is a function of (seed, epoch, batch). A run that is killed
and started again with the same arguments ends with the same bits, on the same host and number of threads.

Under torchrun all processes call `fit` with the same arguments and train one model (see `distributed`); the first one
writes the checkpoint and the scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from compress.core.digest import sha256_bytes, sha256_json
from compress.distributed.collectives import rank, require_equal, world_size
from compress.distributed.fit_orders import taking_part
from compress.engine.allocator import keep_freed_memory
from compress.engine.batches import steps_per_epoch
from compress.engine.ema import Ema
from compress.engine.epoch import Loop, run_epoch
from compress.engine.freeze import freeze_all_but, trainable_names, unfreeze
from compress.engine.losses import Loss
from compress.engine.optim import build_optimizer
from compress.engine.options import FitOptions
from compress.engine.scalars import append_scalars, start_scalars
from compress.engine.setup import Setup
from compress.engine.state import EpochRow, FitState, resume, save, val_key
from compress.errors import StageError

_METRICS = {"top1": "top-1", "map": "mAP"}  # as they are said

EpochHook = Callable[[int, nn.Module], None]


@dataclass(frozen=True)
class FitResult:
    """What a fit did.

    Attributes:
        history: one row an epoch: epoch (from 1), train_loss, val_top1_pct or val_map_pct, lr (of the last step),
            images_per_s.
        best_epoch: the epoch whose weights were kept, from 1; 0 when no epoch was asked for, or none was better than
            the start.
        best_val_pct: the validation metric of the kept weights, 0..100.
    """

    history: tuple[EpochRow, ...]
    best_epoch: int
    best_val_pct: float


def fit(
    model: nn.Module,
    setup: Setup,
    loss: Loss,
    *,
    head: Sequence[str] = (),
    on_epoch: EpochHook | None = None,
    amp: bool = True,
    judge_start: bool = False,
) -> FitResult:
    """Train the model in place; it ends on the CPU, in eval mode, with the kept (averaged) weights.

    Args:
        model: images_NCHW -> logits_NK, or whatever `loss` takes; in eval mode it must give logits_NK.
        setup: on what, how and where it is trained.
        loss: (outputs of the model, batch) -> scalar.
        head: modules that learn during `options.freeze_epochs`.
        on_epoch: called as (epoch from 0, model) before each epoch, in training mode; it must depend on its arguments
            alone, since a resumed run does not call it for the epochs done before.
        amp: whether a GPU computes in bfloat16 where that is safe (on the CPU it was slower); weights stay float32.
        judge_start: whether the model as it came in is a candidate too, as epoch 0: no epoch that is worse is kept.

    Raises:
        StageError: too few images for one batch, or a loss or an output that is not finite.
    """
    options = setup.options
    if options.epochs == 0:
        setup.reporter.warn("epochs is 0: nothing is trained, the network comes out as it went in")
    keep_freed_memory()
    _check_sizes(setup)
    start_id = _identity(model, setup)
    with taking_part():
        _require_same_fit(model, setup)
        model.to(setup.device).to(memory_format=torch.channels_last)
        optimizer = build_optimizer(model, options)
        ema = Ema(model, options.ema_decay) if options.ema_decay else None
        run = Loop(model, setup, loss, torch.device(setup.device), optimizer, ema, amp)
        state = resume(run.parts, setup.work_dir, start_id, setup.reporter, setup.metric)
        if judge_start and not state.history and options.keep == "best":
            _judge_start(run, state)
        _run_epochs(run, state, _Keeper(setup, start_id), head, on_epoch)
        return _finish(run, state)


@dataclass(frozen=True)
class _Keeper:
    """Who keeps what each epoch brought."""

    setup: Setup
    start_id: str

    def begin(self, state: FitState) -> None:
        """Write the scalars of the epochs done so far."""
        if rank() == 0:
            start_scalars(self.setup.work_dir / "tensorboard", state.history)

    def keep(self, run: Loop, state: FitState) -> None:
        """Write the checkpoint and the last epoch's scalars, and say how it went."""
        row = state.history[-1]
        if rank() == 0:
            save(run.parts, state, self.setup.work_dir, self.start_id)
            append_scalars(self.setup.work_dir / "tensorboard", row)
            self.setup.reporter.info(_line(row, self.setup))


def _run_epochs(run: Loop, state: FitState, keeper: _Keeper, head: Sequence[str], on_epoch: EpochHook | None) -> None:
    """Train the epochs that are left, until the last or until patience is out."""
    options, reporter = run.setup.options, run.setup.reporter
    trainable = trainable_names(run.model)
    keeper.begin(state)
    with reporter.progress("fit", options.epochs * run.steps) as advance:
        advance(len(state.history) * run.steps)
        for epoch in range(len(state.history), options.epochs):
            if state.out_of_patience(options.patience):
                reporter.info(f"stopped early: no better validation accuracy for {options.patience} epochs")
                break
            _set_mode(run.model, epoch, options, trainable, head)
            if on_epoch:
                on_epoch(epoch, run.model)
            row = run_epoch(run, epoch, advance)
            require_equal(_weights_digest(run.model), "their weights differ after an epoch")
            state.judge(row, run.judged, always=options.keep == "last")
            keeper.keep(run, state)
    unfreeze(run.model, trainable)


def _judge_start(run: Loop, state: FitState) -> None:
    pct = run.setup.judged_pct(run.model) or 0.0
    state.keep(0, pct, run.model)
    if rank() == 0:
        run.setup.reporter.info(f"before training: val {_METRICS[run.setup.metric]} {pct:.2f} %")


def _check_sizes(setup: Setup) -> None:
    options = setup.options
    if steps_per_epoch(setup.n_train, options.batch_size) == 0 or setup.n_val == 0:
        raise StageError(
            f"training needs at least 2 training and 1 validation images, found {setup.n_train} and {setup.n_val}",
            hint="add images, or raise data.split.val",
        )
    if options.batch_size < world_size():
        raise StageError(
            f"fit.batch_size {options.batch_size} is for all processes together, and there are {world_size()}",
            hint=f"raise it to {world_size()} or more, or start fewer processes",
        )


def _identity(model: nn.Module, setup: Setup) -> str:
    """Return a digest of what the fit starts from, so that a checkpoint of another fit is never continued."""
    weights = [
        (n, sha256_bytes(t.detach().cpu().contiguous().numpy().tobytes())) for n, t in model.state_dict().items()
    ]
    return sha256_json([weights, setup.digests(), setup.options.model_dump(mode="json"), setup.seed])


def _require_same_fit(model: nn.Module, setup: Setup) -> None:
    """Raise where the processes would train different things: what is not broadcast must agree."""
    shapes = [(name, list(tensor.shape), str(tensor.dtype)) for name, tensor in model.state_dict().items()]
    digest = sha256_json([shapes, setup.digests(), setup.options.model_dump(mode="json"), setup.seed])
    require_equal(digest, "they were about to train different models, options or images")


def _weights_digest(model: nn.Module) -> str:
    """Return a digest of the weights, which several processes must have alike; nothing is computed for one alone."""
    if world_size() == 1:
        return ""
    return sha256_json([sha256_bytes(p.detach().cpu().contiguous().numpy().tobytes()) for p in model.parameters()])


def _set_mode(
    model: nn.Module, epoch: int, options: FitOptions, trainable: frozenset[str], head: Sequence[str]
) -> None:
    if epoch < options.freeze_epochs:
        freeze_all_but(model, head)
    else:
        unfreeze(model, trainable)


def _finish(run: Loop, state: FitState) -> FitResult:
    if state.best:
        run.model.load_state_dict(state.best)
    else:
        state.best_val_pct = run.setup.judged_pct(run.model) or 0.0
    run.model.to("cpu").to(memory_format=torch.contiguous_format)
    run.model.eval()
    return FitResult(tuple(state.history), state.best_epoch, state.best_val_pct)


def _line(row: EpochRow, setup: Setup) -> str:
    return (
        f"epoch {int(row['epoch'])}/{setup.options.epochs}: loss {row['train_loss']:.4f}, "
        f"val {_METRICS[setup.metric]} {row[val_key(setup.metric)]:.2f} %, "
        f"lr {row['lr']:.2e}, {row['images_per_s']:.0f} images/s"
    )
