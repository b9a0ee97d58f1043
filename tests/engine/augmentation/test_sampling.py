from __future__ import annotations

import numpy as np
import pytest

from compress.engine.augmentation.sampling import draw
from compress.engine.options import FitOptions


def test_equal_generators_draw_equally():
    options = FitOptions(randaugment=9, color_jitter=0.3, mixup=0.4, cutmix=0.4)
    (first, mixing), (again, same_mixing) = (draw(np.random.default_rng(2), np.ones(5), options, 32) for _ in range(2))
    assert np.array_equal(first.matrices_N33, again.matrices_N33)
    assert np.array_equal(first.jitter_3N, again.jitter_3N)
    assert np.array_equal(mixing.partner_N, same_mixing.partner_N)
    assert (mixing.kind, mixing.share, mixing.box) == (same_mixing.kind, same_mixing.share, same_mixing.box)


def test_what_is_off_is_not_drawn():
    draws, mixing = draw(np.random.default_rng(0), np.ones(3), FitOptions(), 32)
    assert draws.jitter_3N is None
    assert mixing is None


def test_both_kinds_of_mixing_take_turns():
    options = FitOptions(mixup=1.0, cutmix=1.0)
    kinds = {draw(np.random.default_rng(seed), np.ones(4), options, 32)[1].kind for seed in range(20)}
    assert kinds == {"mixup", "cutmix"}


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_keeps_the_share_that_lies_outside_the_box(seed):
    _, mixing = draw(np.random.default_rng(seed), np.ones(4), FitOptions(cutmix=1.0), 32)
    top, bottom, left, right = mixing.box
    assert 0 <= top <= bottom <= 32
    assert 0 <= left <= right <= 32
    assert mixing.share == 1 - (bottom - top) * (right - left) / 32**2


def test_some_rows_are_those_of_all():
    draws, _ = draw(np.random.default_rng(0), np.ones(6), FitOptions(color_jitter=0.2), 32)
    some = draws.of(np.array([4, 1]))
    assert np.array_equal(some.matrices_N33, draws.matrices_N33[[4, 1]])
    assert np.array_equal(some.jitter_3N, draws.jitter_3N[:, [4, 1]])
