"""`Metrics`: what the server counts, and the Prometheus text of it.

Counted in plain numbers by the event loop alone, since prometheus_client's own counters take a lock each; it writes the
text. Label sets are fixed: nothing that a client sends becomes a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypedDict

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

STAGES = ("read", "decode", "queue", "infer", "total")
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CODES = frozenset({200, 400, 401, 404, 405, 413, 415, 421, 422, 429, 500, 503, 504})


@dataclass
class Histogram:
    """Counts of values by upper bound, the last for those above all, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Begin with nothing counted."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def see(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Snapshot(TypedDict):
    """The counts of a process or of several, as JSON has them; of a histogram the counts and then the sum."""

    requests: dict[str, float]
    rejections: dict[str, float]
    stages: dict[str, list[float]]
    batches: list[float]
    counts: dict[str, float]
    gauges: dict[str, float]


class Metrics:
    """Counts of one process.

    Attributes:
        requests: by status code.
        rejections: by reason, of requests that got no prediction.
        stages: seconds by stage, of answered requests; answers from the cache are counted in `cache_hits` alone.
        batches: images in one model call.
    """

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.rejections: Counter[str] = Counter()
        self.stages = {stage: Histogram(SECONDS) for stage in STAGES}
        self.batches = Histogram(BATCHES)
        self.cache_hits = 0
        self.cache_misses = 0
        self.workers_replaced = 0

    def see_status(self, status: int) -> None:
        """Count one reply; an unforeseen status counts as 500, so that the label set stays fixed."""
        self.requests[status if status in _CODES else 500] += 1

    def snapshot(self, gauges: Mapping[str, float]) -> Snapshot:
        """Return everything as JSON values, to be summed with other processes'."""
        return {
            "requests": {str(code): n for code, n in self.requests.items()},
            "rejections": dict(self.rejections),
            "stages": {stage: [*one.counts, one.total] for stage, one in self.stages.items()},
            "batches": [*self.batches.counts, self.batches.total],
            "counts": {
                "cache_hits": self.cache_hits,
                "cache_misses": self.cache_misses,
                "workers_replaced": self.workers_replaced,
            },
            "gauges": dict(gauges),
        }


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sums of snapshots, at least one; of the degrade level the greatest."""
    return reduce(_sum, snapshots)


def _sum(a: Snapshot, b: Snapshot) -> Snapshot:
    return {
        "requests": _added(a["requests"], b["requests"]),
        "rejections": _added(a["rejections"], b["rejections"]),
        "stages": {stage: _summed(values, b["stages"][stage]) for stage, values in a["stages"].items()},
        "batches": _summed(a["batches"], b["batches"]),
        "counts": _added(a["counts"], b["counts"]),
        "gauges": _added(a["gauges"], b["gauges"], greatest="degrade_level"),
    }


def _added(a: Mapping[str, float], b: Mapping[str, float], greatest: str = "") -> dict[str, float]:
    """Return the sum of each name that one of the two has; of `greatest` the greater."""
    both = {name: (a.get(name, 0), b.get(name, 0)) for name in {**a, **b}}
    return {name: max(pair) if name == greatest else sum(pair) for name, pair in both.items()}


def _summed(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [x + y for x, y in zip(a, b, strict=True)]


def prometheus_text(total: Snapshot, models: Iterable[Mapping[str, str]]) -> bytes:
    """Return a merged snapshot in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(total, models))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, total: Snapshot, models: Iterable[Mapping[str, str]]) -> None:
        self.total, self.models = total, models

    def collect(self) -> Iterator[Metric]:
        total = self.total
        requests = CounterMetricFamily("imgc_requests", "Replies by status code.", labels=["code"])
        for code in sorted(_CODES):
            requests.add_metric([str(code)], total["requests"].get(str(code), 0))
        yield requests
        rejections = CounterMetricFamily("imgc_rejections", "Requests without a prediction.", labels=["reason"])
        for reason, n in sorted(total["rejections"].items()):
            rejections.add_metric([reason], n)
        yield rejections
        stages = HistogramMetricFamily("imgc_stage_seconds", "Seconds of answered requests.", labels=["stage"])
        for stage, values in total["stages"].items():
            stages.add_metric([stage], _buckets(SECONDS, values), values[-1])
        yield stages
        yield HistogramMetricFamily(
            "imgc_batch_size", "Images in one model call.", buckets=_buckets(BATCHES, total["batches"]),
            sum_value=total["batches"][-1],
        )  # fmt: skip
        for name, n in total["counts"].items():
            yield CounterMetricFamily(f"imgc_{name}", _HELP[name], value=n)
        for name, value in total["gauges"].items():
            yield GaugeMetricFamily(f"imgc_{name}", _HELP[name], value=value)
        info = InfoMetricFamily("imgc_model", "The served models.", labels=[])
        for model in self.models:
            info.add_metric([], dict(model))
        yield info


_HELP = {
    "cache_hits": "Images answered from the cache.",
    "cache_misses": "Images not found in the cache.",
    "workers_replaced": "Worker threads that died or hung.",
    "queue_depth": "Jobs that no thread has begun.",
    "in_flight": "Requests admitted and not gone.",
    "cache_bytes": "Bytes taken by cached answers.",
    "degrade_level": "1 while the smaller model answers.",
    "resident_bytes": "Resident set of the server's processes.",
    "processes": "Server processes.",
}


def _buckets(bounds: tuple[float, ...], values: list[float]) -> list[tuple[str, float]]:
    names = [*(str(bound) for bound in bounds), "+Inf"]
    running, buckets = 0.0, []
    for name, count in zip(names, values[:-1], strict=True):
        running += count
        buckets.append((name, running))
    return buckets
