"""Server: queries arrive at random at a running `imgc serve`; the figure is the rate that it stands within a p99 bound.

MLPerf asks for 270,336 queries to speak about a 99th percentile of this kind; a probe here has about `ENOUGH`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter

from compress.benchmark.generators import Generators
from compress.benchmark.http_client import Address, request_bytes
from compress.benchmark.order_statistics import percentile, percentile_ci95
from compress.benchmark.peak import MAX_PROBES, Peak, find_peak
from compress.benchmark.scenario_schema import SERVER, Cache, Probe, Scenario, Verdict
from compress.benchmark.server_load import OK, Outcome, ask_each, run
from compress.core.stage import Reporter

ENOUGH = 1000  # queries of a probe that a p99 is to be read from
_STRETCH = 2.0  # a probe of a low rate may last so much longer to have them
_LATE = 0.1  # of the bound: the p99 of the generator's own lag that voids a probe


@dataclass(frozen=True)
class PeakSearch:
    """How the peak is searched.

    Attributes:
        bound_ms: that the p99 must keep.
        seconds: of one probe.
        cache: what is said of the server's cache; "cold": every image is sent as one never seen.
        max_probes: how many rates are offered at most.
    """

    bound_ms: float
    seconds: float
    cache: Cache
    max_probes: int = MAX_PROBES


def measure_server(
    address: Address,
    generators: Generators,
    bodies: Sequence[bytes],
    search: PeakSearch,
    model: str,
    reporter: Reporter,
) -> Scenario:
    """Return the peak of a running server, and every probe on the way.

    Args:
        address: of the server.
        generators: processes that ask it about the images.
        bodies: the images, JPEG files; each is asked about once first, so that then all have been seen.
        search: what is searched.
        model: as the result shall name it.
        reporter: shows progress.

    Raises:
        StageError: the server does not answer, or one of the images not with 200.
    """
    start_per_s = 0.5 / _one_by_one_s(address, bodies)
    probes: list[Probe] = []

    def probe(per_s: float) -> Verdict:
        seconds = min(max(search.seconds, ENOUGH / per_s), _STRETCH * search.seconds)
        mark = f"{begun} {len(probes)}" if search.cache == "cold" else ""
        outcomes = generators.offer(per_s, seconds, seed=len(probes), mark=mark)
        found = judge(outcomes, per_s, seconds, search.bound_ms)
        probes.append(found)
        advance(1, _said(found))
        return found.verdict

    begun = perf_counter()
    with reporter.progress(f"{SERVER}, cache {search.cache}", search.max_probes) as advance:
        peak = find_peak(probe, start_per_s, max_probes=search.max_probes)
    return _scenario(peak, tuple(probes), search, model, len(bodies), perf_counter() - begun)


def judge(outcomes: Sequence[Outcome], per_s: float, seconds: float, bound_ms: float) -> Probe:
    """Return what a probe found: whether the bound held, or whether the generator was too late to say."""
    ok_ms = [1000 * outcome.latency_s for outcome in outcomes if outcome.status == OK]
    lag_ms = percentile([1000 * outcome.lag_s for outcome in outcomes], 99) or 0.0
    p99_ms, not_ok = percentile(ok_ms, 99), len(outcomes) - len(ok_ms)
    verdict: Verdict = "missed"
    if not outcomes or lag_ms > _LATE * bound_ms:
        verdict = "void"
    elif not not_ok and p99_ms is not None and p99_ms <= bound_ms:
        verdict = "held"
    return Probe(
        per_s=per_s,
        seconds=seconds,
        n=len(outcomes),
        not_ok=not_ok,
        latency_p50_ms=percentile(ok_ms, 50),
        latency_p99_ms=p99_ms,
        latency_p99_ci95_ms=percentile_ci95(ok_ms, 99),
        lag_p99_ms=lag_ms,
        verdict=verdict,
    )


def _one_by_one_s(address: Address, bodies: Sequence[bytes]) -> float:
    """Return the median time of one answer, each image asked about once."""
    requests = [request_bytes(address.path, body, host=f"{address.host}:{address.port}") for body in bodies]
    ends_s = [perf_counter(), *(reply.at_s for reply in run(ask_each(address, requests)))]
    return median(end - begin for begin, end in pairwise(ends_s))


def _said(probe: Probe) -> str:
    p99 = "no answer" if probe.latency_p99_ms is None else f"p99 {probe.latency_p99_ms:.1f} ms"
    return f"{probe.per_s:.1f}/s: {p99}, {probe.verdict}"


def _scenario(
    peak: Peak, probes: tuple[Probe, ...], search: PeakSearch, model: str, images: int, seconds: float
) -> Scenario:
    best = next((one for one in reversed(probes) if one.per_s == peak.per_s and one.verdict == "held"), None)
    return Scenario(
        scenario=SERVER,
        model=model,
        images=images,
        n=sum(one.n for one in probes),
        seconds=seconds,
        latency_p50_ms=best.latency_p50_ms if best else None,
        latency_p99_ms=best.latency_p99_ms if best else None,
        latency_p99_ci95_ms=best.latency_p99_ci95_ms if best else None,
        cache=search.cache,
        p99_bound_ms=search.bound_ms,
        peak_per_s=peak.per_s,
        limited_by=peak.limited_by,
        probes=probes,
        warnings=tuple(_doubts(peak, probes, best, search)),
    )


def _doubts(peak: Peak, probes: Sequence[Probe], best: Probe | None, search: PeakSearch) -> list[str]:
    doubts = []
    if best is None:
        doubts.append(f"no rate held a p99 of {search.bound_ms:g} ms with every query answered")
    elif best.n < ENOUGH:
        doubts.append(f"the p99 at the peak is of {best.n} queries: raise --seconds to speak about it")
    if peak.limited_by == "generator":
        doubts.append("the load generator was late: the peak is its own, or lies higher")
    elif peak.limited_by == "time":
        doubts.append(f"the search ended after {len(probes)} probes: the peak may lie higher")
    return doubts
