"""The distill stage: a student and a teacher in, the taught student out as `model.safetensors`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from compress.core.artifact import StageOutput
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.distill.config import DistillConfig
from compress.distill.teacher import Teacher
from compress.engine.batches import Batch
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.fit import Loss, fit
from compress.engine.losses import kd_loss
from compress.engine.sets import require_same_labels, training_sets
from compress.errors import StageError, UsageError
from compress.models.build import arch_info, build_model, new_spec
from compress.models.weights import load_model, load_pretrained, save_model

FILE_NAME = "model.safetensors"


def run(config: DistillConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Teach the student of role "from" and return it with its best validation accuracy.

    Metrics: top1_pct, student_before_top1_pct, teacher_top1_pct (all on validation), best_epoch, params, macs.

    Raises:
        UsageError: the recipe has no data.
        StageError: classes differ, the teacher gives no finite logits, or training diverged.
    """
    if ctx.data is None:
        raise UsageError("distillation needs photographs, and the recipe has no `data:` block")
    student, spec = load_model(inputs["from"].path)
    teacher, teacher_spec = _teacher(config, inputs, spec)
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
    require_same_labels(dataset.labels, spec.labels, wanted_by="the photographs", found_in="the student")
    require_same_labels(spec.labels, teacher_spec.labels, wanted_by="the student", found_in="the teacher")
    train, val = training_sets(dataset, spec.preprocess, ctx.reporter)
    before_pct = top1_pct(torch_logits(student, val.pixels_NHWC, spec.preprocess), val.labels_N)
    teacher_pct = _teacher_top1_pct(teacher, teacher_spec, dataset, ctx)
    ctx.reporter.info(f"validation top-1: teacher {teacher_pct:.2f} %, student before {before_pct:.2f} %")
    guide = Teacher(teacher, teacher_spec.preprocess, spec.preprocess, ctx.device)

    result = fit(
        student,
        train=train,
        val=val,
        num_classes=spec.num_classes,
        preprocess=spec.preprocess,
        options=config.fit,
        loss=_loss(config, guide),
        work_dir=ctx.stage_dir,
        seed=ctx.seed,
        device=ctx.device,
        reporter=ctx.reporter,
        head=(arch_info(spec.arch).head,),
    )
    spec = save_model(ctx.stage_dir / FILE_NAME, student, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=spec,
        metrics={
            "top1_pct": result.best_val_top1_pct,
            "student_before_top1_pct": before_pct,
            "teacher_top1_pct": teacher_pct,
            "best_epoch": result.best_epoch,
            "params": spec.params,
            "macs": spec.macs,
        },
    )


def _loss(config: DistillConfig, teacher: Teacher) -> Loss:
    """Return the distillation loss against this teacher, which sees each augmented batch itself."""

    def loss(logits_NK: torch.Tensor, batch: Batch) -> torch.Tensor:
        return kd_loss(
            logits_NK,
            teacher.logits(batch.images_NCHW),
            batch.targets_NK,
            temperature=config.temperature,
            alpha=config.alpha,
            label_smoothing=config.fit.label_smoothing,
        )

    return loss


def _teacher(config: DistillConfig, inputs: StageInputs, student: ModelSpec) -> tuple[nn.Module, ModelSpec]:
    """Return the teacher and its spec: the input in that role, or an architecture with weights of these classes."""
    if config.teacher_arch is None or config.teacher_weights is None:
        return load_model(inputs["teacher"].path)
    spec = new_spec(config.teacher_arch, student.labels, config.teacher_input_px)
    model = build_model(spec)
    if not load_pretrained(model, spec, config.teacher_weights):
        raise StageError(
            f"{config.teacher_weights}: the classifier in this file is not for the student's "
            f"{student.num_classes} classes ({', '.join(student.labels)})",
            hint="a teacher must know the student's classes: fine-tune it on these photographs first",
        )
    return model, spec


def _teacher_top1_pct(teacher: nn.Module, spec: ModelSpec, dataset: Dataset, ctx: RunContext) -> float:
    """Return the teacher's validation accuracy, seen through its own preprocessing."""
    val = dataset.splits["val"]
    pixels_NHWC = evaluation_pixels(val, spec.preprocess, ctx.reporter)
    return top1_pct(torch_logits(teacher, pixels_NHWC, spec.preprocess), np.asarray(val.labels_N))
