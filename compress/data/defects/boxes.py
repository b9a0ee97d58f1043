"""One image of the bundled data set with boxes: a surface with up to three flaws, each drawn in a part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from compress.data.defects.fields import Rgb
from compress.data.defects.flaws import DISTRACTORS, FLAWS, Scene
from compress.data.defects.image import DISTRACTOR_SHARE, SPLIT_NUMBER, lit, taken
from compress.data.defects.surfaces import SURFACES, Surface

BOX_LABELS = tuple(FLAWS)
_FLAWS = (0.1, 0.4, 0.3, 0.2)  # share of the images with so many flaws
_PARTS = 2  # across and down: a flaw lies in one of them
_LEAST_STRENGTH = 0.4  # a flaw that nobody sees has no box either
_SEEN = 0.2  # of its strongest change: what lies in a flaw's box
_STREAM = 7  # of random numbers: no other images with the same seed
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxImage:
    """An image as it is written to disk.

    Attributes:
        jpeg: the file's bytes.
        boxes: (x0, y0, x1, y1) in pixels of each flaw.
        labels: index of each into `BOX_LABELS`.
        surface: "metal", "wood" or "fabric".
    """

    jpeg: bytes
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]
    surface: str


def make_box_image(seed: int, split: str, index: int, size_px: int) -> BoxImage:
    """Return image `index` of a split.

    Args:
        seed: seed of the whole set.
        split: "train", "val" or "test".
        index: number of the image in its split, from 0.
        size_px: side in pixels.
    """
    rng = np.random.default_rng((seed, SPLIT_NUMBER[split], index, _STREAM))
    name = str(rng.choice(list(SURFACES)))
    surface = SURFACES[name](rng, size_px)
    for distract in DISTRACTORS:
        if rng.uniform() < DISTRACTOR_SHARE:
            surface = replace(surface, image=distract(rng, surface))
    light_angle = rng.uniform(0, 2 * math.pi)
    image = surface.image.copy()
    boxes: list[Box] = []
    labels: list[int] = []
    for part in rng.permutation(_PARTS**2)[: rng.choice(len(_FLAWS), p=_FLAWS)]:
        label = int(rng.integers(len(BOX_LABELS)))
        box = _paint(rng, replace(surface, image=image), int(part), label, light_angle)
        boxes.append(box)
        labels.append(label)
    return BoxImage(taken(rng, lit(rng, replace(surface, image=image), light_angle)), tuple(boxes), tuple(labels), name)


def _paint(rng: np.random.Generator, surface: Surface, part: int, label: int, light_angle: float) -> Box:
    """Paint a flaw into a part of the surface's image, in place, and return where it is."""
    side = surface.image.shape[0] // _PARTS
    top, left = (part // _PARTS) * side, (part % _PARTS) * side
    before: Rgb = surface.image[top : top + side, left : left + side].copy()
    strength = _LEAST_STRENGTH + (1.0 - _LEAST_STRENGTH) * float(rng.uniform())
    after = FLAWS[BOX_LABELS[label]](rng, Scene(replace(surface, image=before), light_angle, strength))
    surface.image[top : top + side, left : left + side] = after
    change = np.abs(after - before).max(axis=2)
    rows, columns = np.nonzero(change >= _SEEN * change.max())
    return (
        float(left + columns.min()),
        float(top + rows.min()),
        float(left + columns.max() + 1),
        float(top + rows.max() + 1),
    )
