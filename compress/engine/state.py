"""Where a fit stands between two epochs, saved and found again as one unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from compress.core.stage import Reporter
from compress.engine.checkpoint import (
    CHECKPOINT_FILE,
    Tensors,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)

EpochRow = dict[str, float]


@dataclass(frozen=True)
class Parts:
    """The objects whose tensors a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None


@dataclass
class FitState:
    """The epochs done and the best weights among them."""

    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best_val_top1_pct: float = -1.0
    best: Tensors = field(default_factory=dict)

    def judge(self, row: EpochRow, model: nn.Module, *, always: bool) -> None:
        """Add an epoch; keep the model's weights if its accuracy is the best so far, or `always`."""
        self.history.append(row)
        if always or row["val_top1_pct"] > self.best_val_top1_pct:
            self.best_epoch = int(row["epoch"])
            self.best_val_top1_pct = row["val_top1_pct"]
            self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def out_of_patience(self, patience: int | None) -> bool:
        """Return whether the last `patience` epochs brought no better validation accuracy."""
        if patience is None or not self.history:
            return False
        best = max(self.history, key=lambda row: row["val_top1_pct"])  # the first of equals
        return len(self.history) - best["epoch"] >= patience


def save(parts: Parts, state: FitState, work_dir: Path, start_id: str) -> None:
    """Write the checkpoint; `start_id` says which fit it belongs to."""
    groups = {
        "model": parts.model.state_dict(),
        "best": state.best,
        "optimizer": optimizer_tensors(parts.optimizer),
        "average": parts.average.state_dict() if parts.average else {},
    }
    meta = {
        "start_id": start_id,
        "history": state.history,
        "best_epoch": state.best_epoch,
        "best_val_top1_pct": state.best_val_top1_pct,
    }
    save_checkpoint(work_dir / CHECKPOINT_FILE, groups, meta)


def resume(parts: Parts, work_dir: Path, start_id: str, reporter: Reporter) -> FitState:
    """Return the state to go on from and load `parts`: the checkpoint's if it is of this fit, else a fresh one."""
    path = work_dir / CHECKPOINT_FILE
    found = load_checkpoint(path)
    if found is None:
        return FitState()
    groups, meta = found
    if meta["start_id"] != start_id:
        reporter.warn(f"{path}: a checkpoint of another fit (other weights, options, data or seed); starting afresh")
        return FitState()
    parts.model.load_state_dict(groups["model"])
    load_optimizer(parts.optimizer, groups.get("optimizer", {}))
    if parts.average:
        parts.average.load_state_dict(groups["average"])
    reporter.info(f"continuing after epoch {len(meta['history'])}")
    return FitState(meta["history"], meta["best_epoch"], meta["best_val_top1_pct"], groups["best"])
