"""`Service`: one request from admission to answer, over a pool of worker threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from time import perf_counter
from typing import Any

from starlette.requests import Request

from compress.core.cores import usable_cores
from compress.serve.admission import Admission
from compress.serve.config import ServeConfig
from compress.serve.deadline import Deadline
from compress.serve.errors import deadline_passed, not_ready
from compress.serve.gateway import check_headers, read_body
from compress.serve.inference import Inference
from compress.serve.logic import Classifier


class Service:
    """Holds the warm model, the worker threads and the count of requests inside.

    Attributes:
        ready: whether requests are let in; set once the application has started, cleared when it stops.
    """

    def __init__(self, config: ServeConfig) -> None:
        """Open and warm the model; errors as `Inference` raises them."""
        threads = config.threads or max(1, usable_cores() // config.workers)
        self.config = config
        self.inference = Inference(config.artifact, threads)
        self.classifier = Classifier(self.inference)
        self.admission = Admission(threads + config.max_queue)
        self.ready = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")

    async def classify(self, request: Request, top_k: int) -> dict[str, Any]:
        """Return the body of the answer to one picture.

        Raises:
            RequestError: any of the statuses of `compress.serve.errors`.
        """
        begun = perf_counter()
        deadline = Deadline(self.config.timeout_ms)
        check_headers(request.headers, self.config.max_body_bytes)
        if not self.ready:
            raise not_ready()
        with self.admission.slot() as slot:
            body = await read_body(request.receive, self.config.max_body_bytes, deadline)
            loop = asyncio.get_running_loop()
            slot.work = loop.run_in_executor(self._pool, self.classifier.classify, body, top_k, deadline)
            # wait, not wait_for: a cancelled future would leave its place while its thread still runs
            await asyncio.wait({slot.work}, timeout=deadline.remaining_s())
            if not slot.work.done():
                raise deadline_passed(self.config.timeout_ms, "the answer was there")
            answer = slot.work.result()
        timing_ms = {
            "decode": round(answer.decode_ms, 3),
            "infer": round(answer.infer_ms, 3),
            "total": round((perf_counter() - begun) * 1000, 3),
        }
        predictions = [asdict(prediction) for prediction in answer.predictions]
        return {"id": request.state.request_id, **self.identity(), "predictions": predictions, "timing_ms": timing_ms}

    def identity(self) -> dict[str, str]:
        """Return which model answers: name, version, precision."""
        model = self.inference
        return {"model": model.name, "version": model.version, "precision": model.spec.precision.value}

    def health(self) -> dict[str, Any]:
        """Return what a monitor and the page want to know.

        Raises:
            RequestError: 503 while the service is not ready.
        """
        if not self.ready:
            raise not_ready()
        spec = self.inference.spec
        return {
            "status": "ok",
            **self.identity(),
            "runtime": self.inference.runtime,
            "num_classes": spec.num_classes,
            "input_px": spec.preprocess.crop_px,
        }

    def close(self) -> None:
        """Let no more requests in and wait for the threads to finish what they began."""
        self.ready = False
        self._pool.shutdown(wait=True)
