"""The images of detectors that pruning looks at."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.data.dataset import Dataset, Split, evenly_spread
from compress.data.transforms import normalize
from compress.detect.geometry import in_square
from compress.engine.detection.batches import BoxBatch, targets_of
from compress.engine.detection.losses import Answers, detection_loss, teacher_box_loss
from compress.engine.detection.options import DetectOptions
from compress.engine.detection.setup import BoxValSet, DetectSetup, box_set, detect_setup, precision_of
from compress.engine.losses import Loss
from compress.engine.options import FitOptions

SCORING_IMAGES, BATCH = 128, 16
SENSITIVITY_IMAGES = 64  # a mAP takes longer than a top-1


class BoxDatasets:
    """`PruneImages` with boxes in each image."""

    metric: ClassVar[Literal["map"]] = "map"

    def __init__(self, dataset: Dataset, spec: ModelSpec, detect: DetectOptions, ctx: RunContext) -> None:
        """Take the data set; nothing is read before it is asked for."""
        assert spec.boxes is not None
        self._dataset, self._spec, self._coding, self._ctx = dataset, spec, spec.boxes, ctx
        self._detect, self._loss = detect, detection_loss(detect)

    def scoring(self) -> list[tuple[Tensor, BoxBatch]]:
        """Return batches of images_NCHW and what each anchor should find in them."""
        return self._batches(self._set(evenly_spread(self._dataset.splits["train"], SCORING_IMAGES)))

    def loss(self, outputs: Answers, targets: BoxBatch) -> Tensor:
        """Return the loss of boxes and scores, for each anchor that finds something."""
        return self._loss(outputs, targets)

    def judge(self, model: nn.Module) -> tuple[float, float]:
        """Return mAP in percent and the mean loss of the batches."""
        with torch.inference_mode():
            losses = [float(self._loss(model(images), batch)) for images, batch in self._batches(self._sensitivity)]
        return self._map_pct(model, self._sensitivity), float(np.mean(losses))

    @property
    def judged(self) -> int:
        """Return the number of images behind `judge`."""
        return len(self._sensitivity.boxes_N)

    @cached_property
    def _sensitivity(self) -> BoxValSet:
        return self._set(evenly_spread(self._dataset.splits["train"], SENSITIVITY_IMAGES))

    def accuracy_pct(self, model: nn.Module) -> float:
        """Return validation mAP in percent."""
        return self._map_pct(model, self._set(self._dataset.splits["val"]))

    def recovery(
        self, options: FitOptions, teacher: nn.Module, *, alpha: float, temperature: float
    ) -> tuple[DetectSetup, Loss]:
        """Return setup and loss, see `teacher_box_loss`."""
        loss = teacher_box_loss(teacher, self._coding, self._detect, temperature=temperature, alpha=alpha)
        return detect_setup(self._dataset, self._spec, options, self._detect, self._ctx), loss

    def _set(self, split: Split) -> BoxValSet:
        return box_set(split, self._spec.preprocess, self._ctx.reporter)

    def _map_pct(self, model: nn.Module, known: BoxValSet) -> float:
        return precision_of(model, known, self._spec.preprocess, self._coding, self._spec.num_classes).map_pct

    def _batches(self, known: BoxValSet) -> list[tuple[Tensor, BoxBatch]]:
        found = []
        for start in range(0, len(known.boxes_N), BATCH):
            index_N = np.arange(start, min(start + BATCH, len(known.boxes_N)))
            images = torch.from_numpy(normalize(np.asarray(known.pixels_NHWC[index_N]), self._spec.preprocess))
            images_NCHW = images.contiguous(memory_format=torch.channels_last)
            pairs = [
                targets_of(
                    in_square(known.boxes_N[index].corners_B4, known.places_N[index]),
                    known.boxes_N[index].classes_B,
                    self._coding,
                )
                for index in index_N.tolist()
            ]
            raw_NA4, classes_NA = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
            found.append((images_NCHW, BoxBatch(images_NCHW, raw_NA4, classes_NA, index_N)))
        return found
