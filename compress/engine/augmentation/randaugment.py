"""RandAugment (Cubuk et al. 2020) on a batch: two operations an image, each image its own.

Geometric operations come out as matrices, to be composed with the crop into one sampling; the photometric ones run
on the whole batch with a neutral strength where an image did not draw them. Equalize and Sharpness of the paper's
list are left out: they need a histogram or a convolution an image, for the least gain of the list.
Magnitudes are scaled as in torchvision: m / 30 of each operation's range.
"""

from __future__ import annotations

import numpy as np
import torch

from compress.engine.augmentation.affine import identity
from compress.engine.augmentation.photometric import auto_contrast, blend_brightness, blend_contrast, blend_saturation

GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
PHOTOMETRIC = ("brightness", "contrast", "saturation", "posterize", "solarize", "auto_contrast")
OPERATIONS = ("identity", *GEOMETRIC, *PHOTOMETRIC)
_OPS_PER_IMAGE = 2
_MAX_MAGNITUDE = 30


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return operation indices into OPERATIONS [n, 2] and random signs -1 or +1 [n, 2]."""
    return rng.integers(len(OPERATIONS), size=(n, _OPS_PER_IMAGE)), rng.choice([-1.0, 1.0], (n, _OPS_PER_IMAGE))


def geometry(chosen_N2: np.ndarray, signs_N2: np.ndarray, magnitude: int) -> np.ndarray:
    """Return the matrices [N, 3, 3] of the drawn geometric operations; the unit matrix where none was drawn."""
    strength = magnitude / _MAX_MAGNITUDE
    matrices = identity(len(chosen_N2))
    for slot in range(_OPS_PER_IMAGE):
        for index, name in enumerate(OPERATIONS):
            rows = np.flatnonzero(chosen_N2[:, slot] == index) if name in GEOMETRIC else np.empty(0, int)
            for row in rows:
                matrices[row] = matrices[row] @ _matrix(name, strength * signs_N2[row, slot])
    return matrices


def _matrix(name: str, strength: float) -> np.ndarray:
    """Return one 3 x 3 matrix; ranges: shear 0.3, translation 150/331 of the side, rotation 30 degrees."""
    matrix = np.eye(3)
    if name == "rotate":
        angle = np.deg2rad(30.0 * strength)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    elif name in ("shear_x", "shear_y"):
        row, column = (0, 1) if name == "shear_x" else (1, 0)
        matrix[row, column] = 0.3 * strength
    else:
        matrix[0 if name == "translate_x" else 1, 2] = 2.0 * (150.0 / 331.0) * strength
    return matrix


def photometry(images_NCHW: torch.Tensor, chosen_N2: np.ndarray, signs_N2: np.ndarray, magnitude: int) -> torch.Tensor:
    """Return the images (0..255) after the drawn photometric operations."""
    strength = magnitude / _MAX_MAGNITUDE
    for slot in range(_OPS_PER_IMAGE):
        for name in PHOTOMETRIC:
            rows = np.flatnonzero(chosen_N2[:, slot] == OPERATIONS.index(name))
            if len(rows):
                index = torch.from_numpy(rows).to(images_NCHW.device)
                factors = torch.from_numpy(1.0 + 0.9 * strength * signs_N2[rows, slot]).to(images_NCHW)
                images_NCHW[index] = _apply(name, images_NCHW[index], factors, strength)
    return images_NCHW


def _apply(name: str, images_NCHW: torch.Tensor, factors_N: torch.Tensor, strength: float) -> torch.Tensor:
    if name == "brightness":
        return blend_brightness(images_NCHW, factors_N)
    if name == "contrast":
        return blend_contrast(images_NCHW, factors_N)
    if name == "saturation":
        return blend_saturation(images_NCHW, factors_N)
    if name == "posterize":
        step = 2.0 ** round(4.0 * strength)
        return torch.floor(images_NCHW / step) * step
    if name == "solarize":
        return torch.where(images_NCHW >= 255.0 * (1.0 - strength), 255.0 - images_NCHW, images_NCHW)
    return auto_contrast(images_NCHW)
