from __future__ import annotations

import numpy as np
import pytest

from compress.engine.augmentation.affine import crop_matrices, flip_matrices, random_crops


def test_crops_keep_area_and_shape_within_bounds_in_original_pixels():
    aspect = np.full(4000, 2.0)
    width, height = random_crops(np.random.default_rng(0), aspect, 0.3, 4 / 3)
    assert (width <= 1).all()
    assert (height <= 1).all()
    area, ratio = width * height, width * aspect / height
    assert area.min() >= 0.3 - 1e-9
    assert area.max() > 0.6
    assert ratio.min() == pytest.approx(3 / 4, abs=0.02)
    assert ratio.max() == pytest.approx(4 / 3, abs=0.02)


def test_without_freedom_the_crop_is_the_largest_square():
    rng = np.random.default_rng(0)
    width, height = random_crops(rng, np.array([2.0, 0.5, 1.0]), 1.0, 1.0)
    np.testing.assert_allclose(width, [0.5, 1.0, 1.0])
    np.testing.assert_allclose(height, [1.0, 0.5, 1.0])


def test_crops_lie_inside_the_image_and_reach_its_edges():
    rng = np.random.default_rng(0)
    matrices = crop_matrices(rng, np.full(2000, 0.5), np.full(2000, 0.25))
    corners = matrices @ np.array([[-1, 1], [-1, 1], [1, 1]])
    assert np.abs(corners[:, :2]).max() <= 1 + 1e-9
    assert corners[:, 0].min() < -0.99
    assert corners[:, 1].max() > 0.99


@pytest.mark.parametrize(("flip", "count"), [("none", 1), ("horizontal", 2), ("both", 8)])
def test_flips_are_the_symmetries_they_say(flip, count):
    matrices = flip_matrices(np.random.default_rng(0), 400, flip)
    distinct = {tuple(matrix.ravel()) for matrix in matrices}
    assert len(distinct) == count
    for matrix in matrices:
        np.testing.assert_array_equal(matrix @ matrix.T, np.eye(3))
