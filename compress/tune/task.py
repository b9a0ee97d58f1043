"""What a search does otherwise for detectors than for classifiers: the images it tries, and how its chains train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from compress.core.dataset import Task
from compress.core.json_types import JsonObject
from compress.recipe.epochs import detection_epochs_for, epochs_for

FLOAT, DISTILLED, FINAL = "train", "distilled", "final"  # ids of the stages whose accuracy is looked at


@dataclass(frozen=True)
class SearchTask:
    """A search of one kind of network.

    Attributes:
        sides_px: sides of the image that are tried, ascending.
        start_px: the side that the search begins with, and that footprints are measured with.
        batch: images of a training step.
        epochs: (training images, whether a network learns from scratch) -> epochs of fine-tuning where nobody says.
        distill_share: epochs of distillation for one of fine-tuning.
        qat_every: epochs of fine-tuning for one of quantization-aware training, which has two at least.
        gains_pp: stage -> points of validation accuracy that the rest of a chain may still win.
        fit: options of fine-tuning.
        distill_fit: options of distillation's training.
        distill: other options of distillation.
        reconstruct: options of the reconstruction behind calibration.
        qat_fit: options of quantization-aware training.
        qat: other options of quantizing that way.
    """

    sides_px: tuple[int, ...]
    start_px: int
    batch: int
    epochs: Callable[[int, bool], int]
    distill_share: float
    qat_every: int
    gains_pp: Mapping[str, float]
    fit: JsonObject
    distill_fit: JsonObject
    distill: JsonObject
    qat_fit: JsonObject
    reconstruct: JsonObject = field(default_factory=dict)
    qat: JsonObject = field(default_factory=dict)


_CLASSIFY = SearchTask(
    sides_px=(96, 128, 160, 192, 224),
    start_px=128,
    batch=32,  # as the stages have it by default
    epochs=lambda n_train, fresh: epochs_for(n_train, fresh=fresh),
    distill_share=4 / 3,
    qat_every=3,
    # Of seven pruned chains (clothing, n = 372) the luckiest ended 3.5 above its float network, and int8 0.3 above the
    # distilled one.
    gains_pp={FLOAT: 4.0, DISTILLED: 1.0},
    fit={"lr": 2.0e-3, "label_smoothing": 0.1},
    distill_fit={"lr": 2.0e-3, "label_smoothing": 0.0, "keep": "last", "ema_decay": 0.99},
    distill={"temperature": 1.0, "alpha": 0.5},
    qat_fit={"lr": 2.0e-4},
)
_BATCH_OF_BOXES: JsonObject = {"batch_size": 16}
_DETECT = SearchTask(
    sides_px=(160, 192, 256, 320, 384, 448),
    start_px=320,
    batch=16,
    epochs=lambda n_train, _: detection_epochs_for(n_train),
    distill_share=4 / 7,
    qat_every=17,
    gains_pp={FLOAT: 6.0, DISTILLED: 2.0},  # wider: a mAP of some dozen images varies more than a top-1
    fit={**_BATCH_OF_BOXES, "ema_decay": 0.995},
    distill_fit={**_BATCH_OF_BOXES, "lr": 2.0e-3, "ema_decay": 0.99},
    distill={"temperature": 1.0, "alpha": 0.7},
    reconstruct=_BATCH_OF_BOXES,
    qat_fit={**_BATCH_OF_BOXES, "lr": 2.0e-5, "ema_decay": 0.98},
    qat={"alpha": 1.0},
)
TASKS: dict[Task, SearchTask] = {"classify": _CLASSIFY, "detect": _DETECT}
