"""Flawless surfaces: brushed metal, wood grain, woven fabric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compress.data.defects.fields import Field, Rgb, noise, rotated


@dataclass(frozen=True)
class Surface:
    """A surface lit evenly.

    Attributes:
        image: colours, 0..1.
        angle: direction of brushing, grain or thread, radians.
        contrast: standard deviation of the brightness that the texture alone has.
        shine: how strongly it reflects a lamp, 0..1.
    """

    image: Rgb
    angle: float
    contrast: float
    shine: float


def _coloured(shade: Field, dark: np.ndarray, light: np.ndarray) -> Rgb:
    """Return colours between two tones, by a shade around 0.5."""
    return np.asarray(dark + (light - dark) * shade[:, :, None], dtype=np.float32)


def _colour(rng: np.random.Generator, low: tuple[float, float, float], high: tuple[float, float, float]) -> np.ndarray:
    """Return one colour on the line between two, with a little scatter of its own."""
    mix = rng.uniform()
    colour = np.array(low) * (1 - mix) + np.array(high) * mix + rng.normal(0, 0.015, 3)
    return colour.astype(np.float32)


def _surface(image: Rgb, angle: float, shine: float) -> Surface:
    return Surface(image, angle, float(image.mean(axis=2).std()), shine)


def metal(rng: np.random.Generator, size_px: int) -> Surface:
    """Return brushed metal: grey, long thin streaks along one direction, some mottling."""
    angle = rng.uniform(0, math.pi)
    streaks = 0.8 * noise(rng, size_px, rng.uniform(12, 40), rng.uniform(0.4, 0.8), angle)
    streaks += 0.45 * noise(rng, size_px, 4.0, 0.45, angle)
    streaks += rng.uniform(0.1, 0.5) * noise(rng, size_px, 12.0, 12.0)
    shade = (0.5 + streaks * rng.uniform(0.06, 0.16)).astype(np.float32)
    tone = _colour(rng, (0.42, 0.43, 0.45), (0.66, 0.65, 0.63))
    return _surface(_coloured(shade, tone - 0.14, tone + 0.14), angle, rng.uniform(0.3, 1.0))


def wood(rng: np.random.Generator, size_px: int) -> Surface:
    """Return wood: bent rings of two browns and short fibres along the grain."""
    angle = rng.uniform(0, math.pi)
    _, across = rotated(size_px, angle)
    bend = noise(rng, size_px, rng.uniform(30, 60), rng.uniform(8, 16), angle) * rng.uniform(0.15, 0.6)
    rings = np.sin((across / rng.uniform(5, 16) + bend) * (2 * math.pi), dtype=np.float32)
    fibres = noise(rng, size_px, rng.uniform(6, 14), rng.uniform(0.4, 0.7), angle)
    shade = 0.5 + rings * rng.uniform(0.05, 0.22) + fibres * rng.uniform(0.05, 0.12)
    light = _colour(rng, (0.62, 0.46, 0.30), (0.80, 0.68, 0.50))
    return _surface(_coloured(shade, light * rng.uniform(0.6, 0.75), light), angle, rng.uniform(0.0, 0.5))


def fabric(rng: np.random.Generator, size_px: int) -> Surface:
    """Return plain or twill weave in one colour, with uneven threads."""
    angle = rng.uniform(0, math.pi)
    along, across = rotated(size_px, angle)
    turn = 2 * math.pi / rng.uniform(3.2, 6.5)
    wobble = noise(rng, size_px, 14.0, 14.0) * np.float32(rng.uniform(0.1, 0.7))
    if rng.uniform() < 0.5:
        weave = np.cos(along * turn + wobble) * np.cos(across * turn - wobble)
    else:
        weave = np.cos((along + across) * (turn * 0.7) + wobble) * (0.6 + 0.4 * np.cos(across * turn))
    threads = noise(rng, size_px, 16.0, 1.2, angle) + noise(rng, size_px, 1.2, 16.0, angle)
    shade = 0.5 + weave * rng.uniform(0.1, 0.3) + threads * rng.uniform(0.02, 0.07)
    grey = rng.uniform(0.35, 0.68)
    tone = np.clip(grey + rng.normal(0, 0.07, 3), 0.25, 0.8).astype(np.float32)
    return _surface(_coloured(shade.astype(np.float32), tone * 0.75, tone * 1.2), angle, 0.0)


SURFACES: dict[str, Callable[[np.random.Generator, int], Surface]] = {"metal": metal, "wood": wood, "fabric": fabric}
