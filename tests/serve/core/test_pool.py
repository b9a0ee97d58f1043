from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from compress.serve.core import pool as module
from compress.serve.core.pool import QueuedJob, WorkerPool

LONG_AGO_S = 60.0


@dataclass(slots=True, eq=False)
class Numbered(QueuedJob):
    """A job that waits for its gate, and a group that it may be done with."""

    number: int = 0
    group: str = ""
    gate: threading.Event | None = None
    kills: bool = False


class Desk:
    """What the threads of a pool do: note which jobs they were given together, wait, or die."""

    def __init__(self, max_batch: int = 1) -> None:
        self.max_batch = max_batch
        self.begun: list[list[int]] = []
        self.ended: list[int] = []

    def work(self, jobs) -> None:
        self.begun.append([job.number for job in jobs])
        if jobs[0].gate is not None:
            assert jobs[0].gate.wait(30), "the test never let the job go on"
        if jobs[0].kills:
            raise SystemExit
        self.ended += [job.number for job in jobs]

    def pool(self, threads: int) -> WorkerPool[Numbered]:
        return WorkerPool(threads, self.work, lambda _: self.max_batch, lambda a, b: a.group == b.group)


@pytest.fixture
def clock(monkeypatch):
    """Return a function that lets the pool's clock leap forward; else it stands still."""
    ahead = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: ahead[0])

    def leap(seconds: float) -> None:
        ahead[0] += seconds

    return leap


def using(pool, scenario):
    """Run a scenario with a started pool and a maker of jobs."""

    async def whole():
        loop = asyncio.get_running_loop()
        pool.start(loop)
        await asyncio.wait_for(
            scenario(lambda *a, **k: Numbered(loop.create_future(), 0.0, *a, **k)), 20
        )  # a gate gives up after 30
        await asyncio.to_thread(pool.stop, 30)

    asyncio.run(whole())


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def submit(pool, *jobs) -> None:
    for job in jobs:
        pool.submit(job)


def test_one_thread_does_jobs_in_the_order_they_came():
    desk = Desk()
    pool = desk.pool(1)

    async def scenario(new):
        jobs = [new(i) for i in range(20)]
        submit(pool, *jobs)
        await asyncio.wait({job.done for job in jobs})
        assert desk.ended == list(range(20))
        assert pool.waiting() == 0

    using(pool, scenario)


def test_jobs_that_wait_behind_a_busy_thread_are_done_together_up_to_the_room():
    desk = Desk(max_batch=3)
    pool = desk.pool(1)

    async def scenario(new):
        gate = threading.Event()
        first = new(0, gate=gate)
        submit(pool, first)
        await until(lambda: desk.begun)
        rest = [new(i) for i in range(1, 6)]
        submit(pool, *rest)
        assert pool.waiting() == 5
        gate.set()
        await asyncio.wait({job.done for job in [first, *rest]})
        assert desk.begun == [[0], [1, 2, 3], [4, 5]], "and the first waited for nobody"

    using(pool, scenario)


def test_a_job_that_does_not_fit_is_next_and_none_is_done_twice():
    desk = Desk(max_batch=8)
    pool = desk.pool(1)

    async def scenario(new):
        gate = threading.Event()
        jobs = [new(0, "x", gate), new(1, "a"), new(2, "a"), new(3, "b"), new(4, "b"), new(5, "a")]
        submit(pool, jobs[0])
        await until(lambda: desk.begun)
        submit(pool, *jobs[1:])
        gate.set()
        await asyncio.wait({job.done for job in jobs})
        assert desk.begun == [[0], [1, 2], [3, 4], [5]]

    using(pool, scenario)


def test_stop_finishes_what_was_handed_over_and_ends_every_thread():
    desk = Desk(max_batch=8)  # the sign to end may be met while jobs are gathered, and then belongs to another thread
    pool = desk.pool(3)

    async def scenario(new):
        submit(pool, *(new(i) for i in range(50)))

    using(pool, scenario)
    assert sorted(desk.ended) == list(range(50))
    assert not any(worker.thread.is_alive() for worker in pool._workers)


def test_a_thread_at_work_or_idle_is_not_lost(clock):
    desk = Desk()
    pool = desk.pool(2)

    async def scenario(new):
        gate = threading.Event()
        submit(pool, new(0, gate=gate))
        await until(lambda: desk.begun)
        clock(LONG_AGO_S - 40)
        assert pool.replace_lost(LONG_AGO_S) is None
        gate.set()

    using(pool, scenario)


def test_a_stuck_thread_is_replaced_and_what_waits_is_done(clock):
    desk = Desk(max_batch=8)
    pool = desk.pool(1)

    async def scenario(new):
        gate = threading.Event()
        stuck, fitting, other, last = new(1, "a", gate), new(2, "a"), new(3, "b"), new(4, "b")
        first_gate = threading.Event()
        submit(pool, new(0, "x", first_gate))
        await until(lambda: desk.begun)
        submit(pool, stuck, fitting, other)  # `other` is taken from the queue, but does not fit
        first_gate.set()
        await until(lambda: len(desk.begun) == 2)
        clock(LONG_AGO_S + 1)
        assert pool.replace_lost(LONG_AGO_S) == [stuck, fitting]
        assert pool.replace_lost(LONG_AGO_S) is None, "once"
        submit(pool, last)
        await asyncio.wait({other.done, last.done})
        assert not stuck.done.done()
        gate.set()
        await asyncio.wait({stuck.done, fitting.done})
        assert sorted(desk.ended) == [0, 1, 2, 3, 4], "each once"

    using(pool, scenario)


def test_a_thread_given_up_takes_nothing_more_and_does_not_spoil_the_mean(clock):
    desk = Desk()
    pool = desk.pool(1)

    async def scenario(new):
        gates = [threading.Event() for _ in range(2)]
        stuck, following = new(0, gate=gates[0]), new(1, gate=gates[1])
        submit(pool, stuck, following)
        await until(lambda: desk.begun)
        clock(LONG_AGO_S + 1)
        pool.replace_lost(LONG_AGO_S)
        await until(lambda: len(desk.begun) == 2)
        gates[0].set()
        await stuck.done
        waits = new(2)
        submit(pool, waits)
        await asyncio.sleep(0.05)
        assert desk.begun == [[0], [1]], "one thread, so one job"
        assert pool.job_s < 1, "a wait predicted from a hang would shut out requests for long"
        gates[1].set()
        await waits.done

    using(pool, scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_replaced():
    desk = Desk()
    pool = desk.pool(1)

    async def scenario(new):
        killer, after = new(0, kills=True), new(1)
        submit(pool, killer, after)
        lost = []
        await until(lambda: lost or lost.extend(pool.replace_lost(LONG_AGO_S) or ()))
        assert lost == [killer]
        await after.done
        assert desk.ended == [1]

    using(pool, scenario)


def test_the_mean_follows_the_time_of_one_job_of_a_batch(clock):
    pool = WorkerPool(1, lambda jobs: clock(4.0 * len(jobs)), lambda _: 2, lambda *_: True)

    async def scenario(new):
        jobs = [new(i) for i in range(200)]
        submit(pool, *jobs)
        await asyncio.wait({job.done for job in jobs})

    using(pool, scenario)
    assert pool.job_s == pytest.approx(4.0, rel=0.05)


def test_an_outcome_for_a_closed_loop_ends_no_thread():
    desk = Desk()
    pool = desk.pool(1)
    gate = threading.Event()

    async def scenario():
        loop = asyncio.get_running_loop()
        pool.start(loop)
        submit(pool, Numbered(loop.create_future(), 0.0, 0, gate=gate))
        submit(pool, Numbered(loop.create_future(), 0.0, 1))

    asyncio.run(scenario())
    gate.set()
    pool.stop(30)
    assert desk.ended == [0, 1]
