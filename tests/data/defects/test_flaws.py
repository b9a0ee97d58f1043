from __future__ import annotations

import numpy as np
import pytest

from compress.data.defects.flaws import DISTRACTORS, FLAWS, Scene
from compress.data.defects.surfaces import SURFACES


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("surface", SURFACES)
def test_flaw_changes_a_small_part_and_more_when_stronger(flaw: str, surface: str) -> None:
    ground = SURFACES[surface](np.random.default_rng(0), 96)
    before = ground.image.copy()
    changes = []
    for strength in (0.1, 0.9):
        image = FLAWS[flaw](np.random.default_rng(7), Scene(ground, 0.5, strength))
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        change = np.abs(image - ground.image).mean(axis=2)
        assert 0.0005 < (change > 0.02).mean() < 0.35
        changes.append(float(change.sum()))
    assert changes[1] > changes[0]
    assert (ground.image == before).all()


@pytest.mark.parametrize("distract", DISTRACTORS)
def test_distractors_leave_the_surface_itself_alone(distract) -> None:
    ground = SURFACES["metal"](np.random.default_rng(0), 64)
    before = ground.image.copy()
    image = distract(np.random.default_rng(1), ground)
    assert (ground.image == before).all()
    assert not (image == before).all()
