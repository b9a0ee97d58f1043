"""From a data set to the arrays that `fit` takes; every stage that trains begins with this."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.core.names import few
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Dataset
from compress.data.pixel_cache import evaluation_pixels, training_pixels
from compress.engine.batches import TrainSet, ValSet
from compress.errors import StageError

SIDE_PER_CROP = 1.25
_SAME_DATA = "all models of a run must be trained on the images of its data block"


def training_sets(dataset: Dataset, preprocess: Preprocess, reporter: Reporter) -> tuple[TrainSet, ValSet]:
    """Return the training and the validation images, memory-mapped.

    Training images are kept at 1.25 times the crop: random crops of 64 % of the area are then neither enlarged
    nor shrunk.

    Args:
        dataset: with the splits train and val.
        preprocess: of the model that will be trained.
        reporter: hears about decoding.
    """
    side_px = round(SIDE_PER_CROP * preprocess.crop_px)
    train, val = dataset.splits["train"], dataset.splits["val"]
    pixels = training_pixels(train, side_px, reporter)
    return (
        TrainSet(pixels.pixels_NHWC, pixels.aspect_N, np.asarray(train.labels_N, dtype=np.int64)),
        ValSet(evaluation_pixels(val, preprocess, reporter), np.asarray(val.labels_N, dtype=np.int64)),
    )


def require_same_labels(
    wanted: Sequence[str], found: Sequence[str], *, wanted_by: str, found_in: str, hint: str = _SAME_DATA
) -> None:
    """Return if both are the same classes in the same order.

    Args:
        wanted: class names in index order.
        found: class names in index order.
        wanted_by: who has the first, such as "the student".
        found_in: who has the second, such as "the teacher".
        hint: what to try where they differ.

    Raises:
        StageError: they differ; the message lists the differences.
    """
    if tuple(wanted) == tuple(found):
        return
    missing = [label for label in wanted if label not in found]
    extra = [label for label in found if label not in wanted]
    what = [
        f"only {wanted_by}: {few(missing)}" if missing else "",
        f"only {found_in}: {few(extra)}" if extra else "",
        "" if missing or extra else f"the same in another order: {few(wanted)} against {few(found)}",
    ]
    raise StageError(
        f"{wanted_by} ({len(wanted)}) and {found_in} ({len(found)}) have different classes; "
        + "; ".join(part for part in what if part),
        hint=hint,
    )
