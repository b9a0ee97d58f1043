"""From a data set to the arrays that `fit` takes; every stage that trains begins with this."""

from __future__ import annotations

import numpy as np

from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels, training_pixels
from compress.engine.batches import TrainSet, ValSet

_SIDE_PER_CROP = 1.25


def training_sets(dataset: Dataset, preprocess: Preprocess, reporter: Reporter) -> tuple[TrainSet, ValSet]:
    """Return the training and the validation pictures, memory-mapped.

    Training pictures are kept at 1.25 times the crop: random crops of 64 % of the area are then neither enlarged
    nor shrunk.

    Args:
        dataset: with the splits train and val.
        preprocess: of the model that will be trained.
        reporter: hears about decoding.
    """
    side_px = round(_SIDE_PER_CROP * preprocess.crop_px)
    train, val = dataset.splits["train"], dataset.splits["val"]
    pixels = training_pixels(train, side_px, reporter)
    return (
        TrainSet(pixels.pixels_NHWC, pixels.aspect_N, np.asarray(train.labels_N, dtype=np.int64)),
        ValSet(evaluation_pixels(val, preprocess, reporter), np.asarray(val.labels_N, dtype=np.int64)),
    )
