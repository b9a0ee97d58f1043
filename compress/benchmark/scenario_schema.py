"""`Scenario`: what a model does under one pattern of queries, in the manner of MLPerf (not a submission).

Reddi et al. 2020, "MLPerf Inference Benchmark", table II: single-stream is judged by the 90th percentile of latency,
server by the rate of Poisson arrivals that keeps a bound on latency, offline by throughput.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import AliasChoices, Field

from compress.core.fact import Fact

SINGLE_STREAM: Final = "single-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
Cache = Literal["off", "cold", "hot"]
Verdict = Literal["held", "missed", "void"]
LimitedBy = Literal["server", "generator", "time"]


class Probe(Fact):
    """One offered rate against a server.

    Attributes:
        per_s: queries offered a second (a Poisson process).
        seconds: how long.
        n: queries.
        not_ok: of those, not answered with status 200.
        latency_p50_ms: from the moment a query was due to its answer, of answers of status 200; None without any.
        latency_p99_ms: the same.
        latency_p99_ci95_ms: 95 % interval of that; None where `n` is too small for it to have an upper end.
        lag_p99_ms: how late the generator itself was with sending.
        verdict: "held" the bound with all answered, "missed" it, or "void" because the generator was late.
    """

    per_s: float
    seconds: float
    n: int
    not_ok: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latency_p99_ci95_ms: tuple[float, float] | None
    lag_p99_ms: float
    verdict: Verdict


class Scenario(Fact):
    """One scenario of one model. What does not belong to the scenario is None.

    Attributes:
        model: the file, as it was given; the address where a running server was asked.
        images: different ones that were asked about; their bytes were in memory.
        n: queries behind the numbers.
        seconds: how long they took.
        threads: single-stream: of the runtime. offline: images at once, each with a runtime of one thread.
        batch: images in one call.
        latency_p50_ms: single-stream: from an image's bytes to the answer. server: at the peak, from the due moment.
        latency_p90_ms: single-stream's figure.
        latency_p90_ci95_ms: 95 % interval from order statistics; None where `n` is too small for it.
        throughput_ips: offline's figure, images per second from bytes to answers.
        cache: of the server: "off"; "cold", on but every image new; "hot", on and every image seen before.
        p99_bound_ms: what the peak had to keep.
        peak_per_s: server's figure, the greatest offered rate that held; None where none did.
        limited_by: what ended the search: the server, a late generator, or its time.
        probes: every rate that was offered, in order.
        warnings: what makes the numbers doubtful.
    """

    scenario: Literal["single-stream", "offline", "server"]
    model: str
    images: int = Field(validation_alias=AliasChoices("images", "pictures"))  # its name before 0.2
    n: int
    seconds: float
    threads: int | None = None
    batch: int | None = None
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_p90_ci95_ms: tuple[float, float] | None = None
    latency_p99_ms: float | None = None
    latency_p99_ci95_ms: tuple[float, float] | None = None
    throughput_ips: float | None = None
    cache: Cache | None = None
    p99_bound_ms: float | None = None
    peak_per_s: float | None = None
    limited_by: LimitedBy | None = None
    probes: tuple[Probe, ...] = ()
    warnings: tuple[str, ...] = ()
