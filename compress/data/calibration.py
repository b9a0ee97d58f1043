"""Calibration sets: a few class-balanced pictures whose activations decide the ranges of an int8 model."""

from __future__ import annotations

import os

import numpy as np

from compress.data.dataset import Split
from compress.data.examine import content_sha256


def calibration_split(split: Split, count: int, seed: int, n_classes: int) -> Split:
    """Return `count` pictures (all, if there are fewer), the classes in turn, so balanced as far as they last.

    Args:
        split: where to draw from.
        count: how many.
        seed: another seed, another draw.
        n_classes: number of classes of the data set.
    """
    rng = np.random.default_rng((seed, 0xCA11B))
    labels_N = np.array(split.labels_N)
    queues = [rng.permutation(np.flatnonzero(labels_N == label)) for label in range(n_classes)]
    deepest = max((len(queue) for queue in queues), default=0)
    turns = [int(queue[turn]) for turn in range(deepest) for queue in queues if turn < len(queue)]
    chosen = sorted(turns[:count])
    return Split(split.name, tuple(split.paths[i] for i in chosen), tuple(split.labels_N[i] for i in chosen))


def manifest(split: Split) -> list[dict[str, str | int]]:
    """Return one row per picture: `file` relative to the pictures' common folder, `sha256`, `label` (class index)."""
    if not split.paths:
        return []
    base = os.path.commonpath([path.absolute().parent for path in split.paths])
    return [
        {"file": path.absolute().relative_to(base).as_posix(), "sha256": content_sha256(path), "label": label}
        for path, label in zip(split.paths, split.labels_N, strict=True)
    ]
