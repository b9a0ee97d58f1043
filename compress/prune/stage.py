"""The prune stage: a trained model in, a narrower self-describing `model.safetensors` out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, StageInputs
from compress.data.calibration import calibration_split
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.engine.batches import Batch
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.fit import fit
from compress.engine.losses import cross_entropy
from compress.engine.options import FitOptions
from compress.engine.sets import require_same_labels, training_sets
from compress.errors import UsageError
from compress.models.build import arch_info, describe
from compress.models.weights import load_model, save_model
from compress.prune.channels import GroupRow, prune_channels
from compress.prune.config import PruneConfig

FILE_NAME = "model.safetensors"
TAYLOR_IMAGES, TAYLOR_BATCH = 256, 32  # pictures of the training split that importance `taylor` reads
_NAMES_SHOWN = 2


def run(config: PruneConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Prune, recover if asked to, and return the narrower model.

    Metrics: keep, channels_kept_pct, macs, params, macs_kept_pct, params_kept_pct, top1_pct (validation).

    Raises:
        UsageError: the recipe has no data, or `protect` names no layer.
        ModelFileError: the input is damaged.
        StageError: other classes than the data's, or the recovery diverged.
    """
    if ctx.data is None:
        raise UsageError("pruning needs photographs, and the recipe has no `data:` block")
    model, spec = load_model(inputs["from"].path)
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
    require_same_labels(spec.labels, dataset.labels, wanted_by="the model to prune", found_in="the data")
    info = arch_info(spec.arch)
    narrow, rows = prune_channels(
        model,
        spec.input_chw,
        keep=config.keep,
        importance=config.importance,
        scope=config.scope,
        round_to=config.round_to,
        head=info.head,
        protected=(info.stem, *config.protect),
        batches=_taylor_batches(dataset, spec, ctx),
    )
    narrow_spec = describe(narrow, spec)
    for line in table(rows, spec, narrow_spec):
        ctx.reporter.info(line)
    accuracy = _top1_pct(narrow, spec, dataset, ctx.reporter)
    ctx.reporter.info(f"validation top-1 {accuracy:.2f} % before any recovery")
    if config.recovery:
        accuracy = _recover(narrow, spec, dataset, config.recovery, ctx)
        ctx.reporter.info(f"validation top-1 {accuracy:.2f} % after recovery")
    save_model(ctx.stage_dir / FILE_NAME, narrow, narrow_spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=narrow_spec,
        metrics=_metrics(config.keep, rows, spec, narrow_spec, accuracy),
    )


def table(rows: tuple[GroupRow, ...], before: ModelSpec, after: ModelSpec) -> list[str]:
    """Return the lines that say what was kept: one per group of coupled layers, then MACs and parameters."""
    lines = ["kept channels (layers that are added or gated together count once):"]
    lines += [f"  {row.after:5d} of {row.before:5d}  {_layers(row)}" for row in rows]
    for what, old, new in (("MACs", before.macs, after.macs), ("parameters", before.params, after.params)):
        lines.append(f"{what}: {old:,} -> {new:,} ({100 * new / old:.1f} % kept)")
    return lines


def _layers(row: GroupRow) -> str:
    more = len(row.layers) - _NAMES_SHOWN
    names = ", ".join(row.layers[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{names} (protected)" if row.protected else names


def _metrics(keep: float, rows: tuple[GroupRow, ...], before: ModelSpec, after: ModelSpec, accuracy: float) -> Metrics:
    return {
        "keep": keep,
        "channels_kept_pct": 100 * sum(row.after for row in rows) / sum(row.before for row in rows),
        "macs": after.macs,
        "params": after.params,
        "macs_kept_pct": 100 * after.macs / before.macs,
        "params_kept_pct": 100 * after.params / before.params,
        "top1_pct": accuracy,
    }


def _taylor_batches(dataset: Dataset, spec: ModelSpec, ctx: RunContext) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield class-balanced training pictures without augmentation; nothing is read until the first is asked for."""
    split = calibration_split(dataset.splits["train"], TAYLOR_IMAGES, ctx.seed, spec.num_classes)
    pixels_NHWC = evaluation_pixels(split, spec.preprocess, ctx.reporter)
    batches = -(-len(split.labels_N) // TAYLOR_BATCH)
    for start in range(batches):
        part = slice(start, None, batches)  # the split is sorted by class: every batch takes some of each
        images_NCHW = torch.from_numpy(normalize(pixels_NHWC[part], spec.preprocess))
        yield images_NCHW, torch.tensor(split.labels_N[part])


def _top1_pct(model: nn.Module, spec: ModelSpec, dataset: Dataset, reporter: Reporter) -> float:
    val = dataset.splits["val"]
    pixels_NHWC = evaluation_pixels(val, spec.preprocess, reporter)
    return top1_pct(torch_logits(model, pixels_NHWC, spec.preprocess), val.labels_N)


def _recover(model: nn.Module, spec: ModelSpec, dataset: Dataset, options: FitOptions, ctx: RunContext) -> float:
    """Train in place; return the best validation top-1 in percent."""
    train, val = training_sets(dataset, spec.preprocess, ctx.reporter)

    def loss(logits_NK: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(logits_NK, batch.targets_NK, options.label_smoothing)

    result = fit(
        model,
        train=train,
        val=val,
        num_classes=spec.num_classes,
        preprocess=spec.preprocess,
        options=options,
        loss=loss,
        work_dir=ctx.stage_dir,
        seed=ctx.seed,
        device=ctx.device,
        reporter=ctx.reporter,
        head=(arch_info(spec.arch).head,),
    )
    return result.best_val_top1_pct
