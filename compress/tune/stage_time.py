"""How long a chain will take: from a measured training step, and from the chains that ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median
from time import perf_counter

from compress.tune.space import Base, Knobs
from compress.tune.study import CompletedTrial

BATCH = 32  # images of a training step, as the stages have it by default
_WARMUP, _STEPS = 2, 5
_TEACHER = 1.3  # a step of distillation, which asks the teacher too, by one of training
_PRUNED = ("prune", "distill")  # kinds of stages that a network which keeps everything has not


def step_seconds(arch: str, input_px: int) -> float:
    """Return the seconds of one training step of 32 images, median of 5, with torch's threads, on the CPU."""
    import torch
    from torch.nn.functional import cross_entropy

    from compress.models.build import build_model, new_spec

    spec = new_spec(arch, ["0", "1"], input_px)
    model = build_model(spec).to(memory_format=torch.channels_last)
    images_NCHW = torch.zeros(BATCH, *spec.input_chw).contiguous(memory_format=torch.channels_last)
    labels_N = torch.zeros(BATCH, dtype=torch.long)
    took = []
    for _ in range(_WARMUP + _STEPS):
        began = perf_counter()
        cross_entropy(model(images_NCHW), labels_N).backward()  # type: ignore[no-untyped-call]
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
    training_s = step_s * base.steps * base.epochs
    total = {"train": training_s, "distill": _TEACHER * training_s * 4 / 3}
    for one, own_step_s in tried:
        slower = step_s / own_step_s
        total |= {kind: seconds * slower for kind, seconds in one.seconds.items()}
        if "distill" in one.seconds:
            total["distill"] /= one.knobs.patience
        if "quantize" in total and one.knobs.scheme == "int8_qat":
            total["quantize"] = max(0.0, total["quantize"] - training_s * one.knobs.patience)
    total["distill"] *= knobs.patience
    if knobs.scheme == "int8_qat":  # a third of the epochs, each of them about three times as slow
        total["quantize"] = total.get("quantize", 0.0) + training_s * knobs.patience
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
