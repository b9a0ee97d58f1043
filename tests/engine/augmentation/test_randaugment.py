from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.engine.augmentation import randaugment


def _only(name: str, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.zeros((n, 2), dtype=int)
    chosen[:, 0] = randaugment.OPERATIONS.index(name)
    return chosen, np.ones((n, 2))


def _images() -> torch.Tensor:
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255


def test_every_operation_is_drawn():
    chosen, signs = randaugment.draw(np.random.default_rng(0), 500)
    assert set(chosen.ravel()) == set(range(len(randaugment.OPERATIONS)))
    assert set(signs.ravel()) == {-1.0, 1.0}


@pytest.mark.parametrize("name", randaugment.GEOMETRIC)
def test_geometric_operations_move_and_grow_with_the_magnitude(name):
    chosen, signs = _only(name)
    small, large = (randaugment.geometry(chosen, signs, m) - np.eye(3) for m in (5, 20))
    assert np.abs(small).max() > 0
    assert np.abs(large).sum() > np.abs(small).sum()
    assert torch.equal(randaugment.photometry(_images(), chosen, signs, 20), _images())


@pytest.mark.parametrize("name", randaugment.PHOTOMETRIC)
def test_photometric_operations_change_only_the_images_that_drew_them(name):
    chosen, signs = _only(name)
    chosen[2:] = 0
    images = randaugment.photometry(_images(), chosen, signs, 20)
    assert torch.equal(images[2:], _images()[2:])
    assert not torch.equal(images[:2], _images()[:2])
    assert images.min() >= 0
    assert images.max() <= 255.001
    np.testing.assert_array_equal(randaugment.geometry(chosen, signs, 20), np.tile(np.eye(3), (4, 1, 1)))


def test_posterize_leaves_few_levels():
    chosen, signs = _only("posterize")
    assert len(randaugment.photometry(_images(), chosen, signs, 30).unique()) <= 16
