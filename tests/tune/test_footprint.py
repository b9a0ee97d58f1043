from __future__ import annotations

from math import inf, sqrt

import pytest

from compress.tune.footprint import SHARE, Footprint, largest_px, largest_share
from compress.tune.goal import Goal

REST = 100_000  # bytes of the whole network that are no parameters


def footprint(params: int = 2_000_000, ms: float = 1.0, memory: int | None = 100) -> Footprint:
    left = round(params * SHARE)
    return Footprint(
        input_px=128,
        params=params,
        left_params=left,
        size_bytes=left + round(REST * sqrt(SHARE)),
        latency_ms=ms,
        memory_bytes=memory,
        step_s=1.0,
    )


@pytest.mark.parametrize("allowed", [300_000, 700_000, 1_000_000])
def test_the_share_fills_the_size_and_does_not_overfill_it(allowed: int):
    share = largest_share(footprint(), Goal(max_size_bytes=allowed))
    size = 2_000_000 * share + REST * sqrt(share)
    assert 0.97 * allowed < size <= allowed


def test_a_network_that_fits_is_kept_whole():
    assert largest_share(footprint(), Goal(max_size_bytes=10**8)) == 1.0
    assert largest_share(footprint(), Goal()) == 1.0


def test_the_image_is_bounded_by_the_tighter_of_time_and_memory():
    assert largest_px(footprint(), Goal()) == inf
    assert largest_px(footprint(), Goal(max_latency_ms=4.0)) == 256
    assert largest_px(footprint(), Goal(max_latency_ms=4.0, max_memory_bytes=25)) == 64
    assert largest_px(footprint(memory=None), Goal(max_memory_bytes=25)) == inf
