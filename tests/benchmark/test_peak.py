from __future__ import annotations

import pytest

from compress.benchmark.peak import MAX_PROBES, TOLERANCE, Peak, find_peak


class Model:
    """A single queue whose p99 is known: arrivals and service are Poisson, so the time in it is exponential (M/M/1)."""

    def __init__(self, capacity_per_s, bound_ms=100.0, generator_per_s=float("inf")):
        self.peak = capacity_per_s - 4.605 * 1000 / bound_ms  # p99 = ln(100) / (capacity - rate)
        self.generator_per_s = generator_per_s
        self.asked = []

    def __call__(self, per_s):
        self.asked.append(per_s)
        if per_s > self.generator_per_s:
            return "void"
        return "held" if per_s <= self.peak else "missed"


@pytest.mark.parametrize("capacity", [60, 130, 400, 3333])
@pytest.mark.parametrize("start", [1, 50, 777])
def test_the_peak_is_found_to_five_percent_from_any_start(capacity, start):
    model = Model(capacity)
    found = find_peak(model, start, max_probes=60)
    assert found.limited_by == "server"
    assert model.peak / (1 + TOLERANCE) <= found.per_s <= model.peak
    assert found.per_s in model.asked


def test_a_good_guess_needs_few_probes():
    model = Model(300)
    assert find_peak(model, 130).limited_by == "server"
    assert len(model.asked) <= 10 < MAX_PROBES


def test_the_search_brackets_by_doubling_and_then_halves():
    model = Model(400)  # its peak is 354
    find_peak(model, 100)
    assert model.asked[:4] == [100, 200, 400, 400]
    assert model.asked[4] == pytest.approx((200 * 400) ** 0.5)
    assert all(200 < rate < 400 for rate in model.asked[4:])


def test_no_rate_holds():
    model = Model(1)
    found = find_peak(model, 64, max_probes=40)
    assert found == Peak(None, "server")
    assert min(model.asked) == 0.5


def test_a_late_generator_bounds_the_search_and_is_named():
    model = Model(1000, generator_per_s=150)
    found = find_peak(model, 100, max_probes=40)
    assert found.limited_by == "generator"
    assert 150 / (1 + TOLERANCE) <= found.per_s <= 150


@pytest.mark.parametrize("accident", ["void", "missed"])
def test_a_rate_that_did_not_hold_is_offered_once_more(accident):
    verdicts = iter([accident, "held", accident, "missed", *["missed"] * 40])
    asked = []

    def probe(per_s):
        asked.append(per_s)
        return next(verdicts)

    found = find_peak(probe, 100, max_probes=40)
    assert asked[:5] == [100, 100, 200, 200, pytest.approx(20000**0.5)]
    assert found == Peak(100, "server")


def test_the_search_ends_when_its_probes_are_used_up():
    model = Model(1e9)
    assert find_peak(model, 10, max_probes=3) == Peak(40, "time")
    assert model.asked == [10, 20, 40]
    assert find_peak(lambda _: "void", 10, max_probes=1) == Peak(None, "time")
