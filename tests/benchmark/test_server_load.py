from __future__ import annotations

import asyncio
import itertools

import pytest

from compress.benchmark.http_client import Address, Pool, request_bytes
from compress.benchmark.server_load import (
    GAVE_UP,
    LOST,
    OK,
    SHED,
    Outcome,
    arrivals,
    ask_each,
    closed_loop,
    offer,
    open_loop,
    run,
    summary,
)
from compress.errors import StageError

REQUEST = [request_bytes("/x", b"image")]
TICK_S = 1e-5


class Clock:
    """A clock that moves when it is read, and by the work of the server: how fast this machine is does not show."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        self.now_s += TICK_S
        return self.now_s


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Give the generator a clock that does not depend on the machine; it is waited for by reading it."""
    clock = Clock()
    monkeypatch.setattr("compress.benchmark.server_load.perf_counter", clock)
    monkeypatch.setattr("compress.benchmark.http_client.perf_counter", clock)
    monkeypatch.setattr("compress.benchmark.server_load._SPIN_S", float("inf"))
    return clock


async def against(statuses, load, *, work=asyncio.sleep, work_s=0.0):
    """Run `load(port)` against a server that works on one request at a time and gives these statuses by turns."""
    turns, one_at_a_time = itertools.cycle(statuses), asyncio.Lock()

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(len(b"image"))
                async with one_at_a_time:
                    await work(work_s)
                    status = next(turns)
                if status == LOST:
                    break
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await load(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def working(clock):
    """Return work that takes its time on this clock alone."""

    async def work(work_s):
        clock.now_s += work_s

    return work


def test_the_closed_loop_sends_so_many_and_counts_each_status():
    found = run(against([OK, SHED, LOST, OK], lambda port: closed_loop(port, REQUEST, connections=1, count=8)))
    assert found.sent == 8
    assert found.statuses == {LOST: 2, OK: 4, SHED: 2}
    assert found.share_pct(SHED) == 25
    assert found.ok_per_s == pytest.approx(4 / found.seconds)


def test_the_closed_loop_ends_after_its_time(clock):
    closed = lambda port: closed_loop(port, REQUEST, connections=2, seconds=0.2)  # noqa: E731
    found = run(against([OK], closed, work=working(clock), work_s=0.01))
    assert 0.2 <= found.seconds < 0.23
    assert 20 <= found.sent <= 22


def test_the_closed_loop_ends_when_it_is_told_to():
    async def stopped(port):
        stop = asyncio.Event()
        answered = asyncio.Event()
        load = asyncio.create_task(closed_loop(port, REQUEST, connections=2, stop=stop, pause_s=0.001))
        answering.append(answered)
        await answered.wait()
        stop.set()
        return await load

    async def work(_):
        answering[0].set()

    answering = []
    assert run(against([OK], stopped, work=work)).sent > 0


def test_the_open_loop_counts_from_the_moment_a_request_was_due(clock):
    # 20 requests within 0.2 s to a server that needs 0.05 s for each: the last waits for about 0.8 s. A generator that
    # asked only when it had an answer would report 0.05 s for all of them.
    opened = lambda port: open_loop(port, REQUEST, per_s=100, seconds=0.2, connections=1)  # noqa: E731
    found = run(against([OK], opened, work=working(clock), work_s=0.05))
    assert found.sent == len(list(arrivals(100, 0.2, 0)))
    assert found.p99_ms > 0.7 * found.sent * 50 - 200
    assert found.p50_ms > 200


def test_the_open_loop_sends_at_the_rate_whatever_the_server_does():
    found = run(against([SHED], lambda port: open_loop(port, REQUEST, per_s=200, seconds=0.5)))
    assert found.statuses == {SHED: len(list(arrivals(200, 0.5, 0)))}
    assert found.ok_per_s == 0
    assert found.p50_ms is None
    assert found.shed_p99_ms < 100


def test_the_open_loop_gives_up_in_the_end(monkeypatch):
    monkeypatch.setattr("compress.benchmark.server_load._DRAIN_S", 0.1)
    never = lambda _: asyncio.Event().wait()  # noqa: E731
    found = run(against([OK], lambda port: open_loop(port, REQUEST, per_s=50, seconds=0.1), work=never))
    assert set(found.statuses) == {GAVE_UP}


def test_the_lag_of_the_generator_is_told_apart_from_the_latency(clock):
    async def held_up(port):
        pool = Pool(port, 4)
        return await offer(pool, itertools.cycle(REQUEST), slow_moments())

    def slow_moments():
        yield 0.01
        clock.now_s += 0.1  # the generator is busy with something else
        yield 0.02

    outcomes, _ = run(against([OK], held_up))
    first, second = sorted(outcomes)
    assert second.lag_s > 0.05
    assert second.latency_s >= second.lag_s
    assert first.latency_s >= first.lag_s >= 0


def test_requests_one_by_one_are_all_answered_or_it_is_an_error():
    def each(port):
        return ask_each(Address("127.0.0.1", port), REQUEST * 2)

    assert [reply.status for reply in run(against([OK], each))] == [OK, OK]
    with pytest.raises(StageError, match="answered 503"):
        run(against([OK, SHED], each))
    with pytest.raises(StageError, match="gave no answer"):
        run(against([LOST], each))


def test_arrivals_have_the_rate_and_the_spread_of_a_poisson_process():
    moments = list(arrivals(100, 100, seed=1))
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)
    assert moments == list(arrivals(100, 100, seed=1))
    assert moments != list(arrivals(100, 100, seed=2))


def test_rates_count_what_came_in_the_window_and_in_time():
    outcomes = [
        Outcome(0.1, OK, 0.1),  # before the window
        Outcome(1.5, OK, 0.1),
        Outcome(1.6, OK, 1.2),  # in the window, but after the deadline
        Outcome(2.0, SHED, 0.004),
        Outcome(2.9, OK, 0.5),  # after the window
    ]
    found = summary(outcomes, (1.0, 3.0), 1000, 0.5)
    assert (found.ok_per_s, found.good_per_s) == (1.0, 0.5)
    assert found.statuses == {OK: 4, SHED: 1}
    assert found.p50_ms == pytest.approx(300)
    assert found.shed_p99_ms == pytest.approx(4)
    assert found.generator_cpu_pct == 50
