"""`Lanes`: the threads of a service, those that answer and those that decode large images behind them.

An image of many megapixels keeps a thread for long; whoever sends a few of them would keep everybody waiting.
So a thread that finds one leaves it to the slow lane, whose threads get of a busy processor what the others leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from compress.serve.config import MIB
from compress.serve.core.admission import Slot
from compress.serve.core.deadline import Deadline
from compress.serve.core.decode_budget import DecodeBudget
from compress.serve.core.inference import Inference
from compress.serve.core.pool import WorkerPool
from compress.serve.core.work import InferenceJob, can_batch, decode_jobs, max_batch, run_jobs
from compress.serve.errors import overloaded

SMALL_BYTES = 16 * MIB  # of decoding, whose price in memory goes with its time
_SHARE_OF_SMALL = 8
_NICE = 10  # a tenth of a thread that the others want, so that what it holds is never held for long
_LARGE_S = 0.1  # that a large image takes, until there are means


class Lanes:
    """A fast pool for what is soon done, and a slow one for large images, each with its share of the memory.

    Attributes:
        fast: decodes small images and runs the models.
        slow: decodes large images.
        small: the memory for images in the fast lane.
        large: the memory for images in the slow lane.
        large_inside: requests whose large image is not decoded yet.
        large_bytes: of their bodies.
    """

    def __init__(self, threads: int, max_pixels: int, *, most_large: int, most_large_bytes: int) -> None:
        """Make both lanes of this many threads; the slow one takes at most so many requests and bytes of bodies."""
        self.small = DecodeBudget(max_pixels, largest_bytes=SMALL_BYTES)
        self.large = DecodeBudget(max_pixels)
        self.fast: WorkerPool[InferenceJob] = WorkerPool(
            threads, partial(run_jobs, budget=self.small), max_batch, can_batch
        )
        self.slow: WorkerPool[InferenceJob] = WorkerPool(
            threads, partial(decode_jobs, budget=self.large), lambda _: 1, can_batch, job_s=_LARGE_S, nice=_NICE
        )
        self.most_large, self.most_large_bytes = most_large, most_large_bytes
        self.large_inside, self.large_bytes = 0, 0

    def start(self, loop: asyncio.AbstractEventLoop, image_bytes: int | None) -> None:
        """Start the threads; images may take this much memory while they are decoded (None: any)."""
        if image_bytes is not None:
            self.small.capacity_bytes = min(self.fast.threads * SMALL_BYTES, image_bytes // _SHARE_OF_SMALL)
            self.small.largest_bytes = min(SMALL_BYTES, self.small.capacity_bytes)
            self.large.capacity_bytes = image_bytes - self.small.capacity_bytes
        self.fast.start(loop)
        self.slow.start(loop)

    def stop(self, wait_s: float) -> None:
        """Let the threads finish what was handed over, and wait for them at most this long in all."""
        end_s = monotonic() + wait_s
        self.slow.stop(wait_s)
        self.fast.stop(max(0.0, end_s - monotonic()))

    def waiting(self) -> int:
        """Return how many jobs no thread has begun."""
        return self.fast.waiting() + self.slow.waiting()

    def wait_s(self, inside: int) -> float:
        """Return how long one more request would wait for a thread of the fast lane, when this many are inside."""
        return self.fast.wait_s(inside - self.large_inside)

    def replace_lost(self, older_than_s: float) -> Sequence[InferenceJob] | None:
        """As `WorkerPool.replace_lost`, of either lane."""
        lost = self.fast.replace_lost(older_than_s)
        return self.slow.replace_lost(older_than_s) if lost is None else lost

    async def run(
        self, model: Inference, given: bytes | NDArray[np.float32], deadline: Deadline, slot: Slot
    ) -> InferenceJob:
        """Return a job that left its threads: answered, or with its fault; or one that is late and goes on.

        Args:
            model: what answers.
            given: an image file's bytes, or images_NCHW.
            deadline: how long it is waited for.
            slot: of the request; it counts as inside until the job has left its threads.

        Raises:
            RequestError: 503 a large image that could not be decoded in time.
        """
        loop = asyncio.get_running_loop()
        job = InferenceJob(loop.create_future(), monotonic(), model, deadline, given)
        slot.jobs.append(job)
        await _through(self.fast, job)
        if job.done.done() and job.waits_for_pixels:
            await self._decode(job)
            if job.done.done() and job.pixels_HWC is not None:
                job.hand_over(loop)
                await _through(self.fast, job)
        return job

    async def _decode(self, job: InferenceJob) -> None:
        size_bytes = len(job.input)
        if self.large_inside >= self.most_large:
            raise overloaded("count")
        if self.large_inside and self.large_bytes + size_bytes > self.most_large_bytes:
            raise overloaded("bytes")
        if self.slow.wait_s(self.large_inside) >= job.deadline.remaining_s():
            raise overloaded("wait")
        job.hand_over(asyncio.get_running_loop())
        self.large_inside += 1
        self.large_bytes += size_bytes
        job.done.add_done_callback(lambda _: self._leave(size_bytes))
        await _through(self.slow, job)

    def _leave(self, size_bytes: int) -> None:
        self.large_inside -= 1
        self.large_bytes -= size_bytes


async def _through(pool: WorkerPool[InferenceJob], job: InferenceJob) -> None:
    pool.submit(job)
    # wait, not wait_for: a cancelled future would leave its place while its thread still runs
    await asyncio.wait({job.done}, timeout=job.deadline.remaining_s())
