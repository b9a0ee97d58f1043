"""Distilling a detector: a narrower or smaller one learns from the boxes of its images and from another's answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from compress.core.artifact import Artifact, StageOutput
from compress.core.boxes import BoxCoding
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.data.dataset import Dataset
from compress.distill.config import TEACHER, DistillConfig
from compress.distill.objective import Ramp
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.detection.batches import BoxBatch
from compress.engine.detection.losses import Answers, teacher_box_loss
from compress.engine.detection.options import refuse_fit_of_classifiers
from compress.engine.detection.setup import detect_setup
from compress.engine.fit import fit
from compress.errors import UsageError
from compress.models.build import head_modules
from compress.models.weights import load_model, save_model

FILE_NAME = "model.safetensors"


class BoxObjective:
    """A loss for `fit`, with its hook: alpha and temperature depend on the epoch alone."""

    def __init__(self, config: DistillConfig, teacher: nn.Module, coding: BoxCoding) -> None:
        """Take the options, the teacher in eval mode, and what the numbers of both mean."""
        self._config, self._teacher, self._coding = config, teacher, coding
        self.on_epoch(0, None)

    def on_epoch(self, epoch: int, model: nn.Module | None) -> None:
        """Set alpha and temperature for an epoch, from 0."""
        config = self._config
        self._of_epoch = teacher_box_loss(
            self._teacher,
            self._coding,
            config.detect,
            temperature=Ramp(config.temperature, config.temperature_final).at(epoch, config.fit.epochs),
            alpha=Ramp(config.alpha, config.alpha_final).at(epoch, config.fit.epochs),
        )

    def loss(self, outputs: Answers, batch: BoxBatch) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self._of_epoch(outputs, batch)


def distill_detector(
    config: DistillConfig, inputs: StageInputs, dataset: Dataset, student: nn.Module, spec: ModelSpec, ctx: RunContext
) -> StageOutput:
    """Teach a detector and return it with its best validation mAP.

    Metrics: map_pct, student_before_map_pct, teacher_map_pct (all on validation), best_epoch, params, macs.

    Raises:
        UsageError: an option that only classifiers have, or a teacher whose numbers mean something else.
        StageError: training diverged.
    """
    _refuse_options_of_classifiers(config, spec)
    assert spec.boxes is not None
    teacher = _teacher(inputs[TEACHER], spec).to(ctx.device)
    setup = detect_setup(dataset, spec, config.fit, config.detect, ctx)
    before_pct, teacher_pct = setup.judged_pct(student), setup.judged_pct(teacher)
    ctx.reporter.info(f"validation mAP: teacher {_text(teacher_pct)}, student before {_text(before_pct)}")
    if (teacher_pct or 0.0) < (before_pct or 0.0):
        ctx.reporter.warn("the teacher is worse than the student it is to teach: name a better one, or lower alpha")
    objective = BoxObjective(config, teacher, spec.boxes)
    result = fit(student, setup, objective.loss, head=head_modules(spec), on_epoch=objective.on_epoch)
    spec = save_model(ctx.stage_dir / FILE_NAME, student, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=spec,
        metrics={
            "map_pct": result.best_val_pct,
            "student_before_map_pct": before_pct,
            "teacher_map_pct": teacher_pct,
            "best_epoch": result.best_epoch,
            "params": spec.params,
            "macs": spec.macs,
        },
    )


def _text(value_pct: float | None) -> str:
    return "of no finite numbers" if value_pct is None else f"{value_pct:.2f} %"


def _teacher(artifact: Artifact, student: ModelSpec) -> nn.Module:
    """Return the teacher, channels last, in eval mode.

    Raises:
        UsageError: it is no torch file of a detector of the same classes, anchors and preprocessing.
    """
    if artifact.format is not Format.TORCH:
        raise UsageError(
            f"{artifact.path}: a detector's teacher is the file of its training, not {artifact.format}",
            hint="name a train stage, or its model.safetensors",
        )
    teacher, spec = load_model(artifact.path)
    same: dict[str, tuple[Any, Any]] = {
        "classes": (spec.labels, student.labels),
        "anchors and coding": (spec.boxes, student.boxes),
        "preprocessing": (spec.preprocess, student.preprocess),
    }
    if odd := [name for name, (found, wanted) in same.items() if found != wanted]:
        raise UsageError(
            f"{artifact.path}: its {odd[0]} are not the student's, and a detector teaches anchor by anchor",
            hint="train a teacher on the same images at the same input_px",
        )
    return teacher.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _refuse_options_of_classifiers(config: DistillConfig, spec: ModelSpec) -> None:
    refuse_fit_of_classifiers(config.fit, "fit", spec.arch)
    given = {
        "loss": config.loss != "kd",
        "hints": config.hints > 0.0,
        "teacher_arch": config.teacher_arch is not None,
        "teacher_bf16": config.teacher_bf16,
        "several teachers": config.teacher is not None and len(config.teacher) > 1,
    }
    if odd := [name for name, is_given in given.items() if is_given]:
        raise UsageError(
            f"distill: {odd[0]}: is for classifiers, and {spec.arch} finds boxes",
            hint="a detector learns from one teacher: --teacher STAGE|FILE",
        )
