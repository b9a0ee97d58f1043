"""One image of the bundled data set: surface, distractors, flaw, light, camera."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from compress.data.defects.fields import SIDE, Rgb, coordinates
from compress.data.defects.flaws import DISTRACTORS, FLAWS, Scene
from compress.data.defects.surfaces import SURFACES, Surface

LABELS = ("ok", "scratch", "crack", "dent", "hole", "stain", "rust")
SPLIT_NUMBER = {"train": 0, "val": 1, "test": 2}
DISTRACTOR_SHARE = 0.45  # of images, per kind; the same for every class, so that it tells nothing


@dataclass(frozen=True)
class DefectImage:
    """An image as it is written to disk.

    Attributes:
        jpeg: the file's bytes.
        label: index into `LABELS`.
        surface: "metal", "wood" or "fabric".
        strength: how plain the flaw is, 0..1; 0 for an ok image.
    """

    jpeg: bytes
    label: int
    surface: str
    strength: float


def make_image(seed: int, split: str, index: int, size_px: int) -> DefectImage:
    """Return image `index` of a split; its class is `index % 7`.

    Args:
        seed: seed of the whole set.
        split: "train", "val" or "test".
        index: number of the image in its split, from 0.
        size_px: side in pixels.
    """
    rng = np.random.default_rng((seed, SPLIT_NUMBER[split], index))
    label = index % len(LABELS)
    name = str(rng.choice(list(SURFACES)))
    surface = SURFACES[name](rng, size_px)
    for distract in DISTRACTORS:
        if rng.uniform() < DISTRACTOR_SHARE:
            surface = replace(surface, image=distract(rng, surface))
    light_angle = rng.uniform(0, 2 * math.pi)
    strength = float(rng.beta(1.3, 1.3))
    if label:
        image = FLAWS[LABELS[label]](rng, Scene(surface, light_angle, strength))
        surface = replace(surface, image=image)
    return DefectImage(taken(rng, lit(rng, surface, light_angle)), label, name, strength if label else 0.0)


def lit(rng: np.random.Generator, surface: Surface, light_angle: float) -> Rgb:
    """Return the surface under one lamp: a gradient, a vignette, a highlight, a colour temperature."""
    x, y = coordinates(surface.image.shape[0])
    dx, dy = (x - np.float32(SIDE / 2)) / np.float32(SIDE), (y - np.float32(SIDE / 2)) / np.float32(SIDE)
    gradient = (dx * math.cos(light_angle) + dy * math.sin(light_angle)) * rng.uniform(0.0, 0.45)
    light = rng.uniform(0.75, 1.2) * (1 + gradient - rng.uniform(0, 0.5) * (dx**2 + dy**2))
    px, py = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
    spot = np.exp(-((dx - px) ** 2 + (dy - py) ** 2) / (2 * rng.uniform(0.12, 0.4) ** 2))
    warmth = rng.normal(0, 0.04)
    lamp = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    lit = surface.image * light.astype(np.float32)[:, :, None] * lamp
    return lit + (spot * (0.22 * surface.shine * rng.uniform())).astype(np.float32)[:, :, None]


def taken(rng: np.random.Generator, scene: Rgb) -> bytes:
    """Return the JPEG a small camera would make: blur, sensor noise, compression."""
    sharp = Image.fromarray(_to_bytes(scene))
    radius = rng.uniform(0.05, 0.75) * scene.shape[0] / SIDE
    image = np.asarray(sharp.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / np.float32(255)
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.03))
    buffer = io.BytesIO()
    Image.fromarray(_to_bytes(image)).save(buffer, "JPEG", quality=int(rng.integers(70, 96)))
    return buffer.getvalue()


def _to_bytes(image: Rgb) -> NDArray[np.uint8]:
    """Return values 0..1 as 0..255, clipped, rounded."""
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
