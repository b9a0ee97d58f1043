"""Where a fit stands between two epochs, saved and found again as one unit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.core.stage import Reporter
from compress.distributed.collectives import from_first, rank, world_size
from compress.engine.checkpoint import (
    CHECKPOINT_FILE,
    Tensors,
    from_bytes,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
    to_bytes,
)

EpochRow = dict[str, float]


def val_key(metric: str) -> str:
    """Return the name of a metric's validation value in an epoch's row."""
    return f"val_{metric}_pct"


@dataclass(frozen=True)
class Parts:
    """The objects whose tensors a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None


@dataclass
class FitState:
    """The epochs done and the best weights among them; `metric` is what tells which they are."""

    metric: str = "top1"
    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best_val_pct: float = -1.0
    best: Tensors = field(default_factory=dict)

    def judge(self, row: EpochRow, model: nn.Module, *, always: bool) -> None:
        """Add an epoch; keep the model's weights if its accuracy is the best so far, or `always`."""
        self.history.append(row)
        if always or row[val_key(self.metric)] > self.best_val_pct:
            self.keep(int(row["epoch"]), row[val_key(self.metric)], model)

    def keep(self, epoch: int, val_pct: float, model: nn.Module) -> None:
        """Take the model's weights for the best so far."""
        self.best_epoch, self.best_val_pct = epoch, val_pct
        self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def out_of_patience(self, patience: int | None) -> bool:
        """Return whether the last `patience` epochs brought no better validation accuracy."""
        if patience is None or not self.history:
            return False
        best = max(self.history, key=lambda row: row[val_key(self.metric)])  # the first of equals
        return len(self.history) - best["epoch"] >= patience


def save(parts: Parts, state: FitState, work_dir: Path, start_id: str) -> None:
    """Write the checkpoint; `start_id` says which fit it belongs to. Of several processes the first one writes."""
    if rank() == 0:
        save_checkpoint(work_dir / CHECKPOINT_FILE, _groups(parts, state), {"start_id": start_id, **_facts(state)})


def resume(parts: Parts, work_dir: Path, start_id: str, reporter: Reporter, metric: str = "top1") -> FitState:
    """Return the state to go on from and load `parts`: the checkpoint's if it is of this fit, else a fresh one.

    Of several processes the first one reads; the others get its weights and all that belongs to them, fresh or not.
    """
    state = _from_file(parts, work_dir, start_id, reporter, metric) if rank() == 0 else FitState(metric)
    if world_size() == 1:
        return state
    facts = json.loads(from_first(json.dumps(_facts(state)).encode()))
    groups = from_bytes(from_first(to_bytes(_groups(parts, state)) if rank() == 0 else b""))
    return state if rank() == 0 else _loaded(parts, groups, facts, metric)


def _from_file(parts: Parts, work_dir: Path, start_id: str, reporter: Reporter, metric: str) -> FitState:
    path = work_dir / CHECKPOINT_FILE
    found = load_checkpoint(path)
    if found is None:
        return FitState(metric)
    groups, meta = found
    if meta["start_id"] != start_id:
        reporter.warn(f"{path}: a checkpoint of another fit (other weights, options, data or seed); starting afresh")
        return FitState(metric)
    reporter.info(f"continuing after epoch {len(meta['history'])}")
    return _loaded(parts, groups, meta, metric)


def _groups(parts: Parts, state: FitState) -> dict[str, Tensors]:
    return {
        "model": parts.model.state_dict(),
        "best": state.best,
        "optimizer": optimizer_tensors(parts.optimizer),
        "average": parts.average.state_dict() if parts.average else {},
    }


def _facts(state: FitState) -> dict[str, Any]:
    return {
        "history": state.history,
        "best_epoch": state.best_epoch,
        "best_val_pct": state.best_val_pct,
    }


def _loaded(parts: Parts, groups: dict[str, Tensors], facts: dict[str, Any], metric: str) -> FitState:
    parts.model.load_state_dict(groups["model"])
    load_optimizer(parts.optimizer, groups.get("optimizer", {}))
    if parts.average:
        parts.average.load_state_dict(groups["average"])
    return FitState(metric, facts["history"], facts["best_epoch"], facts["best_val_pct"], groups.get("best", {}))
