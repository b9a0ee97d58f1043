"""The images of classifiers that pruning looks at."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.data.calibration import calibration_split
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.losses import Loss, teacher_loss
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup, fit_setup

SCORING_IMAGES, SCORING_BATCH = 256, 32
SENSITIVITY_IMAGES, SENSITIVITY_BATCH = 512, 64


class PruneDatasets:
    """`PruneImages` with a class for each image."""

    metric: ClassVar[Literal["top1"]] = "top1"

    def __init__(self, dataset: Dataset, spec: ModelSpec, ctx: RunContext) -> None:
        """Take the data set; nothing is read before it is asked for."""
        self._dataset, self._spec, self._ctx = dataset, spec, ctx

    def scoring(self) -> list[tuple[Tensor, Tensor]]:
        """Return batches of images_NCHW and labels_N, balanced over the classes."""
        return self._batches(SCORING_IMAGES, SCORING_BATCH)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy, in nats."""
        return F.cross_entropy(outputs, targets)

    def judge(self, model: nn.Module) -> tuple[float, float]:
        """Return top-1 in percent and the mean cross entropy."""
        return judged(model, self._sensitivity)

    @property
    def judged(self) -> int:
        """Return the number of images behind `judge`."""
        return sum(len(labels_N) for _, labels_N in self._sensitivity)

    @cached_property
    def _sensitivity(self) -> list[tuple[Tensor, Tensor]]:
        return self._batches(SENSITIVITY_IMAGES, SENSITIVITY_BATCH)

    def accuracy_pct(self, model: nn.Module) -> float:
        """Return validation top-1 in percent."""
        val = self._dataset.splits["val"]
        pixels_NHWC = evaluation_pixels(val, self._spec.preprocess, self._ctx.reporter)
        return top1_pct(torch_logits(model, pixels_NHWC, self._spec.preprocess), val.labels_N)

    def recovery(
        self, options: FitOptions, teacher: nn.Module, *, alpha: float, temperature: float
    ) -> tuple[FitSetup, Loss]:
        """Return setup and loss, see `teacher_loss`."""
        smoothing = options.label_smoothing
        loss = teacher_loss(teacher, temperature=temperature, alpha=alpha, label_smoothing=smoothing)
        return fit_setup(self._dataset, self._spec, options, self._ctx), loss

    def _batches(self, images: int, batch: int) -> list[tuple[Tensor, Tensor]]:
        split = calibration_split(self._dataset.splits["train"], images, self._ctx.seed, self._spec.num_classes)
        pixels_NHWC = evaluation_pixels(split, self._spec.preprocess, self._ctx.reporter)
        batches = -(-len(split.labels_N) // batch)
        found = []
        for start in range(batches):
            part = slice(start, None, batches)  # the split is sorted by class: every batch takes some of each
            images_NCHW = torch.from_numpy(normalize(pixels_NHWC[part], self._spec.preprocess))
            found.append((images_NCHW, torch.tensor(split.labels_N[part])))
        return found


def judged(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return top-1 in percent and the mean cross entropy of a model on images [N, 3, H, W] with labels [N]."""
    right, loss, count = 0, 0.0, 0
    with torch.inference_mode():
        for images_NCHW, labels_N in batches:
            logits_NK = model(images_NCHW.contiguous(memory_format=torch.channels_last))
            right += int((logits_NK.argmax(1) == labels_N).sum())
            loss += float(F.cross_entropy(logits_NK, labels_N, reduction="sum"))
            count += len(labels_N)
    return 100.0 * right / count, loss / count
