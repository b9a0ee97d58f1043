"""`DetectSetup`: what a detector is trained on and judged by."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from compress.core.boxes import BoxCoding
from compress.core.digest import sha256_json
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, SilentReporter
from compress.data.boxes import BoxLabels
from compress.data.dataset import Dataset, Split
from compress.data.pixel_cache import evaluation_pixels, training_pixels
from compress.data.transforms import Placement, normalize, placement
from compress.detect.answers import Boxes, boxes_of
from compress.detect.geometry import in_image
from compress.detect.precision import EVAL_THRESHOLD, AveragePrecision, average_precision
from compress.engine.detection.batches import BoxBatch, BoxTrainSet, box_batches
from compress.engine.detection.options import DetectOptions
from compress.engine.options import FitOptions
from compress.engine.sets import SIDE_PER_CROP
from compress.errors import StageError
from compress.models.build import evaluating

_EVAL_BATCH = 32


@dataclass(frozen=True)
class BoxValSet:
    """Validation images: uint8 [N, H, W, 3] after `to_pixels`, where these lie in the images, and the boxes there."""

    pixels_NHWC: np.ndarray
    places_N: Sequence[Placement]
    boxes_N: Sequence[BoxLabels]


@dataclass(frozen=True)
class DetectSetup:
    """All that a detector's fit needs but the network and its loss; see `compress.engine.setup.Setup`."""

    train: BoxTrainSet
    val: BoxValSet
    spec: ModelSpec
    coding: BoxCoding
    options: FitOptions
    detect: DetectOptions
    work_dir: Path
    seed: int
    device: str = "cpu"
    reporter: Reporter = field(default_factory=SilentReporter)

    metric: ClassVar[str] = "map"

    @property
    def n_train(self) -> int:
        """Return the number of training images."""
        return len(self.train.boxes_N)

    @property
    def n_val(self) -> int:
        """Return the number of validation images."""
        return len(self.val.boxes_N)

    def batches(self, epoch: int, device: torch.device) -> Generator[BoxBatch, None, None]:
        """Yield the batches of an epoch; see `box_batches`."""
        return box_batches(
            self.train,
            self.spec.preprocess,
            self.coding,
            self.detect,
            self.options.batch_size,
            seed=self.seed,
            epoch=epoch,
            device=device,
        )

    def judged_pct(self, model: nn.Module) -> float | None:
        """Return the mAP of the model on the validation images, 0..100; None where an answer is not finite."""
        try:
            return precision_of(model, self.val, self.spec.preprocess, self.coding, self.spec.num_classes).map_pct
        except StageError:
            return None

    def digests(self) -> list[str]:
        """Return a digest of the boxes of each set, the shapes of the images, and the options of this task."""
        shapes = [list(self.train.pixels_NSSC.shape), list(self.val.pixels_NHWC.shape)]
        boxes = [
            sha256_json([[one.corners_B4.tolist(), one.classes_B.tolist()] for one in known])
            for known in (self.train.boxes_N, self.val.boxes_N)
        ]
        return [*boxes, str(shapes), self.detect.model_dump_json(), self.coding.model_dump_json()]


def detect_setup(
    dataset: Dataset, spec: ModelSpec, options: FitOptions, detect: DetectOptions, ctx: RunContext, folder: str = ""
) -> DetectSetup:
    """Return the setup of a stage's fit; the images are decoded where that was not done before.

    The checkpoint is kept in `folder` of the stage's folder; empty: in that itself.
    """
    assert spec.boxes is not None
    train = dataset.splits["train"]
    side_px = round(SIDE_PER_CROP * spec.preprocess.crop_px)
    pixels = training_pixels(train, side_px, ctx.reporter)
    shares = [in_shares(one) for one in train.boxes_N]
    return DetectSetup(
        train=BoxTrainSet(pixels.pixels_NHWC, shares),
        val=box_set(dataset.splits["val"], spec.preprocess, ctx.reporter),
        spec=spec,
        coding=spec.boxes,
        options=options,
        detect=detect,
        work_dir=ctx.stage_dir / folder,
        seed=ctx.seed,
        device=ctx.device,
        reporter=ctx.reporter,
    )


def in_shares(known: BoxLabels) -> BoxLabels:
    """Return an image's boxes in shares of its width and height."""
    corners_B4 = np.asarray(known.corners_B4 / np.array(known.size * 2, dtype=np.float32), dtype=np.float32)
    return BoxLabels(corners_B4, known.classes_B)


def box_set(split: Split, preprocess: Preprocess, reporter: Reporter) -> BoxValSet:
    """Return a split as a network sees it, with where its squares lie and the boxes that are known."""
    places = tuple(placement(boxes.size, preprocess) for boxes in split.boxes_N)
    return BoxValSet(evaluation_pixels(split, preprocess, reporter), places, split.boxes_N)


def precision_of(
    model: nn.Module, known: BoxValSet, preprocess: Preprocess, coding: BoxCoding, num_classes: int
) -> AveragePrecision:
    """Return the mAP of a model in eval mode, which its training flags survive.

    Raises:
        StageError: an answer is not finite.
    """
    device = next(model.parameters()).device
    coding = coding.model_copy(update={"score_threshold": min(EVAL_THRESHOLD, coding.score_threshold)})
    found: list[Boxes] = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(known.pixels_NHWC), _EVAL_BATCH):
            pixels_NHWC = known.pixels_NHWC[start : start + _EVAL_BATCH]
            images_NCHW = torch.from_numpy(normalize(pixels_NHWC, preprocess)).to(device)
            raw, logits = model(images_NCHW.contiguous(memory_format=torch.channels_last))
            found += boxes_of(raw.float().cpu().numpy(), logits.float().cpu().numpy(), coding)
    placed = [in_image(boxes, place) for boxes, place in zip(found, known.places_N, strict=True)]
    return average_precision(known.boxes_N, placed, num_classes)
