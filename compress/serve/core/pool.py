"""`WorkerPool`: threads that decode and infer, watched, and replaced when one dies or hangs.

One thread takes a request from its bytes to its logits: handing over between a decode pool and an inference pool would
cost two more thread switches a request. How many images are inside a model at once is bounded by its predictors.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

J = TypeVar("J", bound="QueuedJob")
_SPEED_SHARE = 0.1  # of the newest job in the running mean of seconds a job


@dataclass(slots=True, eq=False)
class QueuedJob:
    """What one thread does for one request.

    Attributes:
        done: resolved in the event loop when the work has left its thread; carries nothing, the outcome is in the job.
        queued_s: when it was handed over.
        worked: whether the thread had anything to do; not, when its time had run out before.
    """

    done: asyncio.Future[None]
    queued_s: float
    worked: bool = field(default=True, kw_only=True)

    def hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make it ready for another thread, after it has left one."""
        self.done, self.queued_s, self.worked = loop.create_future(), monotonic(), True


@dataclass(eq=False)
class _Worker(Generic[J]):
    """One thread and what it is at.

    Attributes:
        begun_s: when it began its present work; None: it waits.
        jobs: its present work.
        next_job: taken from the queue but not joined to the present work.
        lost: it was given up: whatever it still brings is delivered, but it takes nothing more.
    """

    thread: threading.Thread | None = None
    begun_s: float | None = None
    jobs: Sequence[J] = ()
    next_job: J | None = None
    lost: bool = False


@dataclass(eq=False)
class WorkerPool(Generic[J]):
    """Threads that take jobs in the order they came.

    Attributes:
        threads: how many work at once.
        work: does jobs and leaves their outcomes in them; called in a thread, must not raise.
        max_batch: how many jobs may be worked on together with this one, itself counted (1: none).
        can_batch: whether another job may be worked on together with this one.
        job_s: running mean of the seconds that one job keeps a thread; for the predicted wait.
        nice: how much less of a busy processor than others the threads get (Linux; 0: as much, 19: the least).
    """

    threads: int
    work: Callable[[Sequence[J]], None]
    max_batch: Callable[[J], int]
    can_batch: Callable[[J, J], bool]
    job_s: float = 0.005
    nice: int = 0
    _queue: SimpleQueue[J | None] = field(default_factory=SimpleQueue)
    _workers: list[_Worker[J]] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)  # of what a worker is at, and whether it is lost

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; outcomes are announced in this event loop."""
        self._loop = loop
        self._workers = [self._new_worker() for _ in range(self.threads)]

    def submit(self, job: J) -> None:
        """Hand over a job."""
        self._queue.put(job)

    def wait_s(self, inside: int) -> float:
        """Return how long one more job would wait for a thread when this many are inside, by the running mean."""
        ahead = max(inside - self.threads + 1, self.waiting())
        return max(0, ahead) * self.job_s / self.threads

    def waiting(self) -> int:
        """Return how many jobs no thread has begun."""
        return self._queue.qsize()

    def replace_lost(self, older_than_s: float) -> Sequence[J] | None:
        """Give one worker up whose thread has died, or is longer than this in one piece of work, and start another.

        Returns:
            the jobs that it was at; None: no worker is lost.
        """
        with self._lock:  # judged and given up in one: it may be about to finish
            since_s = monotonic() - older_than_s
            place = next((at for at, worker in enumerate(self._workers) if _is_lost(worker, since_s)), None)
            if place is None:
                return None
            worker = self._workers[place]
            worker.lost = True
            jobs, next_job = worker.jobs, worker.next_job
        self._workers[place] = self._new_worker(next_job)
        return jobs

    def stop(self, wait_s: float) -> None:
        """Let the threads finish what was handed over, and wait for them at most this long in all."""
        end_s = monotonic() + wait_s
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join(max(0.0, end_s - monotonic()))

    def _new_worker(self, next_job: J | None = None) -> _Worker[J]:
        worker: _Worker[J] = _Worker(next_job=next_job)
        worker.thread = threading.Thread(target=self._run, args=(worker,), name="imgc-worker", daemon=True)
        worker.thread.start()
        return worker

    def _run(self, worker: _Worker[J]) -> None:
        _give_way(self.nice)
        while (first := self._take(worker)) is not None:
            jobs, begun_s = self._gather(first, worker), monotonic()
            with self._lock:
                worker.jobs, worker.begun_s = jobs, begun_s
            self.work(jobs)
            with self._lock:
                worker.jobs, worker.begun_s = (), None
                worked = sum(job.worked for job in jobs)
                if worked and not worker.lost:  # how long it hung says nothing of the wait for the others
                    self.job_s += _SPEED_SHARE * ((monotonic() - begun_s) / worked - self.job_s)
            self._announce(jobs)

    def _take(self, worker: _Worker[J]) -> J | None:
        """Return the worker's next job, waiting for one to come; None when its thread is to end."""
        with self._lock:
            if worker.lost:
                return None
            first, worker.next_job = worker.next_job, None
        return first if first is not None else self._queue.get()

    def _gather(self, first: J, worker: _Worker[J]) -> list[J]:
        """Return the job and those waiting that go with it; never waits for one to come."""
        jobs, max_batch = [first], self.max_batch(first)
        while len(jobs) < max_batch:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None or not self.can_batch(first, job):
                self._put_back(job, worker)
                break
            jobs.append(job)
        return jobs

    def _put_back(self, job: J | None, worker: _Worker[J]) -> None:
        if job is None:
            self._queue.put(None)
        else:
            worker.next_job = job

    def _announce(self, jobs: Sequence[J]) -> None:
        assert self._loop is not None, "a worker runs only after start"
        try:
            self._loop.call_soon_threadsafe(resolve, jobs)
        except RuntimeError:  # the loop was closed: nobody waits any more
            return


def resolve(jobs: Sequence[QueuedJob]) -> None:
    """Announce that these jobs have left their thread; in the event loop only."""
    for job in jobs:
        if not job.done.done():
            job.done.set_result(None)


def _give_way(nice: int) -> None:
    if nice and sys.platform.startswith("linux"):  # elsewhere it would be the whole process
        with suppress(OSError):  # a sandbox may forbid it: then the threads are equals
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def _is_lost(worker: _Worker[J], since_s: float) -> bool:
    dead = worker.thread is not None and not worker.thread.is_alive()
    begun_s = worker.begun_s
    return dead or (begun_s is not None and begun_s < since_s)
