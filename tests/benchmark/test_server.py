from __future__ import annotations

import pytest

from compress.benchmark.http_client import LOCAL, Address
from compress.benchmark.images import generated
from compress.benchmark.server import ENOUGH, PeakSearch, judge, measure_server
from compress.benchmark.server_load import GAVE_UP, OK, SHED, Outcome
from compress.benchmark.server_process import free_port
from compress.core.stage import SilentReporter
from compress.errors import StageError
from tests.benchmark.tiny_server import SOURCE, start_tiny

BODIES = generated()[:3]


def outcomes(n=1000, *, latency_s=0.02, lag_s=0.001, status=OK):
    return [Outcome(index / n, status, latency_s, lag_s) for index in range(n)]


def test_a_probe_holds_when_its_p99_does_and_all_are_answered():
    found = judge(outcomes(), 1000, 1.0, 100)
    assert (found.verdict, found.n, found.not_ok) == ("held", 1000, 0)
    assert found.latency_p99_ms == pytest.approx(20)
    assert found.latency_p99_ci95_ms == pytest.approx((20, 20))


def test_a_slow_tail_or_one_refusal_misses():
    assert judge(outcomes(980) + outcomes(20, latency_s=0.2), 1000, 1.0, 100).verdict == "missed"
    assert judge(outcomes(995) + outcomes(5, latency_s=0.2), 1000, 1.0, 100).verdict == "held"
    assert judge(outcomes(999) + outcomes(1, status=SHED), 1000, 1.0, 100).verdict == "missed"
    found = judge(outcomes(50, status=GAVE_UP), 1000, 1.0, 100)
    assert (found.verdict, found.not_ok, found.latency_p99_ms) == ("missed", 50, None)


def test_a_late_generator_voids_the_probe_whatever_the_server_did():
    late = outcomes(980) + outcomes(20, lag_s=0.011)
    assert judge(late, 1000, 1.0, 100).verdict == "void"
    assert judge(late, 1000, 1.0, 120).verdict == "held"
    assert judge([], 1, 1.0, 100).verdict == "void"


class Modelled:
    """Generators of a load that is never made: every answer takes as long as a queue of this capacity makes it."""

    def __init__(self, capacity_per_s):
        self.capacity_per_s = capacity_per_s
        self.orders = []

    def offer(self, per_s, seconds, *, seed, mark):
        self.orders.append((per_s, seconds, seed, mark))
        late = per_s > self.capacity_per_s
        return outcomes(max(1, round(per_s * seconds)), latency_s=1.0 if late else 0.01)


@pytest.mark.parametrize("cache", ["off", "cold", "hot"])
def test_the_peak_of_a_server(cache):
    generators = Modelled(300)
    with start_tiny() as server:
        address = Address(LOCAL, server.port, "/classify")
        found = measure_server(address, generators, BODIES, PeakSearch(100, 4.0, cache, 40), "m.onnx", SilentReporter())
    assert 300 / 1.05 <= found.peak_per_s <= 300
    assert (found.limited_by, found.cache, found.model, found.images) == ("server", cache, "m.onnx", 3)
    assert found.latency_p99_ms == pytest.approx(10)
    assert found.warnings == ()
    assert found.n == sum(probe.n for probe in found.probes)
    marks = [mark for *_, mark in generators.orders]
    assert len({seed for *_, seed, _ in generators.orders}) == len(generators.orders)
    assert len(set(marks)) == (len(marks) if cache == "cold" else 1)
    assert all(4.0 <= seconds <= 8.0 for _, seconds, *_ in generators.orders)


def test_a_peak_of_few_queries_is_said_to_be_doubtful(monkeypatch):
    monkeypatch.setattr("compress.benchmark.server._one_by_one_s", lambda address, bodies: 0.005)  # tried first: 100/s
    address = Address(LOCAL, free_port())
    found = measure_server(address, Modelled(300), BODIES, PeakSearch(100, 1.0, "off", 40), "m", SilentReporter())
    none = measure_server(address, Modelled(0), BODIES, PeakSearch(100, 1.0, "off", 40), "m", SilentReporter())
    short = measure_server(address, Modelled(1e9), BODIES, PeakSearch(100, 1.0, "off", 2), "m", SilentReporter())
    assert [probe.per_s for probe in found.probes[:3]] == [100, 200, 400]
    assert "raise --seconds" in found.warnings[0]
    assert found.n < ENOUGH * len(found.probes)
    assert none.peak_per_s is None
    assert "no rate held" in none.warnings[0]
    assert (short.limited_by, "may lie higher" in short.warnings[-1]) == ("time", True)


def test_a_server_that_does_not_answer_or_refuses_is_an_error():
    search = PeakSearch(100, 1.0, "off")
    with pytest.raises(StageError, match="gave no answer") as refused:
        measure_server(Address(LOCAL, free_port()), Modelled(1), BODIES, search, "m", SilentReporter())
    assert refused.value.hint
    with (
        start_tiny(SOURCE.replace("self.answer(200, b'{", "self.answer(401, b'{")) as server,
        pytest.raises(StageError, match="answered 401"),
    ):
        measure_server(Address(LOCAL, server.port, "/x"), Modelled(1), BODIES, search, "m", SilentReporter())
