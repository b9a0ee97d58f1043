"""Scalar fields over an image: coordinates, filtered noise, soft shapes. Shapes are [S,S], lengths in units."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float32]  # [S,S]
Rgb = NDArray[np.float32]  # [S,S,3], values around 0..1

SIDE = 96.0  # units along an image's side
_SUPERSAMPLE = 4


@lru_cache(maxsize=4)
def coordinates(size_px: int) -> tuple[Field, Field]:
    """Return x and y of every pixel centre, in units, 0 at the left and top edge."""
    line = ((np.arange(size_px) + 0.5) * (SIDE / size_px)).astype(np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    x.flags.writeable = y.flags.writeable = False
    return x, y


@lru_cache(maxsize=4)
def _frequencies(size_px: int) -> tuple[Field, Field]:
    step = SIDE / size_px
    fy, fx = np.meshgrid(np.fft.fftfreq(size_px, step), np.fft.rfftfreq(size_px, step), indexing="ij")
    return fx.astype(np.float32), fy.astype(np.float32)


def _gaussian(size_px: int, along: float, across: float, angle: float) -> Field:
    """Return the transfer function of a Gaussian blur with two standard deviations, turned by `angle`."""
    fx, fy = _frequencies(size_px)
    u = fx * math.cos(angle) + fy * math.sin(angle)
    v = fy * math.cos(angle) - fx * math.sin(angle)
    return np.exp(np.float32(-2 * math.pi**2) * ((along * u) ** 2 + (across * v) ** 2), dtype=np.float32)


def noise(rng: np.random.Generator, size_px: int, along: float, across: float, angle: float = 0.0) -> Field:
    """Return Gaussian noise blurred by two standard deviations, mean 0, standard deviation 1, periodic."""
    white = rng.standard_normal((size_px, size_px), dtype=np.float32)
    spectrum = np.fft.rfft2(white) * _gaussian(size_px, along, across, angle)
    spectrum[0, 0] = 0  # the mean
    field = np.fft.irfft2(spectrum, s=(size_px, size_px)).astype(np.float32, copy=False)
    deviation = math.sqrt(float(np.vdot(field, field)) / field.size)
    return field * np.float32(1 / max(deviation, 1e-6))


def rotated(size_px: int, angle: float, centre: tuple[float, float] = (0.0, 0.0)) -> tuple[Field, Field]:
    """Return coordinates along and across a direction, measured from `centre`, in units."""
    x, y = coordinates(size_px)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return dx * cos + dy * sin, dy * cos - dx * sin


def sigmoid(field: Field) -> Field:
    """Return 1 / (1 + exp(-field)) without overflow."""
    return np.asarray(np.float32(0.5) * (np.tanh(field * np.float32(0.5)) + np.float32(1.0)), dtype=np.float32)


def strokes(size_px: int, lines: list[tuple[list[tuple[float, float]], float]]) -> Field:
    """Return the cover 0..1 of polylines, each with its points and width in units, antialiased."""
    scale = size_px * _SUPERSAMPLE / SIDE
    canvas = Image.new("L", (size_px * _SUPERSAMPLE, size_px * _SUPERSAMPLE))
    draw = ImageDraw.Draw(canvas)
    for points, width in lines:
        scaled = [(x * scale, y * scale) for x, y in points]
        draw.line(scaled, fill=255, width=max(1, round(width * scale)), joint="curve")
    cover = np.asarray(canvas.reduce(_SUPERSAMPLE), dtype=np.float32)
    return cover / np.float32(255)
