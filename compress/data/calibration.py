"""Calibration sets: a few class-balanced images whose activations decide the ranges of an int8 model."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from compress.data.dataset import Split
from compress.data.examine import content_sha256

HOLD_OUT_EVERY = 5
MAX_HELD_OUT = 256


def calibration_split(split: Split, count: int, seed: int, n_classes: int) -> Split:
    """Return `count` images (all, if there are fewer), the classes in turn, so balanced as far as they last.

    Args:
        split: where to draw from.
        count: how many.
        seed: another seed, another draw.
        n_classes: number of classes of the data set.
    """
    return _chosen(split, [index for _, _, index in _turns(split, seed, n_classes)][:count])


def held_out_split(split: Split, count: int, seed: int, n_classes: int) -> tuple[Split, Split | None]:
    """Return images to calibrate on, as `calibration_split`, and others to judge with: every fifth of each class.

    Which fifth depends on the class, so that classes of one image give some too. At most `MAX_HELD_OUT` are held
    out; None where that leaves none.
    """
    kept: list[int] = []
    held: list[int] = []
    for turn, klass, index in _turns(split, seed, n_classes):
        (held if (turn + klass) % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1 else kept).append(index)
    judged = _chosen(split, held[:MAX_HELD_OUT]) if held else None
    return _chosen(split, kept[:count]), judged


def _turns(split: Split, seed: int, n_classes: int) -> list[tuple[int, int, int]]:
    """Return (turn, class, index of the image): the classes in turn, each in an order drawn from the seed."""
    rng = np.random.default_rng((seed, 0xCA11B))
    labels_N = np.array(split.labels_N)
    queues = [rng.permutation(np.flatnonzero(labels_N == label)) for label in range(n_classes)]
    deepest = max((len(queue) for queue in queues), default=0)
    return [
        (turn, klass, int(queue[turn]))
        for turn in range(deepest)
        for klass, queue in enumerate(queues)
        if turn < len(queue)
    ]


def _chosen(split: Split, indices: Sequence[int]) -> Split:
    chosen = sorted(indices)
    return Split(split.name, tuple(split.paths[i] for i in chosen), tuple(split.labels_N[i] for i in chosen))


def manifest(split: Split, groups: Sequence[str] | None = None) -> list[dict[str, str | int]]:
    """Return one row per image: `file` relative to the images' common folder, `sha256`, `label`.

    Args:
        split: the images.
        groups: names that the split's labels stand for; without, the label is a class index.
    """
    if not split.paths:
        return []
    base = os.path.commonpath([path.absolute().parent for path in split.paths])
    return [
        {
            "file": path.absolute().relative_to(base).as_posix(),
            "sha256": content_sha256(path),
            "label": label if groups is None else groups[label],
        }
        for path, label in zip(split.paths, split.labels_N, strict=True)
    ]
