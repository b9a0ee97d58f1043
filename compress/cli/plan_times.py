"""`imgc plan --times`: how long each stage will take here, from a training step that is measured now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from compress.recipe.plan import Plan, PlannedStage
from compress.recipe.siblings import SUFFIX as SIBLING

if TYPE_CHECKING:
    from compress.core.stage import Reporter

# In training steps of 32 images of the first network, measured on recipes/demo.yaml and on 260 images of clothing at
# 160 px (two cores); what no training decides is in seconds.
_TEACHER, _PRUNED = 1.3, 0.75  # a step of distillation asks the teacher too; the student is smaller
_RECONSTRUCTION, _QAT = 2.0, 3.0
_CALIBRATION_S, _PRUNING_S, _EXPORT_S = 8.0, 8.0, 4.0
_MEASURED_S, _QUICKLY_S = 6.0, 0.7  # a model in the benchmark


@dataclass(frozen=True)
class StageTime:
    """A stage, about how many seconds it takes, and how to do without it, "" where the chain needs it."""

    stage: str
    seconds: float
    instead: str = ""


def stage_times(planned: Plan, reporter: Reporter) -> list[StageTime]:
    """Return the time of each stage; a few seconds go into the measured step.

    Raises:
        DataError: the images cannot be used.
    """
    images, step_s = _images(planned, reporter), _step_s(planned)
    found = []
    for stage in planned.stages:
        estimate = _ESTIMATES.get(stage.config.kind)
        seconds = estimate(stage.config, images, step_s) if estimate else 0.0
        if stage.config.kind == "benchmark":
            seconds *= sum(one.config.kind != "benchmark" for one in planned.stages)
        found.append(StageTime(stage.id, seconds, _instead(stage)))
    return found


def _images(planned: Plan, reporter: Reporter) -> int:
    from compress.core.dataset import task_of
    from compress.data.dataset import load_dataset
    from compress.errors import UsageError

    if planned.data is None:
        return 0
    if task_of(planned.data) == "detect":
        raise UsageError("the times of a detector's stages are not known beforehand", hint="imgc plan, without --times")
    return len(load_dataset(planned.data, seed=planned.seed, reporter=reporter).splits["train"])


def _step_s(planned: Plan) -> float:
    from compress.models.arch_facts import ARCH_FACTS
    from compress.tune.stage_time import step_seconds

    config: Any = next((one.config for one in planned.stages if getattr(one.config, "arch", None)), None)
    if config is None or config.arch not in ARCH_FACTS:
        return 0.0
    return step_seconds(config.arch, config.input_px or ARCH_FACTS[config.arch].input_px)


def _steps(fit: Any, images: int) -> float:  # noqa: ANN401 - the options of any fit
    """Return a fit's steps as steps of 32 images."""
    return float(fit.epochs * ceil(images / 32)) if fit is not None else 0.0


def _train(config: Any, images: int, step_s: float) -> float:  # noqa: ANN401
    return _steps(config.fit, images) * step_s


def _prune(config: Any, images: int, step_s: float) -> float:  # noqa: ANN401
    return _PRUNING_S + _steps(config.recovery, images) * step_s * _PRUNED


def _distill(config: Any, images: int, step_s: float) -> float:  # noqa: ANN401
    return _steps(config.fit, images) * step_s * _TEACHER * _PRUNED


def _quantize(config: Any, images: int, step_s: float) -> float:  # noqa: ANN401
    training = _steps(config.fit, images) * _QAT if config.scheme == "int8_qat" else 0.0
    steps = float(min(config.reconstruct.steps, 40 * config.calibration_count / config.reconstruct.batch_size))
    return _CALIBRATION_S + (steps * _RECONSTRUCTION + training) * step_s


def _export(*_: object) -> float:
    return _EXPORT_S


def _benchmark(config: Any, *_: object) -> float:  # noqa: ANN401
    return float(_QUICKLY_S if config.quick else _MEASURED_S)


_ESTIMATES: dict[str, Callable[[Any, int, float], float]] = {
    "train": _train,
    "prune": _prune,
    "distill": _distill,
    "quantize": _quantize,
    "export": _export,
    "benchmark": _benchmark,
}


def _instead(stage: PlannedStage) -> str:
    config: Any = stage.config
    if stage.id.endswith(SIBLING):
        return f"--set stages.{stage.id.removesuffix(SIBLING)}.sibling=false" if config.kind == "prune" else ""
    if config.kind == "quantize" and config.scheme == "int8_qat":
        return f"--set stages.{stage.id}.scheme=int8_static"
    if config.kind == "benchmark" and not config.quick:
        return f"--set stages.{stage.id}.quick=true"
    return ""
