"""What README shows of the server's measurement: one table a kind of load, and a sentence for the long runs."""

from __future__ import annotations

from statistics import median

from compress.report.table import NOT_MEASURED, host_text, markdown_table, size_text
from evals.serve.calm import RSS_REQUESTS, Large, Start, Steady
from evals.serve.endure import WORKERS, Restarts, Soak
from evals.serve.found import ServeResults
from evals.serve.images import COUNT, LARGE_PX, SIZE_PX
from evals.serve.overload import Offered, OverloadFound
from evals.serve.rounds import LoadFound, Served

BEGIN, END = "<!-- serve:begin -->", "<!-- serve:end -->"
_MIB = 1 << 20
_LOAD = (
    "server",
    "requests/s",
    "of the best baseline",
    "p50 ms",
    "p99 ms",
    "CPU ms/request",
    "decode + infer alone",
    "overhead ms",
    "of the bound %",
    "same class %",
    "not 200",
)
_OVERLOAD = (
    "server",
    "offered",
    "requests/s",
    "in time/s",
    "of capacity %",
    "p99 ms of 200s",
    "503 %",
    "p99 ms of 503s",
    "unanswered %",
)
_CALM = (
    "server",
    "file",
    "CPU % of a core",
    "p50 ms",
    "p99 ms",
    "not 200",
    "12 MP: CPU ms",
    "alone",
    "start s",
    "RSS MiB",
    "idle CPU %",
)


def serve_markdown(found: ServeResults) -> str:
    """Return the generated block, markers included, of the parts that were measured."""
    parts = ["_Written by `make results-serve`; no number is typed by hand._", _setting(found)]
    if found.load:
        parts += [_load_text(found.load), markdown_table(_LOAD, load_rows(found.load), 1)]
    if found.overload:
        parts += [_overload_text(found.overload), markdown_table(_OVERLOAD, overload_rows(found.overload), 1)]
    if found.steady or found.large or found.start:
        parts += [_calm_text(found), markdown_table(_CALM, calm_rows(found), 1)]
    if found.soak:
        parts.append(_soak_text(found.soak))
    if found.restarts:
        parts.append(_restarts_text(found.restarts))
    return "\n\n".join([BEGIN, *parts, END])


def load_rows(found: LoadFound) -> list[tuple[str, ...]]:
    """Return the closed loop's rows: medians over rounds, ratios of the same round, least and greatest in brackets."""
    baselines = [served for served in found.served if served.turns and not served.ours]
    best = max(baselines, key=lambda served: _median_per_s(served), default=None)
    return [_load_row(served, best) for served in found.served]


def overload_rows(found: OverloadFound) -> list[tuple[str, ...]]:
    """Return one row a server and rate, then one for each server that did not start."""
    failed = [(name, why[:80], *[NOT_MEASURED] * (len(_OVERLOAD) - 2)) for name, why in found.failed.items()]
    return [*(_offered_row(offered) for offered in found.offered), *failed]


def calm_rows(found: ServeResults) -> list[tuple[str, ...]]:
    """Return one row a server, from whichever of the parts `steady`, `large` and `start` were measured."""
    steady = {row.name: row for row in found.steady or ()}
    large = {row.name: row for row in found.large or ()}
    start = {row.name: row for row in found.start or ()}
    names = list(dict.fromkeys([*steady, *large, *start]))
    return [
        (name, *_steady_cells(steady.get(name)), *_large_cells(large.get(name)), *_start_cells(start.get(name)))
        for name in names
    ]


def _load_row(served: Served, best: Served | None) -> tuple[str, ...]:
    if not served.turns:
        return (served.name, f"failed: {served.failed[:80]}", *[NOT_MEASURED] * (len(_LOAD) - 2))
    turns = served.turns
    cpu_ms, alone_ms = median(turn.cpu_ms for turn in turns), median(served.alone_ms)
    bound_pct = [turn.per_s * alone / 10 for turn, alone in zip(turns, served.alone_ms, strict=True)]
    return (
        served.name,
        f"{_median_per_s(served):.0f}",
        _ratio(served, best),
        f"{median(turn.p50_ms for turn in turns):.1f}",
        f"{median(turn.p99_ms for turn in turns):.1f}",
        f"{cpu_ms:.2f}",
        f"{alone_ms:.2f}",
        f"{cpu_ms - alone_ms:.2f}",
        f"{median(bound_pct):.0f}",
        _number(served.same_label_pct, 0),
        str(sum(turn.errors for turn in turns)),
    )


def _ratio(served: Served, best: Served | None) -> str:
    """Return the ratio to the best baseline, of the rounds that both have."""
    if best is None:
        return NOT_MEASURED
    ratios = [own.per_s / other.per_s for own, other in zip(served.turns, best.turns, strict=False) if other.per_s]
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else NOT_MEASURED


def _median_per_s(served: Served) -> float:
    return median(turn.per_s for turn in served.turns)


def _offered_row(offered: Offered) -> tuple[str, ...]:
    load = offered.load
    return (
        offered.name,
        f"{offered.times} x",
        f"{offered.per_s:.0f}",
        f"{load.good_per_s:.0f}",
        f"{offered.good_share_pct:.0f}",
        _number(load.p99_ms, 0),
        f"{offered.shed_pct:.1f}",
        _number(load.shed_p99_ms, 1),
        f"{offered.unanswered_pct:.1f}",
    )


def _steady_cells(row: Steady | None) -> tuple[str, ...]:
    if row is None:
        return (NOT_MEASURED,) * 5
    times = (_number(row.p50_ms, 1), _number(row.p99_ms, 1))
    return size_text(row.model_bytes), f"{row.cpu_pct:.0f}", *times, str(row.errors)


def _large_cells(row: Large | None) -> tuple[str, ...]:
    return (NOT_MEASURED,) * 2 if row is None else (f"{row.cpu_ms:.1f}", f"{row.alone_ms:.1f}")


def _start_cells(row: Start | None) -> tuple[str, ...]:
    if row is None:
        return (NOT_MEASURED,) * 3
    return f"{row.median_s:.2f}", f"{row.rss_bytes / _MIB:.0f}", f"{row.idle_cpu_pct:.1f}"


def _setting(found: ServeResults) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found.baselines.items()) or "not installed"
    return (
        f"{COUNT} images as JPEG of {SIZE_PX[0]} x {SIZE_PX[1]}, by turns, as the raw body. Every server is one "
        "server on one core (core 0), the load comes from core 1 of the same machine; no cache. Baselines serve the "
        f"same ONNX file, decode at the same reduced scale and have an environment of their own ({versions}). "
        f"Machine: {host_text(found.host)}."
    )


def _load_text(found: LoadFound) -> str:
    rounds = max((len(served.turns) for served in found.served), default=0)
    return (
        f"**Closed loop**: {found.connections} connections ({found.generator}), {rounds} rounds of {found.seconds} s "
        "by turns, each server started anew for each; medians over rounds, least and greatest in brackets. CPU: of "
        "all its processes. Bound: one core that only decodes and infers."
    )


def _overload_text(found: OverloadFound) -> str:
    return (
        f"**Open loop**: Poisson arrivals for {found.seconds:.0f} s at multiples of the capacity found just before "
        f"by the closed loop; latency from the moment a request was due; in time: 200 within {found.deadline_ms} ms."
    )


def _calm_text(found: ServeResults) -> str:
    rate = f"{found.steady[0].per_s:.0f} requests/s for {found.steady[0].seconds:.0f} s" if found.steady else ""
    width, height = LARGE_PX
    return (
        f"**At ease**: {rate or 'not measured'}; a JPEG of {width} x {height}, asked by one client; start: from "
        f"nothing to the first 200 of the ready path; memory after {RSS_REQUESTS} requests."
    )


def _soak_text(soak: Soak) -> str:
    return (
        f"**Soak** ({soak.name}): {soak.requests} requests, {soak.lost} lost, {soak.not_ok} not answered with 200; "
        f"memory {soak.rss_before_bytes / _MIB:.1f} MiB after {RSS_REQUESTS} requests, "
        f"{soak.rss_after_bytes / _MIB:.1f} MiB at the end; p99 {_number(soak.p99_ms, 1)} ms."
    )


def _restarts_text(found: Restarts) -> str:
    return (
        f"**Restarts under load** ({found.name}, {WORKERS} processes, both cores, a new connection for each request): "
        f"{found.restarts} processes replaced in {found.seconds:.0f} s, {found.requests} requests, {found.lost} lost, "
        f"{found.not_ok} not answered with 200; p99 {_number(found.p99_ms, 1)} ms."
    )


def _number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"
