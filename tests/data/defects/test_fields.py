from __future__ import annotations

import math

import numpy as np

from compress.data.defects.fields import SIDE, coordinates, noise, rotated, sigmoid, strokes


def test_noise_is_standard_and_longer_along_its_angle() -> None:
    field = noise(np.random.default_rng(0), 96, along=8.0, across=0.8, angle=0.0)
    assert abs(float(field.mean())) < 1e-5
    assert abs(float(field.std()) - 1) < 1e-4
    assert np.abs(np.diff(field, axis=1)).mean() < 0.3 * np.abs(np.diff(field, axis=0)).mean()
    turned = noise(np.random.default_rng(0), 96, along=8.0, across=0.8, angle=math.pi / 2)
    assert np.abs(np.diff(turned, axis=0)).mean() < 0.3 * np.abs(np.diff(turned, axis=1)).mean()


def test_units_do_not_depend_on_the_size() -> None:
    for size_px in (64, 96, 256):
        x, y = coordinates(size_px)
        assert abs(float(x.mean()) - SIDE / 2) < 1e-3
        assert float(y.max()) < SIDE
        cover = strokes(size_px, [([(10.0, 48.0), (86.0, 48.0)], 2.0)])
        assert 0.012 < cover.mean() < 0.021  # 76 x 2 of 96 x 96 units
        assert cover.max() > 0.7


def test_rotation_and_sigmoid() -> None:
    along, across = rotated(96, math.pi / 2, (48.0, 48.0))
    assert along[95, 48] > 40
    assert abs(float(across[95, 48])) < 1
    assert sigmoid(np.array([[-1000.0, 0.0, 1000.0]], dtype=np.float32)).tolist() == [[0.0, 0.5, 1.0]]
