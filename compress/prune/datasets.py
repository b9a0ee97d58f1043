"""The images that pruning looks at: to score channels, to measure what groups can spare, to judge and to train."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.data.calibration import calibration_split
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup, fit_setup

SCORING_IMAGES, SCORING_BATCH = 256, 32
SENSITIVITY_IMAGES, SENSITIVITY_BATCH = 512, 64


class PruneDatasets:
    """The images of one data set as one network sees them."""

    def __init__(self, dataset: Dataset, spec: ModelSpec, ctx: RunContext) -> None:
        """Take the data set; nothing is read before it is asked for."""
        self._dataset, self._spec, self._ctx = dataset, spec, ctx

    def scoring(self) -> list[tuple[Tensor, Tensor]]:
        """Return batches of training images without augmentation, balanced over the classes, for importance."""
        return self._batches(SCORING_IMAGES, SCORING_BATCH)

    def sensitivity(self) -> list[tuple[Tensor, Tensor]]:
        """Return a fixed subset of the training images; the validation images stay for judging."""
        return self._batches(SENSITIVITY_IMAGES, SENSITIVITY_BATCH)

    def top1_pct(self, model: nn.Module) -> float:
        """Return validation accuracy in percent."""
        val = self._dataset.splits["val"]
        pixels_NHWC = evaluation_pixels(val, self._spec.preprocess, self._ctx.reporter)
        return top1_pct(torch_logits(model, pixels_NHWC, self._spec.preprocess), val.labels_N)

    def recovery(self, options: FitOptions) -> FitSetup:
        """Return the setup of the training after a cut."""
        return fit_setup(self._dataset, self._spec, options, self._ctx)

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
