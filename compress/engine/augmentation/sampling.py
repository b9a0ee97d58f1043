"""What chance decides for one batch, drawn at once for all of its images.

The draws of a batch are a function of its generator and of the whole batch, so that a process that augments only some
of the images (see `distributed`) augments them exactly as one that augments all.

Legend: N images of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from compress.engine.augmentation import randaugment
from compress.engine.augmentation.affine import crop_matrices, flip_matrices, random_crops
from compress.engine.options import FitOptions

Box = tuple[int, int, int, int]  # top, bottom, left, right
_JITTERED = 3  # brightness, contrast, saturation


@dataclass(frozen=True)
class Mixing:
    """How the images of a batch are mixed in pairs.

    Attributes:
        kind: mixup (Zhang et al. 2018, eq. 1) or cutmix (Yun et al. 2019, eq. 1).
        share: what an image keeps of itself, 0..1.
        partner_N: the image that each is mixed with.
        box: the pixels that cutmix takes from the partner.
    """

    kind: Literal["mixup", "cutmix"]
    share: float
    partner_N: np.ndarray
    box: Box


@dataclass(frozen=True)
class Draws:
    """How each image of a batch is augmented.

    Attributes:
        matrices_N33: crop, mirror and RandAugment's geometry, from output to input coordinates.
        chosen_N2: RandAugment's operations.
        signs_N2: of their strengths.
        jitter_3N: factors of brightness, contrast and saturation; None without colour jitter.
    """

    matrices_N33: np.ndarray
    chosen_N2: np.ndarray
    signs_N2: np.ndarray
    jitter_3N: np.ndarray | None

    def of(self, rows: np.ndarray) -> Draws:
        """Return the draws of some of the images."""
        jitter = None if self.jitter_3N is None else self.jitter_3N[:, rows]
        return Draws(self.matrices_N33[rows], self.chosen_N2[rows], self.signs_N2[rows], jitter)


def draw(
    rng: np.random.Generator, aspect_N: np.ndarray, options: FitOptions, side_px: int
) -> tuple[Draws, Mixing | None]:
    """Return the draws of a batch, and how it is mixed: one lambda a batch, None where mixing is off.

    Args:
        rng: source of all draws; equal generators give equal draws.
        aspect_N: width / height of each original image.
        options: crop_scale_min, crop_ratio, flip, color_jitter, randaugment, mixup, cutmix.
        side_px: of the training images.
    """
    n = len(aspect_N)
    matrices = crop_matrices(rng, *random_crops(rng, aspect_N, options.crop_scale_min, options.crop_ratio))
    matrices = matrices @ flip_matrices(rng, n, options.flip)
    chosen, signs = randaugment.draw(rng, n)
    if options.randaugment:
        matrices = matrices @ randaugment.geometry(chosen, signs, options.randaugment)
    amount = options.color_jitter
    jitter = rng.uniform(1.0 - amount, 1.0 + amount, (_JITTERED, n)) if amount else None
    return Draws(matrices, chosen, signs, jitter), _draw_mixing(rng, n, options, side_px)


def _draw_mixing(rng: np.random.Generator, n: int, options: FitOptions, side_px: int) -> Mixing | None:
    """Return the pairs of a batch; with both kinds on, each batch draws one of the two."""
    kinds: list[Literal["mixup", "cutmix"]] = []
    if options.mixup > 0:
        kinds.append("mixup")
    if options.cutmix > 0:
        kinds.append("cutmix")
    if not kinds:
        return None
    kind = kinds[int(rng.integers(len(kinds)))]
    share = float(rng.beta(getattr(options, kind), getattr(options, kind)))
    partner = rng.permutation(n)
    if kind == "mixup":
        return Mixing(kind, share, partner, (0, 0, 0, 0))
    top, bottom, left, right = box = _box(side_px, share, rng)
    return Mixing(kind, 1.0 - (bottom - top) * (right - left) / side_px**2, partner, box)


def _box(side_px: int, share: float, rng: np.random.Generator) -> Box:
    """Return a box of 1 - share of the area around a uniform centre, cut at the edges."""
    half = int(side_px * (1.0 - share) ** 0.5) // 2
    y, x = int(rng.integers(side_px)), int(rng.integers(side_px))
    return max(0, y - half), min(side_px, y + half), max(0, x - half), min(side_px, x + half)
