"""The numbers of a `Row` that can be compared: which way is worse, what they depend on, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from compress.benchmark.schema import Row
from compress.runtime.evaluate import Z95, wilson_ci95_pct

Interval = tuple[float, float]


@dataclass(frozen=True)
class Metric:
    """How a number is compared.

    Attributes:
        worse: "+" where a higher number is worse, "-" where a lower one is.
        needs: what must be equal on both sides: the machine and the setting, the images, or nothing ("file").
    """

    worse: Literal["+", "-"]
    needs: Literal["machine", "images", "file"]


METRICS: dict[str, Metric] = {
    "size_bytes": Metric("+", "file"),
    "gzip_bytes": Metric("+", "file"),
    "params": Metric("+", "file"),
    "macs": Metric("+", "file"),
    "top1_pct": Metric("-", "images"),
    "top5_pct": Metric("-", "images"),
    "top1_drop_pp": Metric("+", "images"),
    "agreement_pct": Metric("-", "images"),
    "map_pct": Metric("-", "images"),
    "map50_pct": Metric("-", "images"),
    "map_drop_pp": Metric("+", "images"),
    "postprocess_p50_ms": Metric("+", "machine"),
    "ece_pct": Metric("+", "images"),
    "latency_p50_ms": Metric("+", "machine"),
    "latency_p90_ms": Metric("+", "machine"),
    "latency_p95_ms": Metric("+", "machine"),
    "latency_p99_ms": Metric("+", "machine"),
    "throughput_ips": Metric("-", "machine"),
    "cpu_ms": Metric("+", "machine"),
    "cold_start_ms": Metric("+", "machine"),
    "peak_rss_bytes": Metric("+", "machine"),
    "steady_rss_bytes": Metric("+", "machine"),
}
_BOOTSTRAPPED = {"map_pct": "map_ci95_pct", "map_drop_pp": "map_drop_ci95_pp"}
_SHARES = ("top1_pct", "top5_pct", "agreement_pct")  # of n_images images


def interval_of(row: Row, metric: str) -> Interval | None:
    """Return the 95 % interval of a row's number, None where nothing is known of its noise.

    Latency and mAP: as measured (bootstrap). Shares of images: Wilson. A drop: from the images lost and gained, see
    `paired_interval_pp`. Sizes do not vary, and have the interval of no width.
    """
    value = getattr(row, metric)
    if value is None:
        return None
    if METRICS[metric].needs == "file":
        return value, value
    if metric.startswith("latency_"):
        found: Interval | None = getattr(row, f"{metric.removesuffix('_ms')}_ci95_ms")
        return found
    if metric in _BOOTSTRAPPED:
        measured: Interval | None = getattr(row, _BOOTSTRAPPED[metric])
        return measured
    if metric in _SHARES and row.n_images and row.map_pct is None:
        return wilson_ci95_pct(round(value * row.n_images / 100), row.n_images)
    if metric == "top1_drop_pp" and row.n_images and row.lost is not None and row.gained is not None:
        return paired_interval_pp(row.lost, row.gained, row.n_images)
    return None


def paired_interval_pp(lost: int, gained: int, n: int) -> Interval:
    """Return the 95 % interval of the drop, in percentage points, between two models asked the same `n` images.

    Only images on which they differ count, so it is narrower than two Wilson intervals:
    (b - c)/n -+ z sqrt(b + c - (b - c)^2/n)/n with b lost and c gained (Agresti, Categorical Data Analysis,
    equation 11.2).
    """
    drop, spread = (lost - gained) / n, math.sqrt(lost + gained - (lost - gained) ** 2 / n) / n
    return 100.0 * (drop - Z95 * spread), 100.0 * (drop + Z95 * spread)
