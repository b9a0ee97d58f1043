"""The images on which an exported file is compared with its source, and the logits of both.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.core.dataset import DataConfig, Task
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor

Floats = npt.NDArray[np.float32]
_BATCH = 32
_MOST_NOISE = 256  # images: their answers are near ties, and no share is held against them
_LEAST_PX, _MOST_PX = 16, 2048  # what a Preprocess may say


def images(
    data: DataConfig, preprocess: Preprocess, count: int, seed: int, reporter: Reporter, task: Task = "classify"
) -> npt.NDArray[np.uint8] | None:
    """Return up to `count` validation and test images, evenly spaced, as pixels_NHWC; None if there are none.

    Both sets, since the share that is wanted means little on few images: of 80, one near tie is 1.25 %.
    """
    dataset = load_dataset(data, seed=seed, reporter=reporter, task=task)
    splits = [dataset.splits[name] for name in ("val", "test") if dataset.splits[name].paths]
    if not splits:
        return None
    total = sum(len(split.paths) for split in splits)
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    parts, start = [], 0
    for split in splits:
        inside = chosen[(chosen >= start) & (chosen < start + len(split.paths))]
        parts.append(np.asarray(evaluation_pixels(split, preprocess, reporter)[inside - start]))
        start += len(split.paths)
    return np.concatenate(parts)


def noise(input_chw: tuple[int, int, int], count: int, seed: int) -> Floats:
    """Return up to `count` seeded normal images_NCHW, for a model whose images or preprocessing are not known."""
    return np.random.default_rng(seed).standard_normal((min(count, _MOST_NOISE), *input_chw), dtype=np.float32)


def logits(predictor: Predictor, images: npt.NDArray[np.uint8] | Floats) -> Floats:
    """Return logits_NK for pixels_NHWC (uint8) or images_NCHW (float32), in batches."""
    parts = []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        if batch.dtype == np.uint8:
            batch = normalize(batch.astype(np.uint8, copy=False), predictor.spec.preprocess)
        parts.append(predictor.predict(batch.astype(np.float32, copy=False)))
    return np.concatenate(parts)


def opened(path: Path, spec: ModelSpec | None, input_chw: tuple[int, int, int]) -> Predictor:
    """Return the predictor of a file; without a spec, its preprocessing is made up and only noise may be fed to it."""
    if spec is not None:
        return open_predictor(path, spec=spec)
    side = min(max(*input_chw[1:], _LEAST_PX), _MOST_PX)
    return open_predictor(path, preprocess=Preprocess(resize_px=side, crop_px=side))
