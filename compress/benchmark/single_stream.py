"""Single-stream: one query after the other, from an image's bytes to its answer. MLPerf's figure is the p90."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from math import ceil
from time import perf_counter

import numpy as np

from compress.benchmark.order_statistics import percentile, percentile_ci95
from compress.benchmark.scenario_schema import SINGLE_STREAM, Scenario
from compress.core.stage import Reporter
from compress.data.transforms import read_pixels
from compress.runtime.predictor import Predictor

_WARMUP = 10
_MIN_QUERIES = 20


def answer(predictor: Predictor, bodies: Sequence[bytes]) -> list[int]:
    """Return the class index answered to each image of one batch: decoding, preprocessing, inference.

    Raises:
        BadImageError: one of them is no usable image.
    """
    pixels_NHWC = np.stack([read_pixels(body, predictor.spec.preprocess) for body in bodies])
    answers: list[int] = predictor.predict_pixels(pixels_NHWC).argmax(axis=1).tolist()
    return answers


def measure_single_stream(
    predictor: Predictor,
    bodies: Sequence[bytes],
    seconds: float,
    reporter: Reporter,
    clock: Callable[[], float] = perf_counter,
) -> Scenario:
    """Return the latencies of queries of one image each, asked by turns until `seconds` passed.

    Args:
        predictor: the model, with the threads that one query may use.
        bodies: JPEG files.
        seconds: how long; at least `_MIN_QUERIES` are asked.
        reporter: shows progress.
        clock: gives seconds; tests bring their own.
    """
    turns = cycle(bodies)
    for _ in range(_WARMUP):
        answer(predictor, [next(turns)])
    times_ms: list[float] = []
    begun = last = clock()
    with reporter.progress(SINGLE_STREAM, ceil(seconds)) as advance:
        while last - begun < seconds or len(times_ms) < _MIN_QUERIES:
            before = clock()
            answer(predictor, [next(turns)])
            now = clock()
            times_ms.append(1000 * (now - before))
            if int(now - begun) > int(last - begun):
                advance(int(now - begun) - int(last - begun))
            last = now
    return Scenario(
        scenario=SINGLE_STREAM,
        model=str(predictor.path),
        images=len(bodies),
        n=len(times_ms),
        seconds=last - begun,
        threads=predictor.threads,
        batch=1,
        latency_p50_ms=percentile(times_ms, 50),
        latency_p90_ms=percentile(times_ms, 90),
        latency_p90_ci95_ms=percentile_ci95(times_ms, 90),
        latency_p99_ms=percentile(times_ms, 99),
        latency_p99_ci95_ms=percentile_ci95(times_ms, 99),
    )
