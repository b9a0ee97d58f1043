"""Parts `steady`, `large` and `start`: what a server costs when it is not pressed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from compress.benchmark.http_client import request_bytes
from compress.benchmark.server_load import OK, closed_loop, open_loop, run
from compress.benchmark.server_process import ServerProcess, pinned
from compress.errors import StageError
from evals.serve.alone import Alone
from evals.serve.rounds import Setting, warm_up
from evals.serve.targets import LOAD_CORES, Target, baselines

STEADY_PER_S = 50.0
LARGE_REQUESTS = 40
RSS_REQUESTS = 500
STARTS = 3
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Steady:
    """A steady rate: processor time in % of one core, latencies, answers that were not 200, size of the file served."""

    name: str
    per_s: float
    seconds: float
    cpu_pct: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    model_bytes: int


@dataclass(frozen=True)
class Large:
    """The large image: processor time of one request, of the work alone, and the latency of a single client."""

    name: str
    cpu_ms: float
    alone_ms: float
    p50_ms: float | None
    errors: int


@dataclass(frozen=True)
class Start:
    """From the start of the process to the first 200 of its ready path (median), and what it holds and does after.

    Attributes:
        name: of the server.
        ready_s: one value a start.
        rss_bytes: after `RSS_REQUESTS` requests.
        idle_cpu_pct: of one core, without a request.
    """

    name: str
    ready_s: list[float]
    rss_bytes: int
    idle_cpu_pct: float

    @property
    def median_s(self) -> float:
        """The median start."""
        return median(self.ready_s)


def measure_steady(setting: Setting, say: Callable[[str], None]) -> list[Steady]:
    """Ask every server that starts `STEADY_PER_S` times a second."""
    return _each(setting, say, "steady", _steady)


def measure_large(setting: Setting, say: Callable[[str], None]) -> list[Large]:
    """Ask every server that starts about the large image, again and again."""
    return _each(setting, say, "large", _large)


def measure_start(setting: Setting, say: Callable[[str], None]) -> list[Start]:
    """Start, use and leave alone every server that starts."""
    return _each(setting, say, "start", _start)


def _each(
    setting: Setting, say: Callable[[str], None], part: str, measure: Callable[[Setting, Target, ServerProcess], _Found]
) -> list[_Found]:
    found = []
    for target in [*setting.ours(), baselines(setting.onnx, setting.baselines)[0]]:
        try:
            with target.start() as server:
                warm_up(setting, target, server)
                found.append(measure(setting, target, server))
            say(f"{part}: {found[-1]}")
        except StageError as error:
            say(f"{part}: {target.name}: {error.message}")
    return found


def _steady(setting: Setting, target: Target, server: ServerProcess) -> Steady:
    before = server.cpu_s()
    with pinned(LOAD_CORES):
        requests = setting.requests(target)
        load = run(open_loop(server.port, requests, per_s=STEADY_PER_S, seconds=setting.steady_s))
    cpu_pct = 100 * (server.cpu_s() - before) / load.seconds
    errors = load.sent - load.statuses.get(OK, 0)
    size = target.model.stat().st_size
    return Steady(target.name, STEADY_PER_S, setting.steady_s, cpu_pct, load.p50_ms, load.p99_ms, errors, size)


def _large(setting: Setting, target: Target, server: ServerProcess) -> Large:
    body = setting.images.large.read_bytes()
    request, before = request_bytes(target.path, body), server.cpu_s()
    with pinned(LOAD_CORES):
        load = run(closed_loop(server.port, [request], connections=1, count=LARGE_REQUESTS))
    cpu_ms = 1000 * (server.cpu_s() - before) / load.sent
    alone_ms = Alone(target.model).cpu_ms([body], passes=LARGE_REQUESTS)
    return Large(target.name, cpu_ms, alone_ms, load.p50_ms, load.sent - load.statuses.get(OK, 0))


def _start(setting: Setting, target: Target, server: ServerProcess) -> Start:
    ready_s = [server.ready_s]
    with pinned(LOAD_CORES):
        run(closed_loop(server.port, setting.requests(target), connections=setting.connections, count=RSS_REQUESTS))
    rss_bytes, before, begun = server.rss_bytes(), server.cpu_s(), time.perf_counter()
    time.sleep(setting.idle_s)
    idle_cpu_pct = 100 * (server.cpu_s() - before) / (time.perf_counter() - begun)
    for _ in range(STARTS - 1):
        with target.start() as other:
            ready_s.append(other.ready_s)
    return Start(target.name, ready_s, rss_bytes, idle_cpu_pct)
