"""The six flaws, painted on a surface. Pairs are alike on purpose: scratch and crack, dent and hole, stain and rust."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compress.data.defects.fields import SIDE, Field, Rgb, coordinates, noise, rotated, sigmoid, strokes
from compress.data.defects.surfaces import Surface

Point = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What a flaw is painted on: the surface, the direction the light comes from, and how plain the flaw is, 0..1."""

    surface: Surface
    light_angle: float
    strength: float

    @property
    def size_px(self) -> int:
        """Return the image's side in pixels."""
        return int(self.surface.image.shape[0])

    def contrast(self, low: float, high: float) -> float:
        """Return a contrast between two bounds by the strength, raised on a busy texture."""
        return (low + (high - low) * self.strength) * (0.75 + 3.5 * self.surface.contrast)


def _place(rng: np.random.Generator, margin: float) -> Point:
    x, y = rng.uniform(margin, SIDE - margin, 2)
    return float(x), float(y)


def _shaded(image: Rgb, change: Field) -> Rgb:
    """Return the image with its brightness changed by a fraction."""
    return image * (np.float32(1) + change)[:, :, None]


def _mixed(image: Rgb, cover: Field, colour: Rgb) -> Rgb:
    """Return the image covered by another colour, by a cover 0..1."""
    return image + (colour - image) * cover[:, :, None]


def _ellipse(rng: np.random.Generator, size_px: int, centre: Point, radius: float, oblong: float) -> Field:
    """Return the distance from a centre, 1 at the edge of an ellipse of a mean radius in units."""
    ratio = rng.uniform(1.0, oblong)
    along, across = rotated(size_px, rng.uniform(0, math.pi), centre)
    stretch = math.sqrt(ratio)
    distance = np.hypot(along / np.float32(radius * stretch), across * np.float32(stretch / radius))
    return np.asarray(distance, dtype=np.float32)


def _bell(field: Field) -> Field:
    """Return exp(-field^2)."""
    return np.asarray(np.exp(-(field**2)), dtype=np.float32)


def _arc(rng: np.random.Generator, start: Point, angle: float, length: float, bend: float) -> list[Point]:
    """Return 9 points of a slightly bent line around `start`."""
    points = []
    for t in np.linspace(-0.5, 0.5, 9):
        turned = angle + bend * float(t)
        points.append(
            (start[0] + math.cos(turned) * length * float(t), start[1] + math.sin(turned) * length * float(t))
        )
    return points


def scratch(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint one to three straight or slightly bent grooves: one bright flank, one dark."""
    angle, length = rng.uniform(0, math.pi), rng.uniform(30, 72)
    width, bend = rng.uniform(1.0, 1.9), rng.normal(0, 0.25)
    centre = _place(rng, 20)
    offset = (math.cos(scene.light_angle) * width * 0.8, math.sin(scene.light_angle) * width * 0.8)
    lines = []
    for index in range(int(rng.choice([1, 2, 2, 3]))):
        start = (centre[0] + index * rng.uniform(-6, 6), centre[1] + index * rng.uniform(-6, 6))
        lines.append((_arc(rng, start, angle + index * rng.normal(0, 0.06), length * rng.uniform(0.6, 1), bend), width))
    flank = [([(x + offset[0], y + offset[1]) for x, y in points], w) for points, w in lines]
    contrast = scene.contrast(0.66, 1.5)
    groove = strokes(scene.size_px, flank) * contrast - strokes(scene.size_px, lines) * contrast * rng.uniform(0.2, 0.9)
    fade = 0.75 + 0.25 * noise(rng, scene.size_px, 8.0, 8.0)
    return _shaded(scene.surface.image, (groove * np.clip(fade, 0.3, 1.1)).astype(np.float32))


def _walk(rng: np.random.Generator, start: Point, angle: float, length: float, jag: float) -> list[Point]:
    """Return the points of a jagged line that keeps roughly one direction."""
    points, travelled, (x, y) = [start], 0.0, start
    while travelled < length:
        step, turned = rng.uniform(2.0, 5.0), angle + rng.normal(0, jag)
        x, y, travelled = x + math.cos(turned) * step, y + math.sin(turned) * step, travelled + step
        points.append((x, y))
    return points


def crack(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint a dark jagged line, thinner towards its end, mostly with branches."""
    angle, length, jag = rng.uniform(0, 2 * math.pi), rng.uniform(24, 62), rng.uniform(0.4, 0.8)
    centre = _place(rng, 24)
    start = (centre[0] - math.cos(angle) * length / 2, centre[1] - math.sin(angle) * length / 2)
    trunk, width = _walk(rng, start, angle, length, jag), rng.uniform(1.1, 2.0)
    half = len(trunk) // 2
    lines = [(trunk[: half + 1], width), (trunk[half:], width * 0.7)]
    for _ in range(int(rng.integers(0, 4))):
        fork = trunk[int(rng.integers(1, len(trunk)))]
        turned = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
        lines.append((_walk(rng, fork, turned, rng.uniform(5, 18), jag), width * 0.65))
    dark = strokes(scene.size_px, lines) * np.float32(-min(scene.contrast(0.6, 1.45), 0.9))
    return _shaded(scene.surface.image, dark)


def dent(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint a shallow hollow: bright on the side away from the light, dark on the near side, texture kept."""
    centre, radius = _place(rng, 16), rng.uniform(5, 13)
    distance = _ellipse(rng, scene.size_px, centre, radius, 1.7)
    towards, _ = rotated(scene.size_px, scene.light_angle, centre)
    bowl = _bell(distance * np.float32(1.1))
    slope = -towards / np.float32(radius) * bowl * np.float32(2.2)
    change = slope * scene.contrast(0.36, 1.0) - bowl * np.float32(rng.uniform(0, 0.12))
    return _shaded(scene.surface.image, change.astype(np.float32))


def hole(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint a small dark pit with a firm edge and a rim that is lit on the side away from the light."""
    centre, radius = _place(rng, 12), rng.uniform(2.2, 6.5)
    distance = _ellipse(rng, scene.size_px, centre, radius, 1.4)
    distance = distance + noise(rng, scene.size_px, 2.0, 2.0) * np.float32(0.06)
    inside = sigmoid((1 - distance) * np.float32(radius * rng.uniform(1.5, 4)))
    towards, _ = rotated(scene.size_px, scene.light_angle, centre)
    rim = _bell((distance - np.float32(1.2)) * np.float32(3)) * towards / np.float32(-radius)
    change = inside * -min(scene.contrast(0.72, 1.9), 0.92) + rim * np.float32(rng.uniform(0.03, 0.2))
    return _shaded(scene.surface.image, change.astype(np.float32))


def _patch(rng: np.random.Generator, size_px: int, ragged: float, grain: float) -> Field:
    """Return an irregular patch: positive inside, about 1 in the middle, falling outward through 0 at its edge."""
    distance = _ellipse(rng, size_px, _place(rng, 18), rng.uniform(7, 17), 2.0)
    edge = noise(rng, size_px, 5.0, 5.0) * np.float32(ragged) + noise(rng, size_px, grain, grain) * np.float32(0.12)
    return (1 - distance + edge).astype(np.float32)


def stain(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint a smooth film of liquid, darker or lighter, often with a dried ring at its edge."""
    patch = _patch(rng, scene.size_px, rng.uniform(0.1, 0.3), 2.5)
    cover = sigmoid(patch * np.float32(rng.uniform(5, 14)))
    if rng.uniform() < 0.4:
        cover = cover * np.float32(0.6) + _bell(patch * np.float32(7)) * np.float32(0.6)
    brown = rng.uniform() < 0.6
    hue = np.array([0.62, 0.42, 0.25]) if brown else rng.uniform(0.1, 0.9, 3)
    tint: Rgb = (hue * rng.uniform(0.6, 1.1)).astype(np.float32)
    film = scene.surface.image * np.float32(0.55) + tint * np.float32(0.45)  # a film lets the texture through
    if abs(float(film.mean() - scene.surface.image.mean())) < 0.08:  # no stain has just the surface's brightness
        film *= np.float32(0.72)
    return _mixed(scene.surface.image, cover * np.float32(min(scene.contrast(0.8, 2.1), 1.0)), film)


def rust(rng: np.random.Generator, scene: Scene) -> Rgb:
    """Paint a grainy orange-brown patch with a ragged edge and loose specks around it."""
    size_px = scene.size_px
    patch = _patch(rng, size_px, rng.uniform(0.2, 0.45), 1.0)
    grain = noise(rng, size_px, 0.8, 0.8)
    cover = sigmoid((patch + grain * np.float32(rng.uniform(0.15, 0.4))) * np.float32(rng.uniform(6, 14)))
    hue = np.array([0.60, 0.33, 0.16]) * rng.uniform(0.65, 1.15) + rng.normal(0, 0.02, 3)
    tint: Rgb = hue.astype(np.float32)
    colour: Rgb = tint * (np.float32(1) + np.float32(rng.uniform(0.15, 0.3)) * grain)[:, :, None]
    film: Rgb = scene.surface.image * np.float32(0.3) + colour * np.float32(0.7)
    return _mixed(scene.surface.image, cover * np.float32(min(scene.contrast(0.72, 2.0), 1.0)), film)


def specks(rng: np.random.Generator, surface: Surface) -> Rgb:
    """Scatter dust: dots of about a unit, dark or bright; no flaw."""
    x, y = coordinates(surface.image.shape[0])
    change = np.zeros_like(x)
    for _ in range(int(rng.integers(1, 6))):
        (px, py), radius = _place(rng, 2), rng.uniform(0.5, 1.1)
        change += np.exp(-((x - px) ** 2 + (y - py) ** 2) / np.float32(2 * radius**2)) * np.float32(rng.normal(0, 0.35))
    return _shaded(surface.image, np.clip(change, -0.7, 0.7))


def shadow(rng: np.random.Generator, surface: Surface) -> Rgb:
    """Let a soft shadow or reflection fall over a part of the image; no flaw."""
    along, _ = rotated(surface.image.shape[0], rng.uniform(0, 2 * math.pi), _place(rng, 20))
    edge = sigmoid(along / np.float32(rng.uniform(2, 12)))
    return _shaded(surface.image, edge * np.float32(rng.uniform(-0.28, 0.2)))


def streak(rng: np.random.Generator, surface: Surface) -> Rgb:
    """Draw a wide faint stripe along the grain, as tools and looms leave them; no flaw."""
    _, across = rotated(surface.image.shape[0], surface.angle, _place(rng, 10))
    stripe = np.exp(-(across**2) / np.float32(2 * rng.uniform(0.7, 3.0) ** 2))
    return _shaded(surface.image, (stripe * np.float32(rng.normal(0, 0.12))).astype(np.float32))


FLAWS: dict[str, Callable[[np.random.Generator, Scene], Rgb]] = {
    "scratch": scratch,
    "crack": crack,
    "dent": dent,
    "hole": hole,
    "stain": stain,
    "rust": rust,
}
DISTRACTORS: tuple[Callable[[np.random.Generator, Surface], Rgb], ...] = (specks, shadow, streak)
