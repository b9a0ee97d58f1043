"""What lives at once, by hand: images and their mean, then mean and answers."""

from __future__ import annotations

from compress.measure.arena import arena_bytes
from tests.tiny_files import SIDE


def test_the_greatest_sum_of_what_lives_at_once_is_counted(tiny):
    images, pooled = SIDE * SIDE * 3, 3
    assert arena_bytes(tiny.tflite()) == 4 * (images + pooled)
    assert arena_bytes(tiny.tflite(int8=True)) == images + pooled
