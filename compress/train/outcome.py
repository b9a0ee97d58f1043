"""What every kind of training ends in: the file, and what was found on the way."""

from __future__ import annotations

from torch import nn

from compress.core.artifact import StageOutput
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.fit import FitResult
from compress.models.weights import save_model

FILE_NAME = "model.safetensors"


def trained(model: nn.Module, spec: ModelSpec, result: FitResult, metric: str, ctx: RunContext) -> StageOutput:
    """Write the trained network and return the stage's output; the checkpoint goes.

    Args:
        model: with the kept weights.
        spec: of it.
        result: of its fit.
        metric: what validation measured, "top1" or "map".
        ctx: of the stage.
    """
    spec = save_model(ctx.stage_dir / FILE_NAME, model, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=spec,
        metrics={
            f"{metric}_pct": result.best_val_pct,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "params": spec.params,
            "macs": spec.macs,
        },
    )
