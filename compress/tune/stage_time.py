"""How long a chain will take: from a measured training step, and from the chains that ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from statistics import median
from time import perf_counter

from compress.core.dataset import Task
from compress.core.spec import ModelSpec
from compress.tune.space import Base, Knobs
from compress.tune.study import CompletedTrial
from compress.tune.task import TASKS

_WARMUP, _STEPS = 2, 5
_TEACHER = 1.3  # a step of distillation, which asks the teacher too, by one of training
_ROUNDED = 3  # a step of quantization-aware training, likewise
_PRUNED = ("prune", "distill")  # kinds of stages that a network which keeps everything has not


def step_seconds(arch: str, input_px: int, task: Task = "classify") -> float:
    """Return the seconds of one training step, median of 5, with torch's threads, on the CPU.

    The loss is a stand-in: what the step takes is the network.

    Args:
        arch: architecture, of the task.
        input_px: side of the image.
        task: what the network learns; it tells how many images a step has.
    """
    import torch

    from compress.models.build import build_model, new_spec
    from compress.models.detectors import new_detector_spec

    new: dict[Task, Callable[[str, Sequence[str], int], ModelSpec]] = {
        "classify": new_spec,
        "detect": new_detector_spec,
    }
    spec = new[task](arch, ["0", "1"], input_px)
    model = build_model(spec).to(memory_format=torch.channels_last)
    images_NCHW = torch.zeros(TASKS[task].batch, *spec.input_chw).contiguous(memory_format=torch.channels_last)
    took = []
    for _ in range(_WARMUP + _STEPS):
        began = perf_counter()
        answers = model(images_NCHW)
        sum(one.square().mean() for one in (answers if isinstance(answers, tuple) else (answers,))).backward()
        model.zero_grad(set_to_none=True)
        took.append(perf_counter() - began)
    return median(took[_WARMUP:])


def predicted_s(
    knobs: Knobs,
    share: float,
    base: Base,
    step_s: float,
    tried: Sequence[tuple[CompletedTrial, float]],
    sealed: Collection[str],
) -> float:
    """Return how long a setting will take.

    Args:
        knobs: the setting.
        share: of the parameters that it keeps; 1 has neither pruning nor distillation.
        base: tells epochs and steps.
        step_s: seconds of a training step of its architecture and image size.
        tried: chains that ended, each with its own `step_s`; the last one with a kind of stage tells what that takes.
        sealed: kinds of its stages that are there already.
    """
    epoch_s = step_s * base.steps
    total = {"train": epoch_s * base.epochs, "distill": _TEACHER * epoch_s * base.distill_epochs(patience=1)}
    rounded_s = _ROUNDED * epoch_s * base.qat_epochs(patience=1)
    for one, own_step_s in tried:
        slower = step_s / own_step_s
        total |= {kind: seconds * slower for kind, seconds in one.seconds.items()}
        if "distill" in one.seconds:
            total["distill"] /= one.knobs.patience
        if "quantize" in total and one.knobs.scheme == "int8_qat":
            total["quantize"] = max(0.0, total["quantize"] - rounded_s * one.knobs.patience)
    total["distill"] *= knobs.patience
    if knobs.scheme == "int8_qat":
        total["quantize"] = total.get("quantize", 0.0) + rounded_s * knobs.patience
    left_out = (*sealed, *(_PRUNED if share >= 1 else ()))
    return sum(seconds for kind, seconds in total.items() if kind not in left_out)


def rest_s(sealed: Mapping[str, float], tried: Iterable[CompletedTrial]) -> float:
    """Return how long the rest of a chain will take: as much longer than another's as its training took.

    Args:
        sealed: kind of stage -> seconds of what the chain has sealed.
        tried: chains that ended; of those the last one that was distilled counts, else the last one.
    """
    known = [one.seconds for one in tried if one.seconds.get("train")]
    if not known or "train" not in sealed:
        return 0.0
    other = next((one for one in reversed(known) if "distill" in one), known[-1])
    rest = sum(seconds for kind, seconds in other.items() if kind not in sealed)
    return rest * sealed["train"] / other["train"]
