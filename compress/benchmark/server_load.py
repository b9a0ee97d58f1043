"""The load generator: a closed loop (so many clients, each asks when it was answered) and an open one (a given rate).

In the open loop a latency counts from the moment the request was due, whether or not a connection was free then: a slow
server cannot make the generator ask less (no coordinated omission).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count as counter
from itertools import cycle
from random import Random
from time import perf_counter, process_time
from typing import Any, NamedTuple, TypeVar

import uvloop

from compress.benchmark.http_client import Address, LostError, Pool, Reply
from compress.benchmark.order_statistics import percentile
from compress.errors import StageError

OK, SHED = 200, 503
LOST = 0  # in place of a status: the connection ended before the answer
GAVE_UP = -1  # in place of a status: no answer when the generator stopped waiting
CONNECTIONS = 1024
SETTLE_S = 1.0  # the queue fills; not counted
_SPIN_S = 0.0015  # event loops wake by the millisecond; the rest is waited by polling
PATIENCE_S = 30.0  # longest wait for one answer
_DRAIN_S = 5.0  # longest wait for the answers to the last requests of an open loop
_Result = TypeVar("_Result")


class Outcome(NamedTuple):
    """One request, in seconds.

    Attributes:
        due_s: when it was due, from the beginning.
        status: what it was told.
        latency_s: how long after it was due.
        lag_s: how much later than due the generator came to send it.
    """

    due_s: float
    status: int
    latency_s: float
    lag_s: float = 0.0


@dataclass(frozen=True)
class Load:
    """What a load found.

    Attributes:
        sent: requests.
        seconds: from the first request to the end.
        statuses: how many got each status (`LOST`, `GAVE_UP`: none).
        ok_per_s: answers of status 200 a second.
        good_per_s: the same, only those within the deadline; equal where no deadline was set.
        p50_ms: of the latencies of 200s; None without any.
        p99_ms: the same.
        shed_p99_ms: of the latencies of 503s; None without any.
        generator_cpu_pct: of one core, what the generator used; near 100 it is the generator that is measured.
    """

    sent: int
    seconds: float
    statuses: dict[int, int]
    ok_per_s: float
    good_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    shed_p99_ms: float | None = None
    generator_cpu_pct: float | None = None

    def share_pct(self, status: int) -> float:
        """Return how many in a hundred got this status."""
        return 100 * self.statuses.get(status, 0) / max(1, self.sent)


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run on a fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def closed_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float | None = None,
    count: int | None = None,
    pause_s: float = 0.0,
    keep_alive: bool = True,
    stop: asyncio.Event | None = None,
) -> Load:
    """Ask from `connections` clients until `seconds` passed, `count` requests were sent, or `stop` is set."""
    pool, turns = Pool(port, connections, keep_alive=keep_alive), cycle(requests)
    begun, used = perf_counter(), process_time()
    outcomes: list[Outcome] = []
    left: Iterator[int] = iter(range(count)) if count is not None else counter()

    def more() -> bool:
        late = seconds is not None and perf_counter() - begun >= seconds
        return not late and not (stop is not None and stop.is_set()) and next(left, None) is not None

    async def client() -> None:
        while more():
            outcomes.append(await _ask(pool, next(turns), perf_counter() - begun, begun))
            if pause_s:
                await asyncio.sleep(pause_s)

    with closing(pool):  # also when it is broken off: uvloop does not end while a connection is open
        await asyncio.gather(*(client() for _ in range(connections)))
    took = perf_counter() - begun
    return summary(outcomes, (0.0, took), None, (process_time() - used) / took)


async def open_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    per_s: float,
    seconds: float,
    deadline_ms: float | None = None,
    connections: int = CONNECTIONS,
    seed: int = 0,
) -> Load:
    """Ask at random moments (a Poisson process of `per_s`), whatever the server does.

    Rates count the answers that came between `SETTLE_S` and `seconds`, shares and latencies all requests.
    """
    pool = Pool(port, connections)
    outcomes, busy = await offer(pool, cycle(requests), arrivals(per_s, seconds, seed))
    return summary(outcomes, (min(SETTLE_S, seconds / 2), seconds), deadline_ms, busy)


async def offer(pool: Pool, requests: Iterator[bytes], moments_s: Iterable[float]) -> tuple[list[Outcome], float]:
    """Send a request at each moment, whatever the server does, then close the pool.

    Returns what became of each, and the share of one core that was used meanwhile.
    """
    begun, used = perf_counter(), process_time()
    asked: dict[asyncio.Task[Outcome], float] = {}
    with closing(pool):
        for due_s in moments_s:
            await _until(begun + due_s)
            asked[asyncio.create_task(_ask(pool, next(requests), due_s, begun))] = due_s
        busy = (process_time() - used) / (perf_counter() - begun)
        return await _drained(asked, begun), busy


async def ask_each(address: Address, requests: Iterable[bytes]) -> list[Reply]:
    """Return the answers to requests that are sent one by one.

    Raises:
        StageError: one is not answered, or with another status than 200.
    """
    with closing(Pool(address.port, 1, host=address.host)) as pool:
        return [await _answered(pool, request, address) for request in requests]


async def _answered(pool: Pool, request: bytes, address: Address) -> Reply:
    try:
        async with asyncio.timeout(PATIENCE_S):
            reply = await pool.ask(request)
    except (LostError, TimeoutError) as error:
        why = str(error) or f"none within {PATIENCE_S:.0f} s"
        raise StageError(f"{address}: gave no answer: {why}", hint="is the server running?") from error
    if reply.status != OK:
        body = reply.body[:200].decode(errors="replace")
        raise StageError(f"{address}: answered {reply.status} to an image: {body}")
    return reply


async def _drained(asked: dict[asyncio.Task[Outcome], float], begun_s: float) -> list[Outcome]:
    """Return all outcomes; who has none after `_DRAIN_S` is given up."""
    if not asked:
        return []
    done, late = await asyncio.wait(asked, timeout=_DRAIN_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    now_s = perf_counter() - begun_s
    given_up = [Outcome(asked[task], GAVE_UP, now_s - asked[task]) for task in late]
    return [*(task.result() for task in done), *given_up]


def arrivals(per_s: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield the moments of a Poisson process, in seconds from 0."""
    random = Random(seed)
    due_s = random.expovariate(per_s)
    while due_s < seconds:
        yield due_s
        due_s += random.expovariate(per_s)


def summary(outcomes: Sequence[Outcome], window_s: tuple[float, float], deadline_ms: float | None, busy: float) -> Load:
    """Return the numbers of a load; rates count the answers that came in the window."""
    begin, end = window_s
    inside = [o for o in outcomes if o.status == OK and begin <= o.due_s + o.latency_s <= end]
    good = [o for o in inside if deadline_ms is None or o.latency_s * 1000 <= deadline_ms]
    ok_ms = [o.latency_s * 1000 for o in outcomes if o.status == OK]
    shed_ms = [o.latency_s * 1000 for o in outcomes if o.status == SHED]
    return Load(
        sent=len(outcomes),
        seconds=end,
        statuses=dict(sorted(Counter(o.status for o in outcomes).items())),
        ok_per_s=len(inside) / (end - begin),
        good_per_s=len(good) / (end - begin),
        p50_ms=percentile(ok_ms, 50),
        p99_ms=percentile(ok_ms, 99),
        shed_p99_ms=percentile(shed_ms, 99),
        generator_cpu_pct=100 * busy,
    )


async def _ask(pool: Pool, request: bytes, due_s: float, begun_s: float) -> Outcome:
    lag_s = perf_counter() - begun_s - due_s
    try:
        async with asyncio.timeout(PATIENCE_S):
            reply: Reply = await pool.ask(request)
    except (LostError, TimeoutError) as error:
        status = GAVE_UP if isinstance(error, TimeoutError) else LOST
        return Outcome(due_s, status, perf_counter() - begun_s - due_s, lag_s)
    return Outcome(due_s, reply.status, reply.at_s - begun_s - due_s, lag_s)


async def _until(moment_s: float) -> None:
    await asyncio.sleep(max(0.0, moment_s - perf_counter() - _SPIN_S))
    while perf_counter() < moment_s:
        await asyncio.sleep(0)
