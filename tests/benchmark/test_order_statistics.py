from __future__ import annotations

import random

import pytest

from compress.benchmark.order_statistics import percentile, percentile_ci95


def test_percentiles():
    assert percentile([1.0, 2.0, 3.0], 50) == 2
    assert percentile([], 99) is None


def test_the_interval_has_the_ranks_of_the_binomial():
    values = [float(value) for value in range(1, 1001)]
    assert percentile_ci95(values, 50) == (469, 531)
    assert percentile_ci95(values, 99) == (983, 997)
    assert percentile_ci95(values[::-1], 99) == (983, 997)


@pytest.mark.parametrize(("n", "rank"), [(0, 99), (1, 50), (300, 99), (20, 90)])
def test_a_small_sample_has_no_interval(n, rank):
    assert percentile_ci95([1.0] * n, rank) is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    draw = random.Random(7)
    hits = 0
    for _ in range(400):
        low, high = percentile_ci95([draw.random() for _ in range(1000)], 90)
        hits += low <= 0.9 <= high
    assert 0.92 <= hits / 400 <= 0.99
