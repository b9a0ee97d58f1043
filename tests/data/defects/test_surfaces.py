from __future__ import annotations

import numpy as np
import pytest

from compress.data.defects.surfaces import SURFACES


@pytest.mark.parametrize("name", SURFACES)
def test_surface_is_a_texture_of_middle_brightness(name: str) -> None:
    for seed in range(10):
        surface = SURFACES[name](np.random.default_rng(seed), 64)
        assert surface.image.shape == (64, 64, 3)
        assert surface.image.dtype == np.float32
        assert 0.2 < surface.image.mean() < 0.85
        assert 0.01 < surface.contrast < 0.2
