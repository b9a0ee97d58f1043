"""What was found of the server, part by part, as blocks of `docs/results/data/serving.json`."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from evals.results.schema import Block, Cell, Column, Measured
from evals.serve.calm import RSS_REQUESTS, Large, Start, Steady
from evals.serve.endure import WORKERS, Restarts, Soak
from evals.serve.images import COUNT, LARGE_PX, SIZE_PX
from evals.serve.overload import Offered, OverloadFound
from evals.serve.rounds import LoadFound, Served
from evals.serve.targets import FASTAPI_LIMIT

_MIB = 1 << 20
_REASON_CHARACTERS = 80
_IMAGES = f"images as JPEG of {SIZE_PX[0]} x {SIZE_PX[1]}, by turns"
Row = dict[str, Cell]
_SERVER = Column(key="server", title="server", kind="text")
_LOAD = (
    _SERVER,
    Column(key="per_s", title="requests/s"),
    Column(key="of_best", title="of the best baseline", digits=2),
    Column(key="p50_ms", title="p50 ms", digits=1),
    Column(key="p99_ms", title="p99 ms", digits=1),
    Column(key="cpu_ms", title="CPU ms/request", digits=2),
    Column(key="alone_ms", title="decode + infer alone", digits=2),
    Column(key="overhead_ms", title="overhead ms", digits=2),
    Column(key="of_bound_pct", title="of the bound %"),
    Column(key="same_label_pct", title="same class %"),
    Column(key="errors", title="not 200"),
)
_OVERLOAD = (
    _SERVER,
    Column(key="offered", title="offered", kind="text"),
    Column(key="offered_per_s", title="requests/s"),
    Column(key="good_per_s", title="in time/s"),
    Column(key="good_share_pct", title="of capacity %"),
    Column(key="p99_ms", title="p99 ms of 200s"),
    Column(key="shed_pct", title="503 %", digits=1),
    Column(key="shed_p99_ms", title="p99 ms of 503s", digits=1),
    Column(key="unanswered_pct", title="unanswered %", digits=1),
)
_STEADY = (
    _SERVER,
    Column(key="model_bytes", title="file", kind="bytes"),
    Column(key="cpu_pct", title="CPU % of a core"),
    Column(key="p50_ms", title="p50 ms", digits=1),
    Column(key="p99_ms", title="p99 ms", digits=1),
    Column(key="errors", title="not 200"),
)
_LARGE = (
    _SERVER,
    Column(key="cpu_ms", title="CPU ms", digits=1),
    Column(key="alone_ms", title="decode + infer alone", digits=1),
)
_START = (
    _SERVER,
    Column(key="start_s", title="start s", digits=2),
    Column(key="rss_mib", title="RSS MiB"),
    Column(key="idle_cpu_pct", title="idle CPU %", digits=1),
)
_SOAK = (
    _SERVER,
    Column(key="lost", title="lost"),
    Column(key="not_ok", title="not 200"),
    Column(key="rss_before_mib", title=f"MiB after {RSS_REQUESTS}", digits=1),
    Column(key="rss_after_mib", title="MiB at the end", digits=1),
    Column(key="p99_ms", title="p99 ms", digits=1),
)
_RESTARTS = (
    _SERVER,
    Column(key="seconds", title="s"),
    Column(key="requests", title="requests"),
    Column(key="lost", title="lost"),
    Column(key="not_ok", title="not 200"),
    Column(key="p99_ms", title="p99 ms", digits=1),
)


def setting_text(baselines: dict[str, str]) -> str:
    """Return the versions of the baselines, which have an environment of their own."""
    return "baselines: " + (", ".join(f"{name} {version}" for name, version in baselines.items()) or "not installed")


def load_block(found: LoadFound, common: str, measured: Measured) -> Block:
    """Return the closed loop: medians over rounds, ratios of the same round with the least and the greatest."""
    rounds = max((len(served.turns) for served in found.served), default=0)
    baselines = [served for served in found.served if served.turns and not served.ours]
    best = max(baselines, key=_median_per_s, default=None)
    setting = (
        f"{found.connections} connections ({found.generator}), rounds of {found.seconds} s by turns, each server "
        "started anew for each; medians over rounds, least and greatest in brackets; CPU: of all its processes; bound: "
        f"one core that only decodes and infers; {common}"
    )
    rows = tuple(_load_row(served, best) for served in found.served)
    return _block("load", "Closed loop", {_IMAGES: COUNT, "rounds": rounds}, setting, measured, _LOAD, rows)


def overload_block(found: OverloadFound, common: str, measured: Measured) -> Block:
    """Return the open loop: one row a server and rate, then one for each server that did not start."""
    setting = (
        f"Poisson arrivals for {found.seconds:.0f} s at multiples of the capacity that the closed loop found; "
        f"latency from the moment a request was due; in time: 200 within {found.deadline_ms} ms; the FastAPI baseline "
        f"sheds by uvicorn's limit_concurrency of {FASTAPI_LIMIT}; {common}"
    )
    failed: list[Row] = [{"server": name, "offered": why[:_REASON_CHARACTERS]} for name, why in found.failed.items()]
    rows = (*(_offered_row(offered) for offered in found.offered), *failed)
    return _block("overload", "Open loop", {_IMAGES: COUNT}, setting, measured, _OVERLOAD, rows)


def steady_block(found: list[Steady], common: str, measured: Measured) -> Block:
    """Return the steady rate."""
    rate = f"{found[0].per_s:.0f} requests/s for {found[0].seconds:.0f} s" if found else "no server started"
    names = ("model_bytes", "cpu_pct", "p50_ms", "p99_ms", "errors")
    rows = tuple(_row(one, names) for one in found)
    return _block("steady", "At ease", {_IMAGES: COUNT}, f"{rate}; {common}", measured, _STEADY, rows)


def large_block(found: list[Large], common: str, measured: Measured) -> Block:
    """Return the large image."""
    setting = f"a JPEG of {LARGE_PX[0]} x {LARGE_PX[1]}, asked by one client; {common}"
    rows = tuple(_row(one, ("cpu_ms", "alone_ms")) for one in found)
    return _block("large", "A large image", {}, setting, measured, _LARGE, rows)


def start_block(found: list[Start], common: str, measured: Measured) -> Block:
    """Return start, memory and idleness."""
    setting = (
        f"from nothing to the first 200 of the ready path (median); memory after {RSS_REQUESTS} requests; {common}"
    )
    rows: tuple[Row, ...] = tuple(
        {
            "server": one.name,
            "start_s": one.median_s,
            "rss_mib": one.rss_bytes / _MIB,
            "idle_cpu_pct": one.idle_cpu_pct,
        }
        for one in found
    )
    starts = max((len(one.ready_s) for one in found), default=0)
    return _block("start", "Start", {"starts": starts}, setting, measured, _START, rows)


def soak_block(found: Soak, _: str, measured: Measured) -> Block:
    """Return the many requests to one process."""
    row = _row(found, ("lost", "not_ok", "p99_ms")) | {
        "rss_before_mib": found.rss_before_bytes / _MIB,
        "rss_after_mib": found.rss_after_bytes / _MIB,
    }
    return _block("soak", "Soak", {"requests": found.requests}, "closed loop", measured, _SOAK, (row,))


def restarts_block(found: Restarts, _: str, measured: Measured) -> Block:
    """Return the processes replaced under load."""
    setting = f"{WORKERS} processes, both cores, a new connection for each request"
    row = _row(found, ("seconds", "requests", "lost", "not_ok", "p99_ms"))
    counted = {"processes replaced": found.restarts}
    return _block("restarts", "Restarts under load", counted, setting, measured, _RESTARTS, (row,))


BLOCKS: dict[str, Callable[[Any, str, Measured], Block]] = {
    "load": load_block,
    "overload": overload_block,
    "steady": steady_block,
    "large": large_block,
    "start": start_block,
    "soak": soak_block,
    "restarts": restarts_block,
}
PARTS = tuple(BLOCKS)


def _block(
    key: str,
    title: str,
    n: dict[str, int],
    setting: str,
    measured: Measured,
    columns: tuple[Column, ...],
    rows: tuple[Row, ...],
) -> Block:
    return Block(key=key, title=title, n=n, setting=setting, measured=measured, columns=columns, rows=rows)


def _row(found: Steady | Large | Soak | Restarts, names: tuple[str, ...]) -> Row:
    return {"server": found.name} | {name: getattr(found, name) for name in names}


def _load_row(served: Served, best: Served | None) -> Row:
    if not served.turns:
        return {"server": served.name, "per_s": f"failed: {served.failed[:_REASON_CHARACTERS]}"}
    turns = served.turns
    cpu_ms, alone_ms = median(turn.cpu_ms for turn in turns), median(served.alone_ms)
    return {
        "server": served.name,
        "per_s": _median_per_s(served),
        "of_best": _ratio(served, best),
        "p50_ms": median(turn.p50_ms for turn in turns),
        "p99_ms": median(turn.p99_ms for turn in turns),
        "cpu_ms": cpu_ms,
        "alone_ms": alone_ms,
        "overhead_ms": cpu_ms - alone_ms,
        "of_bound_pct": median(turn.per_s * alone / 10 for turn, alone in zip(turns, served.alone_ms, strict=True)),
        "same_label_pct": served.same_label_pct,
        "errors": sum(turn.errors for turn in turns),
    }


def _ratio(served: Served, best: Served | None) -> Cell:
    """Return the ratio to the best baseline, of the rounds that both have: median, least, greatest."""
    if best is None:
        return None
    ratios = [own.per_s / other.per_s for own, other in zip(served.turns, best.turns, strict=False) if other.per_s]
    return (median(ratios), min(ratios), max(ratios)) if ratios else None


def _median_per_s(served: Served) -> float:
    return median(turn.per_s for turn in served.turns)


def _offered_row(offered: Offered) -> Row:
    return {
        "server": offered.name,
        "offered": f"{offered.times} x",
        "offered_per_s": offered.per_s,
        "good_per_s": offered.load.good_per_s,
        "good_share_pct": offered.good_share_pct,
        "p99_ms": offered.load.p99_ms,
        "shed_pct": offered.shed_pct,
        "shed_p99_ms": offered.load.shed_p99_ms,
        "unanswered_pct": offered.unanswered_pct,
    }
