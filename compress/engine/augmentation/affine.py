"""Random geometry as matrices: crops, mirrors, rotations and shears of a whole batch are one affine sampling.

Legend: N images; matrices [N, 3, 3] map normalised output coordinates (x, y in -1..1) to input coordinates.
"""

from __future__ import annotations

import numpy as np

_TRIES = 10  # as torchvision's RandomResizedCrop


def random_crops(
    rng: np.random.Generator, aspect_N: np.ndarray, scale_min: float, crop_ratio: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return width and height [N] of random crops as fractions of each image's width and height.

    The rule of torchvision's RandomResizedCrop (Szegedy et al. 2015, Going Deeper with Convolutions, section 6),
    in the image's own geometry: the area is a uniform share, width/height of the crop in original pixels is
    log-uniform; a crop that does not fit is drawn again, after ten tries it is the largest that fits.

    Args:
        rng: source of the draws.
        aspect_N: width / height of each original image.
        scale_min: smallest share of the area, 0..1; the largest is 1.
        crop_ratio: bounds width/height to 1/crop_ratio .. crop_ratio.
    """
    n = len(aspect_N)
    share = rng.uniform(scale_min, 1.0, (n, _TRIES))
    ratio = np.exp(rng.uniform(-np.log(crop_ratio), np.log(crop_ratio), (n, _TRIES)))
    width = np.sqrt(share * ratio / aspect_N[:, None])
    height = np.sqrt(share * aspect_N[:, None] / ratio)
    fits = (width <= 1.0) & (height <= 1.0)
    first = fits.argmax(axis=1)
    rows = np.arange(n)
    none = ~fits.any(axis=1)
    width_N = np.where(none, np.minimum(1.0, crop_ratio / aspect_N), width[rows, first])
    height_N = np.where(none, np.minimum(1.0, crop_ratio * aspect_N), height[rows, first])
    return width_N, height_N


def crop_matrices(rng: np.random.Generator, width_N: np.ndarray, height_N: np.ndarray) -> np.ndarray:
    """Return the matrices of crops of these fractions at uniformly random places."""
    matrices = identity(len(width_N))
    matrices[:, 0, 0] = width_N
    matrices[:, 1, 1] = height_N
    matrices[:, 0, 2] = rng.uniform(-1.0, 1.0, len(width_N)) * (1.0 - width_N)
    matrices[:, 1, 2] = rng.uniform(-1.0, 1.0, len(height_N)) * (1.0 - height_N)
    return matrices


def flip_matrices(rng: np.random.Generator, n: int, flip: str) -> np.ndarray:
    """Return the matrices of random mirror images.

    Args:
        rng: source of the draws.
        n: number of matrices.
        flip: `none`, `horizontal` (half of the images), or `both`: one of the square's eight symmetries.
    """
    matrices = identity(n)
    if flip == "none":
        return matrices
    matrices[:, 0, 0] = rng.choice([-1.0, 1.0], n)
    if flip == "both":
        matrices[:, 1, 1] = rng.choice([-1.0, 1.0], n)
        turned = rng.random(n) < 0.5
        matrices[turned] = matrices[turned][:, [1, 0, 2], :]
    return matrices


def identity(n: int) -> np.ndarray:
    """Return n unit matrices [n, 3, 3]."""
    return np.tile(np.eye(3), (n, 1, 1))
