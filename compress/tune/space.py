"""What is searched: the knobs of a chain, and the recipe that a setting of them means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict

from compress.core.dataset import Task
from compress.core.json_types import JsonObject
from compress.graph.targets import TargetName
from compress.tune.task import DISTILLED, FINAL, FLOAT, TASKS

Scheme = Literal["int8_static", "int8_qat"]
HardSwishMode = Literal["float", "gate"]
Runtime = Literal["tflite", "onnx"]

FILLS = (1.0, 0.8, 0.6)
PATIENCE = (1, 2)
_SQUEEZENET_LR = 5.0e-4  # without BatchNorm it diverges at what the others take
_CALIBRATION = 512
_RECONSTRUCT_STEPS = 100


class Knobs(BaseModel):
    """One point of the search.

    Attributes:
        arch: architecture.
        input_px: side of the image.
        fill: how much of the share of parameters that the goal's size allows is kept, 0..1.
        scheme: how it is quantized.
        hard_swish: how hard-swish is computed; networks without it have `float`.
        patience: how often the usual number of epochs is spent on distillation and QAT.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arch: str
    input_px: int
    fill: float = 1.0
    scheme: Scheme = "int8_static"
    hard_swish: HardSwishMode = "float"
    patience: int = 1


@dataclass(frozen=True)
class Base:
    """What all recipes of a search share.

    Attributes:
        data: the recipe's `data:` block.
        weights: architecture -> weights to start from.
        runtime: what runs the final file.
        target: of quantization; None takes the runtime's usual one.
        seed: of everything random.
        epochs: of fine-tuning.
        steps: training steps of an epoch.
        task: what the networks learn.
    """

    data: JsonObject
    weights: dict[str, str]
    runtime: Runtime
    target: TargetName | None
    seed: int
    epochs: int
    steps: int
    task: Task = "classify"

    def distill_epochs(self, patience: int) -> int:
        """Return the epochs of distillation."""
        return max(1, round(self.epochs * TASKS[self.task].distill_share)) * patience

    def qat_epochs(self, patience: int) -> int:
        """Return the epochs of quantization-aware training."""
        return max(2, self.epochs // TASKS[self.task].qat_every) * patience


def has_hard_swish(arch: str) -> bool:
    """Return whether an architecture computes hard-swish: the MobileNetV3s."""
    return "mobilenetv3" in arch or "mobilenet_v3" in arch


def start(arch: str, largest_px: int, task: Task) -> Knobs:
    """Return where the search of an architecture begins."""
    return Knobs(arch=arch, input_px=min(TASKS[task].start_px, largest_px))


def neighbours(best: Knobs, share: float, task: Task) -> list[Knobs]:
    """Return the settings one step from the best one, the most promising first.

    Args:
        best: the setting.
        share: of the parameters that it kept; a network that keeps everything is not distilled, whatever the patience.
        task: what the networks learn.
    """
    sides_px = TASKS[task].sides_px
    at = sides_px.index(best.input_px)
    found = [best.model_copy(update={"input_px": px}) for px in sides_px[at + 1 : at + 2]]
    found += [best.model_copy(update={"scheme": "int8_qat"})] if best.scheme == "int8_static" else []
    if share < 1 or best.scheme == "int8_qat":
        found += [best.model_copy(update={"patience": one}) for one in PATIENCE if one > best.patience]
    found += [best.model_copy(update={"hard_swish": "gate"})] if has_hard_swish(best.arch) else []
    found += [best.model_copy(update={"input_px": px}) for px in sides_px[max(0, at - 1) : at]]
    found += [best.model_copy(update={"fill": one}) for one in FILLS if one < best.fill]
    return [one for one in found if one != best]


def recipe_of(knobs: Knobs, base: Base, name: str, share: float, split: str) -> JsonObject:
    """Return the whole chain as a recipe.

    Args:
        knobs: the setting.
        base: what all recipes share.
        name: of the run.
        share: of the parameters to keep, 0..1; 1 prunes nothing.
        split: images that judge it: "val", and "test" once at the end.
    """
    stages = [_train(knobs, base)]
    if share < 1:
        stages += [_prune(share), _distill(knobs, base)]
    stages += [_quantize(knobs, base), {"kind": "export", "id": FINAL, "format": base.runtime}]
    stages += [{"kind": "benchmark", "models": [FLOAT, FINAL], "baseline": FLOAT, "split": split}]
    return {"imgc": 1, "name": name, "seed": base.seed, "data": base.data, "stages": stages}


def footprint_recipe(arch: str, input_px: int, base: Base, name: str, share: float) -> JsonObject:
    """Return the chain without any training: what it makes has the size and the speed of a trained one."""
    untrained = replace(base, epochs=0)
    stages = [_train(Knobs(arch=arch, input_px=input_px), untrained), {**_prune(share), "importance": "l1"}]
    stages[1].pop("allocation")
    quantize = _quantize(Knobs(arch=arch, input_px=input_px), base)
    stages += [{**quantize, "calibration_count": 16, "reconstruct": {"steps": 0}}]
    stages += [{"kind": "export", "id": FINAL, "format": base.runtime}]
    stages += [{"kind": "benchmark", "models": [FINAL], "split": "val", "limit": 16, "budget_s": 0.5}]
    return {"imgc": 1, "name": name, "seed": base.seed, "data": base.data, "stages": stages}


def _train(knobs: Knobs, base: Base) -> JsonObject:
    return {
        "kind": "train",
        "id": FLOAT,
        "arch": knobs.arch,
        "weights": base.weights[knobs.arch],
        "input_px": knobs.input_px,
        "fit": {"epochs": base.epochs, **_at_its_rate(TASKS[base.task].fit, knobs.arch)},
    }


def _prune(share: float) -> JsonObject:
    return {
        "kind": "prune",
        "id": "pruned",
        "target_params": round(share, 4),
        "importance": "fisher",
        "allocation": "sensitivity",
        "sibling": False,
    }


def _distill(knobs: Knobs, base: Base) -> JsonObject:
    task = TASKS[base.task]
    return {
        "kind": "distill",
        "id": DISTILLED,
        "from": "pruned",
        "teacher": FLOAT,
        **task.distill,
        "fit": {"epochs": base.distill_epochs(knobs.patience), **_at_its_rate(task.distill_fit, knobs.arch)},
    }


def _quantize(knobs: Knobs, base: Base) -> JsonObject:
    task = TASKS[base.task]
    stage: JsonObject = {
        "kind": "quantize",
        "id": "int8",
        "scheme": knobs.scheme,
        "calibration_count": _CALIBRATION,
        "reconstruct": {"steps": _RECONSTRUCT_STEPS, **task.reconstruct},
    }
    if base.target is not None:
        stage["target"] = base.target
    if base.target != "mcu":  # whose integers leave no choice
        stage["hard_swish"] = knobs.hard_swish
    if knobs.scheme == "int8_qat":
        stage |= {**task.qat, "fit": {"epochs": base.qat_epochs(knobs.patience), **task.qat_fit}}
    return stage


def _at_its_rate(fit: JsonObject, arch: str) -> JsonObject:
    return {**fit, "lr": _SQUEEZENET_LR} if arch.startswith("squeezenet") else fit
