"""Counting, summing over processes, and the Prometheus text, read back by Prometheus's own parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from compress.serve.core.metrics import BATCHES, SECONDS, STAGES, Histogram, Metrics, merged, prometheus_text

GAUGES = {"queue_depth": 1, "in_flight": 2, "degrade_level": 1, "resident_bytes": 100, "processes": 1}
VALUES = st.lists(st.one_of(st.floats(0, 20), st.sampled_from(SECONDS)), max_size=30)


def counted(statuses=(), reasons=(), seconds=(), sizes=(), hits=0) -> Metrics:
    metrics = Metrics()
    for status in statuses:
        metrics.see_status(status)
    metrics.rejections.update(reasons)
    for value in seconds:
        metrics.stages["infer"].see(value)
    for size in sizes:
        metrics.batches.see(size)
    metrics.cache_hits += hits
    return metrics


def samples(total, models=()) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = prometheus_text(total, models).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(VALUES)
def test_a_value_is_counted_under_the_first_bound_that_is_not_below_it(values):
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.see(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
    for place, bound in enumerate(SECONDS):
        assert sum(histogram.counts[: place + 1]) == sum(value <= bound for value in values)


def test_two_histograms_count_apart():
    one, other = Histogram(BATCHES), Histogram(BATCHES)
    one.see(1)
    assert sum(other.counts) == 0


PROCESS = st.fixed_dictionaries(
    {
        "statuses": st.lists(st.sampled_from([200, 400, 503]), max_size=10),
        "reasons": st.lists(st.sampled_from(["overloaded", "deadline", "wait"]), max_size=10),
        "seconds": VALUES,
        "sizes": st.lists(st.integers(1, 64), max_size=10),
        "hits": st.integers(0, 5),
    }
)


@given(st.lists(PROCESS, min_size=1, max_size=4))
def test_the_sum_of_processes_is_what_one_process_would_have_counted(processes):
    total = merged(json.loads(json.dumps(counted(**one).snapshot(GAUGES))) for one in processes)
    alone = counted(
        **{name: [x for one in processes for x in one[name]] for name in ("statuses", "reasons", "seconds", "sizes")},
        hits=sum(one["hits"] for one in processes),
    ).snapshot({})
    for name in ("requests", "rejections", "counts", "batches"):
        assert total[name] == alone[name]
    for stage in STAGES:
        assert total["stages"][stage] == pytest.approx(alone["stages"][stage])
    level = GAUGES["degrade_level"]
    assert total["gauges"] == {**{name: n * len(processes) for name, n in GAUGES.items()}, "degrade_level": level}


def test_of_the_degrade_level_the_greatest():
    levels = [counted().snapshot({"degrade_level": level}) for level in (0, 1, 0)]
    assert merged(levels)["gauges"] == {"degrade_level": 1}


def test_summing_leaves_the_parts_alone():
    parts = [counted(statuses=[200], reasons=["deadline"]).snapshot(GAUGES) for _ in range(2)]
    before = json.dumps(parts)
    merged(parts)
    assert json.dumps(parts) == before


def test_a_process_that_has_ended_has_no_gauges():
    ended = {**counted(statuses=[200]).snapshot(GAUGES), "gauges": {}}
    total = merged([counted(statuses=[200]).snapshot(GAUGES), ended])
    assert total["requests"] == {"200": 2}
    assert total["gauges"] == GAUGES


def test_the_text_says_what_was_counted():
    metrics = counted([200, 200, 503], ["wait"], [0.001, 0.0011, 99.0], [1, 3], hits=4)
    found = samples(metrics.snapshot(GAUGES), [{"name": "colours", "version": 'a"\\b'}])
    assert found["imgc_requests_total", (("code", "200"),)] == 2
    assert found["imgc_requests_total", (("code", "503"),)] == 1
    assert found["imgc_requests_total", (("code", "404"),)] == 0, "there from the start, so that a rate has a begin"
    assert found["imgc_rejections_total", (("reason", "wait"),)] == 1
    assert found["imgc_cache_hits_total", ()] == 4
    assert found["imgc_queue_depth", ()] == 1
    assert found["imgc_batch_size_count", ()] == 2
    assert found["imgc_batch_size_sum", ()] == 4
    assert found["imgc_batch_size_bucket", (("le", "2.0"),)] == 1
    assert found["imgc_model_info", (("name", "colours"), ("version", 'a"\\b'))] == 1

    def infer(le: str) -> float:
        return found["imgc_stage_seconds_bucket", (("le", le), ("stage", "infer"))]

    assert [infer("0.0005"), infer("0.001"), infer("0.0025"), infer("10.0"), infer("+Inf")] == [0, 1, 2, 2, 3]
    assert found["imgc_stage_seconds_count", (("stage", "infer"),)] == 3
    assert found["imgc_stage_seconds_sum", (("stage", "infer"),)] == pytest.approx(99.0021)


def test_nothing_a_client_does_makes_a_new_label():
    names = set(samples(counted().snapshot(GAUGES)))
    assert set(samples(counted(statuses=[200, 418, 999, 0]).snapshot(GAUGES))) == names
    assert counted(statuses=[418]).requests == {500: 1}
