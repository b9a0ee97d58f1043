from __future__ import annotations

import pytest
from torch import nn

from compress.engine.rate import fine_tuning_rate

NORMALISED = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    ("steps", "rate"), [(0, 1e-3), (35, 1e-3), (100, 1e-3), (200, 7.07e-4), (400, 5e-4), (9999, 5e-4)]
)
def test_few_steps_are_large_ones(steps, rate):
    assert fine_tuning_rate(NORMALISED, steps) == pytest.approx(rate, rel=1e-3)


def test_without_batch_norm_half_is_enough():
    assert fine_tuning_rate(nn.Conv2d(3, 4, 1), 100) == 5e-4
