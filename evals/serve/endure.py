"""Parts `soak` and `restarts`: what becomes of the server and of its requests in the long run."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from compress.benchmark.server_load import GAVE_UP, LOST, OK, Load, closed_loop, run
from compress.benchmark.server_process import ServerProcess, family, pinned
from compress.errors import StageError
from evals.serve.calm import RSS_REQUESTS
from evals.serve.rounds import Setting
from evals.serve.targets import LOAD_CORES, ours

WORKERS = 2
_CLIENTS, _PAUSE_S = 4, 0.01
_RESTART_S, _POLL_S = 60.0, 0.05


@dataclass(frozen=True)
class Soak:
    """Many requests to one process: memory after `RSS_REQUESTS` of them and after all, and what got no answer."""

    name: str
    requests: int
    rss_before_bytes: int
    rss_after_bytes: int
    lost: int
    not_ok: int
    p99_ms: float | None


@dataclass(frozen=True)
class Restarts:
    """Server processes replaced one by one under load; every request on a new connection.

    Attributes:
        name: of the server.
        restarts: processes that were replaced.
        requests: asked meanwhile.
        lost: of those, without an answer.
        not_ok: of those, answered other than 200.
        seconds: of it all.
        p99_ms: of the answers of status 200.
    """

    name: str
    restarts: int
    requests: int
    lost: int
    not_ok: int
    seconds: float
    p99_ms: float | None


def measure_soak(setting: Setting, say: Callable[[str], None]) -> Soak:
    """Ask one process of ours `soak` times.

    Raises:
        StageError: it does not start.
    """
    target = ours(setting.tflite)
    requests = setting.requests(target)
    with target.start() as server, pinned(LOAD_CORES):
        run(closed_loop(server.port, requests, connections=setting.connections, count=RSS_REQUESTS))
        before = server.rss_bytes()
        load = run(closed_loop(server.port, requests, connections=setting.connections, count=setting.soak))
        lost, not_ok = _faults(load)
        found = Soak(target.name, load.sent, before, server.rss_bytes(), lost, not_ok, load.p99_ms)
    say(f"soak: {found}")
    return found


def measure_restarts(setting: Setting, say: Callable[[str], None]) -> Restarts:
    """Have our server replace its processes (SIGHUP) until `restarts` were, while clients keep asking.

    Raises:
        StageError: it does not start, or stops replacing them.
    """
    target = ours(setting.onnx, workers=WORKERS)
    requests = setting.requests(target)
    with target.start(os.sched_getaffinity(0)) as server:
        load, restarts = run(_under_load(server, requests, setting.restarts))
    lost, not_ok = _faults(load)
    found = Restarts(target.name, restarts, load.sent, lost, not_ok, load.seconds, load.p99_ms)
    say(f"restarts: {found}")
    return found


async def _under_load(server: ServerProcess, requests: list[bytes], wanted: int) -> tuple[Load, int]:
    stop = asyncio.Event()
    load = asyncio.create_task(
        closed_loop(server.port, requests, connections=_CLIENTS, pause_s=_PAUSE_S, keep_alive=False, stop=stop)
    )
    restarts = 0
    try:
        while restarts < wanted:
            restarts += await asyncio.to_thread(_restart, server)
    finally:
        stop.set()
        found = await load
    return found, restarts


def _restart(server: ServerProcess) -> int:
    """Ask for new processes; return how many were replaced, once all were."""
    before, end_s = set(family(server.pid)), time.perf_counter() + _RESTART_S
    os.kill(server.pid, signal.SIGHUP)
    while (gone := len(before - set(family(server.pid)))) < WORKERS:
        if time.perf_counter() > end_s:
            raise StageError(f"only {gone} of {WORKERS} processes were replaced in {_RESTART_S:.0f} s")
        time.sleep(_POLL_S)
    return gone


def _faults(load: Load) -> tuple[int, int]:
    """Return how many requests were lost, and how many were answered other than 200."""
    lost = load.statuses.get(LOST, 0) + load.statuses.get(GAVE_UP, 0)
    return lost, load.sent - lost - load.statuses.get(OK, 0)
