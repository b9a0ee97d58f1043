"""The distill stage: a student and its teachers in, the taught student out as `model.safetensors`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from compress.core.artifact import StageOutput
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, StageInputs
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.distill.config import TEACHER, DistillConfig
from compress.distill.detector import distill_detector
from compress.distill.hints import REGRESSORS, STUDENT, HintedStudent, hint_pairs
from compress.distill.objective import Hints, Objective, Ramp, answers
from compress.distill.source import NamedTeacher, build_teacher, open_teacher
from compress.distill.teacher import Teacher, mean_answer
from compress.engine.batches import shows_the_same_every_epoch
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.fit import fit
from compress.engine.losses import decoupled_divergence, kl_divergence
from compress.engine.sets import require_same_labels
from compress.engine.setup import FitSetup, fit_setup
from compress.errors import UsageError
from compress.models.build import arch_info
from compress.models.weights import load_model, save_model

FILE_NAME = "model.safetensors"
_OTHER_TEACHER = (
    "a teacher knows the student's classes in the same order: leave --teacher out, or train one on the same "
    "images, `imgc train --arch ARCH --name teacher`, then "
    "`imgc distill --run RUN --teacher runs/teacher/01-train/model.safetensors`"
)


def run(config: DistillConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Teach the student of role "from" and return it with its best validation accuracy.

    Metrics: top1_pct, student_before_top1_pct, teacher_top1_pct (all on validation; of several teachers their mean
    answer's), best_epoch, params, macs.

    Raises:
        UsageError: the recipe has no data; a teacher that does not say what it is; hints without a torch teacher.
        StageError: classes differ, a teacher gives no finite logits, or training diverged.
    """
    if ctx.data is None:
        raise UsageError("distillation needs images, and the recipe has no `data:` block")
    student, spec = load_model(inputs["from"].path)
    _warn_of_own_answers(inputs, ctx.reporter)
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter, task=spec.task)
    if spec.boxes is not None:
        student_name = f"the student {inputs['from'].stage_id}"
        require_same_labels(dataset.labels, spec.labels, wanted_by="the images", found_in=student_name)
        return distill_detector(config, inputs, dataset, student, spec, ctx)
    teachers = _teachers(config, inputs, spec, ctx)
    _require_same_classes(dataset, spec, inputs["from"].stage_id, teachers)
    setup = fit_setup(dataset, spec, config.fit, ctx)
    before_pct = top1_pct(torch_logits(student, setup.val.pixels_NHWC, spec.preprocess), setup.val.labels_N)
    teacher_pct = _teacher_top1_pct(teachers, dataset, config.temperature, ctx)
    _say_who_is_better(teacher_pct, before_pct, ctx.reporter)
    learner, hints = _learner(config, student, spec, teachers, ctx)
    objective = _objective(config, teachers, hints, _answers(config, teachers, setup))
    head = arch_info(spec.arch).head
    result = fit(
        learner,
        setup,
        objective.loss,
        head=(f"{STUDENT}.{head}", REGRESSORS) if hints else (head,),
        on_epoch=objective.on_epoch,
    )
    spec = save_model(ctx.stage_dir / FILE_NAME, student, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=spec,
        metrics={
            "top1_pct": result.best_val_pct,
            "student_before_top1_pct": before_pct,
            "teacher_top1_pct": teacher_pct,
            "best_epoch": result.best_epoch,
            "params": spec.params,
            "macs": spec.macs,
        },
    )


def _teachers(config: DistillConfig, inputs: StageInputs, student: ModelSpec, ctx: RunContext) -> list[NamedTeacher]:
    """Return the teachers: the inputs in that role, or an architecture with weights of the student's classes."""
    preprocess, device, bf16 = student.preprocess, ctx.device, config.teacher_bf16
    if config.teacher_arch is not None and config.teacher_weights is not None:
        given = (config.teacher_arch, config.teacher_weights, config.teacher_input_px)
        return [build_teacher(*given, student.labels, preprocess, device, bf16=bf16)]
    roles = [role for role in config.references() if role.partition(":")[0] == TEACHER]
    return [open_teacher(inputs[role], preprocess, device, bf16=bf16) for role in roles]


def _warn_of_own_answers(inputs: StageInputs, reporter: Reporter) -> None:
    student = inputs["from"]
    for role, artifact in inputs.items():
        if role != "from" and artifact.sha256 == student.sha256:
            reporter.warn(
                f"the teacher {artifact.stage_id} is the student itself, {student.stage_id}: it teaches only what "
                "the student knows already; leave --teacher out to learn from the run's train stage"
            )


def _require_same_classes(dataset: Dataset, spec: ModelSpec, name: str, teachers: Sequence[NamedTeacher]) -> None:
    """Refuse a student, which has this name, or a teacher that does not know the classes of the images."""
    student = f"the student {name}"
    require_same_labels(dataset.labels, spec.labels, wanted_by="the images", found_in=student)
    for named in teachers:
        found_in = f"the teacher {named.name}"
        require_same_labels(spec.labels, named.spec.labels, wanted_by=student, found_in=found_in, hint=_OTHER_TEACHER)


def _teacher_top1_pct(teachers: Sequence[NamedTeacher], dataset: Dataset, temperature: float, ctx: RunContext) -> float:
    """Return the validation accuracy of the teachers' mean answer, each seeing through its own preprocessing."""
    val = dataset.splits["val"]
    labels_N = np.asarray(val.labels_N)
    logits = []
    for named in teachers:
        pixels_NHWC = evaluation_pixels(val, named.spec.preprocess, ctx.reporter)
        logits.append(torch.from_numpy(named.teacher.evaluate(pixels_NHWC)))
        if len(teachers) > 1:
            ctx.reporter.info(f"teacher {named.name}: {top1_pct(logits[-1].numpy(), labels_N):.2f} %")
    return top1_pct(mean_answer(torch.stack(logits), temperature).numpy(), labels_N)


def _say_who_is_better(teacher_pct: float, student_pct: float, reporter: Reporter) -> None:
    reporter.info(f"validation top-1: teacher {teacher_pct:.2f} %, student before {student_pct:.2f} %")
    if teacher_pct < student_pct:
        reporter.warn(
            f"the teacher is worse than the student it is to teach, {teacher_pct:.2f} % against {student_pct:.2f} % of "
            "the validation images: name a better teacher, or lower alpha"
        )


def _learner(
    config: DistillConfig, student: nn.Module, spec: ModelSpec, teachers: Sequence[NamedTeacher], ctx: RunContext
) -> tuple[nn.Module, Hints | None]:
    """Return what is trained: the student, or the student with the regressors of its hints."""
    if not config.hints:
        return student, None
    for place, named in enumerate(teachers):
        if isinstance(named.teacher, Teacher):
            px = (spec.preprocess.crop_px, named.spec.preprocess.crop_px)
            pairs = hint_pairs(student, px[0], named.teacher.model, px[1])
            shown = ", ".join(f"{pair.student.name} -> {pair.teacher.name}" for pair in pairs)
            ctx.reporter.info(f"hints from {named.name}: {shown}")
            names = tuple(pair.teacher.name for pair in pairs)
            return HintedStudent(student, pairs, ctx.seed), Hints(config.hints, place, names)
    raise UsageError(
        "hints compare feature maps, which an ONNX file does not show: no teacher is a torch model",
        hint="set hints to 0, or add the torch model that the file was exported from to the teachers",
    )


def _answers(config: DistillConfig, teachers: Sequence[NamedTeacher], setup: FitSetup) -> torch.Tensor | None:
    """Return the teachers' answers to all training images where they are the same in every epoch, else None."""
    if config.hints or config.fit.epochs == 0 or not shows_the_same_every_epoch(setup.train, config.fit):
        return None
    setup.reporter.info("the augmentation draws nothing, so the teacher answers once an image")
    return answers([named.teacher for named in teachers], setup)


def _objective(
    config: DistillConfig, teachers: Sequence[NamedTeacher], hints: Hints | None, answers_MNK: torch.Tensor | None
) -> Objective:
    return Objective(
        [named.teacher for named in teachers],
        partial(decoupled_divergence, beta=config.dkd_beta) if config.loss == "dkd" else kl_divergence,
        alpha=Ramp(config.alpha, config.alpha_final),
        temperature=Ramp(config.temperature, config.temperature_final),
        options=config.fit,
        hints=hints,
        answers_MNK=answers_MNK,
    )
