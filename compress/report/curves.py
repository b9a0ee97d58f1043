"""How the training of each stage went, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from compress.pipeline.lock import RunLock

_FOLDER = "tensorboard"  # of a stage that trained


class EpochPoint(BaseModel):
    """One epoch.

    Attributes:
        epoch: from 1.
        train_loss: mean over the epoch.
        val_top1_pct: a classifier's, of the validation images, 0..100.
        val_map_pct: a detector's mAP, of the validation images, 0..100.
        lr: learning rate of the last step.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    epoch: int
    train_loss: float
    val_top1_pct: float | None = None
    val_map_pct: float | None = None
    lr: float

    @property
    def val_pct(self) -> float | None:
        """Return whichever there is."""
        return self.val_top1_pct if self.val_map_pct is None else self.val_map_pct


class Curve(BaseModel):
    """The epochs of one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    epochs: tuple[EpochPoint, ...]

    @property
    def measure(self) -> str:
        """Return what validation measured, in words."""
        return "validation top-1 %" if self.epochs[0].val_map_pct is None else "validation mAP %"


def trained_stages(run_dir: Path, lock: RunLock) -> dict[str, Path]:
    """Return stage id -> folder of its scalars, for each stage that trained."""
    folders = {stage.id: run_dir / stage.artifact.path.parent / _FOLDER for stage in lock.stages}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


def read_curves(folders: dict[str, Path]) -> tuple[Curve, ...]:
    """Return one curve for each stage whose scalars hold an epoch.

    Raises:
        ImportError: tensorboard, whose records they are, is not installed.
    """
    from compress.engine.scalars import read_scalars

    rows = {name: read_scalars(folder) for name, folder in folders.items()}
    return tuple(
        Curve(stage=name, epochs=tuple(EpochPoint.model_validate(row) for row in found))
        for name, found in rows.items()
        if found
    )
