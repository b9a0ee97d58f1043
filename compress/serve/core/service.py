"""`Service`: one request from admission to answer, over warm models and a watched pool of threads."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.core.cores import usable_cores
from compress.serve.config import MIB, ServeConfig
from compress.serve.core.admission import Admission, Slot
from compress.serve.core.cache import AnswerCache, Key
from compress.serve.core.deadline import Deadline
from compress.serve.core.degrade import Degrader
from compress.serve.core.inference import Inference
from compress.serve.core.lanes import Lanes
from compress.serve.core.memory import MemoryAlarm, keep_no_large_blocks
from compress.serve.core.memory_watch import MemoryWatch, left_for_images, memory_limit_bytes
from compress.serve.core.metrics import Metrics
from compress.serve.core.opened import open_degraded, open_models
from compress.serve.core.pool import resolve
from compress.serve.core.work import InferenceJob, run_jobs
from compress.serve.errors import deadline_passed, no_preprocessing, not_ready, unknown_model, worker_lost

log = logging.getLogger("imgc.serve")
_WATCH_S = 0.25
_KEY_BYTES = 16
_LARGE_BLOCK = 4 * MIB  # of an image; those of ordinary ones are smaller, and quicker when they are kept
_WARM_UP_SIZE = (64, 64)
_WARM_UP_MS = 60_000
_MAX_REPLACED = 16  # threads given up; each may hold memory and a core for ever, so beyond it only a restart helps


@dataclass(frozen=True, slots=True)
class Answer:
    """What one image got.

    Attributes:
        numbers: f32, logits_K, or the boxes of a detector [B, 6].
        model: which model answered.
        cached: whether it was known already, or computed for an equal image at the same time.
        queue_ms, decode_ms, infer_ms: of the work done for this request; 0 when cached.
    """

    numbers: NDArray[np.float32]
    model: Inference
    cached: bool
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    infer_ms: float = 0.0


class Service:
    """Holds the warm models, the worker threads, the cache, and the count of requests inside.

    Attributes:
        models: by name, in the order given.
        degraded: the smaller model that answers for the first under load; None: there is none.
        ready: whether requests are let in.
        draining: whether SIGTERM came: served, but said to be not ready.
        memory: watches what this process takes.
    """

    def __init__(self, config: ServeConfig) -> None:
        """Open and warm the models; errors as `Inference` raises them.

        Raises:
            UsageError: no model, two of one name, or the smaller one has other labels than the first.
        """
        threads = config.threads or max(1, usable_cores() // config.workers)
        self.config = config
        self.models = open_models(config, threads)
        self.first = next(iter(self.models.values()))
        self.degraded = open_degraded(config, self.first, threads)
        self.lanes = Lanes(  # large images may take half of the places, so that there are some for the others
            threads,
            config.max_pixels,
            most_large=max(1, (threads + config.max_queue) // 2),
            most_large_bytes=config.max_queue_bytes // 2,
        )
        self.admission = Admission(threads + config.max_queue, config.max_queue_bytes)
        self.cache = AnswerCache(config.cache_mib * MIB)
        self.degrader = Degrader()
        self.alarm = MemoryAlarm(memory_limit_bytes(config))
        self.memory = MemoryWatch(self.alarm, self.cache, self.lanes.large, self.admission, self.degrader)
        if config.workers > 1:
            self.memory.on_hopeless = _end_this_process  # the parent starts another one
        self.metrics = Metrics()
        self.ready = False
        self.draining = False
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start threads and watch; let requests in."""
        loop = asyncio.get_running_loop()
        keep_no_large_blocks(_LARGE_BLOCK)
        self._warm_up(loop)
        self.lanes.start(loop, left_for_images(self.alarm.limit_bytes, self.config))
        self._watch = asyncio.create_task(self._keep_watch())
        self.ready = True

    def _warm_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take an image the whole way, so that no request pays for what is loaded at the first (Pillow's codecs)."""
        file = io.BytesIO()
        Image.new("RGB", _WARM_UP_SIZE).save(file, "JPEG")
        for model in [*self.models.values(), *([self.degraded] if self.degraded is not None else [])]:
            job = InferenceJob(loop.create_future(), monotonic(), model, Deadline(_WARM_UP_MS), file.getvalue())
            run_jobs([job], self.lanes.small)
            if job.fault is not None:
                raise job.error or job.fault

    async def stop(self) -> None:
        """Let no more requests in and wait for the threads to finish what they began."""
        self.ready = False
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.to_thread(self.lanes.stop, self.config.stuck_ms / 1000)

    def model(self, name: str | None) -> Inference:
        """Return the model of this name; None: the first.

        Raises:
            RequestError: 404 no such model.
        """
        if name is None:
            return self.first
        found = self.models.get(name)
        if found is None:
            raise unknown_model(name, tuple(self.models))
        return found

    def predicted_wait_s(self) -> float:
        """Return how long a request let in now would wait for a thread, by the running mean of a job's time."""
        return self.lanes.wait_s(self.admission.inside)

    def check_open(self) -> None:
        """Let a request pass while the service takes any.

        Raises:
            RequestError: 503 starting, stopping, or a lost worker is being replaced.
        """
        if not self.ready:
            raise not_ready()

    def answering(self, model: Inference, allow_degraded: bool) -> Inference:
        """Return the model that answers for `model` at this load, and take the load in."""
        if self.degraded is None:
            return model
        self._see_load()
        use = self.degrader.active and allow_degraded and model is self.first
        return self.degraded if use else model

    async def answer(self, model: Inference, body: bytes, deadline: Deadline, slot: Slot) -> Answer:
        """Return the answer to one image, from the cache or a thread.

        Raises:
            RequestError: 400 nobody said how images are prepared for the model; 415, 422, 500, 504.
        """
        if not model.takes_images:
            raise no_preprocessing(model.name)
        if not self.cache.limit_bytes:
            return _answer(await self._work(model, body, deadline, slot))
        key: Key = (model.sha256, hashlib.blake2b(body, digest_size=_KEY_BYTES).digest())
        known = await self._known(key, deadline)
        if known is not None:
            self.metrics.cache_hits += 1
            return Answer(known, model, cached=True)
        self.metrics.cache_misses += 1
        return await self._compute(key, model, body, deadline, slot)

    async def infer(
        self, model: Inference, images_NCHW: NDArray[np.float32], deadline: Deadline, slot: Slot
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the model's outputs for preprocessed images.

        Raises:
            RequestError: 500, 504.
        """
        outputs = (await self._work(model, images_NCHW, deadline, slot)).outputs
        assert outputs is not None, "a job without a fault has an answer"
        return outputs

    async def _known(self, key: Key, deadline: Deadline) -> NDArray[np.float32] | None:
        """Return the answer kept, or the one being computed for an equal image; None when there is neither.

        One that is being computed may fail for reasons of its own (its time ran out): then this request tries itself.
        """
        while (pending := self.cache.pending.get(key)) is not None:
            await asyncio.wait({pending}, timeout=deadline.remaining_s())
            if not pending.done():
                raise deadline_passed(deadline.timeout_ms, "the answer was there")
            if (known := self.cache.get(key)) is not None:
                return known
        return self.cache.get(key)

    async def _compute(self, key: Key, model: Inference, body: bytes, deadline: Deadline, slot: Slot) -> Answer:
        """Do the work; equal images that come meanwhile wait for it. No other computation of the key is going on."""
        mine = self.cache.pending[key] = asyncio.get_running_loop().create_future()
        try:
            answer = _answer(await self._work(model, body, deadline, slot))
            self.cache.put(key, answer.numbers)
            return answer
        finally:
            del self.cache.pending[key]
            mine.set_result(None)

    async def _work(
        self, model: Inference, given: bytes | NDArray[np.float32], deadline: Deadline, slot: Slot
    ) -> InferenceJob:
        job = await self.lanes.run(model, given, deadline, slot)
        if job.led:
            self.metrics.batches.see(job.led)
        if job.fault is not None and job.done.done():
            if job.error is not None:
                log.error("a request failed", exc_info=job.error)
            raise job.fault
        if not job.done.done():
            raise deadline_passed(deadline.timeout_ms, "the answer was there")
        return job

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            await self.memory.see()
            self._see_load()
            while (jobs := self.lanes.replace_lost(self.config.stuck_ms / 1000)) is not None:
                await self._see_lost(jobs)

    def _see_load(self) -> None:
        # against the server's own deadline: a client that is in a hurry must not degrade the others
        self.degrader.see(self.predicted_wait_s() * 1000 / self.config.timeout_ms, monotonic())

    async def _see_lost(self, jobs: Sequence[InferenceJob]) -> None:
        """Answer the jobs of a lost thread and make a predictor for its successor; not ready until it is there."""
        self.metrics.workers_replaced += 1
        log.error("a worker thread was lost; replaced (%d so far)", self.metrics.workers_replaced)
        kept_predictor = {job.model.sha256: job.model for job in jobs if not job.waits_for_pixels}
        for job in jobs:
            job.fault = worker_lost()
        resolve(jobs)
        self.ready = False
        for model in kept_predictor.values():
            try:
                await asyncio.to_thread(model.add_predictor)
            except Exception:  # no memory for one more: the others go on, and so must the watch
                log.exception("no predictor for the new worker thread")
        self.ready = self.metrics.workers_replaced < _MAX_REPLACED


def _end_this_process() -> None:
    signal.raise_signal(signal.SIGTERM)


def _answer(job: InferenceJob) -> Answer:
    assert job.answer is not None, "a job without a fault has an answer"
    return Answer(job.answer, job.model, False, job.queue_ms, job.decode_ms, job.infer_ms)
