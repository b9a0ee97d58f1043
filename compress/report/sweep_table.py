"""Sweeps as cells: other threads and images in a call, and callers at once."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.schema import Row

SWEEP_COLUMNS = ("model", "threads", "batch", "p50 ms", "95 % interval", "images/s")
CALLERS_COLUMNS = ("model", "callers", "images/s", "p50 ms", "p99 ms")


def sweep_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return one line for each setting of each model in the order of `SWEEP_COLUMNS`."""
    return [
        (
            *(row.stage, str(one.threads), str(one.batch), f"{one.latency_p50_ms:.3f}"),
            "{:.3f}-{:.3f}".format(*one.latency_p50_ci95_ms) if one.latency_p50_ci95_ms else "-",
            f"{one.throughput_ips:.0f}",
        )
        for row in rows
        for one in row.sweep
    ]


def callers_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return one line for each number of callers of each model in the order of `CALLERS_COLUMNS`."""
    return [
        (
            *(row.stage, str(one.callers), f"{one.throughput_ips:.0f}"),
            *(f"{one.latency_p50_ms:.3f}", f"{one.latency_p99_ms:.3f}"),
        )
        for row in rows
        for one in row.concurrent
    ]
