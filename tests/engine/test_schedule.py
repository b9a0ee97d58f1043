from __future__ import annotations

import pytest

from compress.engine.options import FitOptions
from compress.engine.schedule import learning_rate, training_side


def _rates(options: FitOptions, steps: int = 10) -> list[float]:
    return [learning_rate(step, steps, options) for step in range(options.epochs * steps)]


def test_rises_linearly_to_lr_then_falls_to_the_final_fraction():
    rates = _rates(FitOptions(epochs=4, lr=1.0, lr_final=0.1, warmup_epochs=1))
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == pytest.approx(1.0)
    assert max(rates) == rates[10]
    assert rates[-1] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_warmup_is_at_most_half_the_run():
    assert _rates(FitOptions(epochs=1, lr=1.0, warmup_epochs=5))[5] == pytest.approx(1.0)


def test_frozen_epochs_run_at_lr_and_the_warmup_follows_them():
    rates = _rates(FitOptions(epochs=4, lr=1.0, freeze_epochs=1, warmup_epochs=1))
    assert rates[:10] == [1.0] * 10
    assert rates[10] < 0.2


def test_constant_stays_at_lr_after_the_warmup():
    assert set(_rates(FitOptions(epochs=2, lr=0.5, schedule="constant", warmup_epochs=0))) == {0.5}


def test_images_grow_by_the_epoch_alone_to_the_full_side_at_70_percent():
    options = FitOptions(epochs=10, progressive_px=96)
    assert [training_side(epoch, 160, options) for epoch in range(10)] == [96, 96, 96, 96, 128, 128, 128, 160, 160, 160]


@pytest.mark.parametrize("start", [None, 160, 224])
def test_images_are_full_at_once_where_nothing_is_to_grow(start):
    assert training_side(0, 160, FitOptions(progressive_px=start)) == 160
