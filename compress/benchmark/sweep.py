"""Other settings of the same files: threads, images in one call, and callers that call at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier, BrokenBarrierError
from time import perf_counter_ns

import numpy as np

from compress.benchmark.measure import OpenedModel
from compress.benchmark.schema import Bench, ConcurrentPoint, Row, SweepPoint
from compress.core.formats import Format
from compress.core.stage import Reporter
from compress.measure.latency import Timing, measure_latency
from compress.runtime.detector import Detector
from compress.runtime.open import open_model
from compress.runtime.predictor import Call, Floats, Predictor

_CALLERS_S = 1.0  # each number of callers calls for so long
_NS_PER_MS = 1e6
_NS_PER_S = 1e9


@dataclass(frozen=True)
class Sweep:
    """What else to measure; empty measures nothing.

    Attributes:
        threads: threads that one call may use.
        batches: images in one call.
        callers: threads of this process that call at once.
    """

    threads: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    callers: tuple[int, ...] = ()


def with_sweeps(
    bench: Bench, candidates: Sequence[OpenedModel], sweep: Sweep, timing: Timing, reporter: Reporter
) -> Bench:
    """Return the measurements with `sweep` and `concurrent` in the rows; the models take turns at each setting.

    A setting that a model fails is left out, and the reason is among the warnings.
    """
    rows = {row.stage: row for row in bench.rows}
    points: dict[str, list[SweepPoint]] = {name: [] for name in rows}
    warnings: list[str] = []
    pairs = [(threads, batch) for threads in sweep.threads for batch in sweep.batches]
    for threads, batch in pairs:
        for name, point in _points(candidates, rows, threads, batch, timing, reporter, warnings).items():
            points[name].append(point)
    concurrent = {one.name: _concurrent(one, rows[one.name], sweep.callers, reporter, warnings) for one in candidates}
    for text in warnings:
        reporter.warn(text)
    changed = tuple(
        row.model_copy(update={"sweep": tuple(points[row.stage]), "concurrent": concurrent.get(row.stage, ())})
        for row in bench.rows
    )
    return bench.model_copy(update={"rows": changed, "warnings": (*bench.warnings, *warnings)})


def _points(
    candidates: Sequence[OpenedModel],
    rows: Mapping[str, Row],
    threads: int,
    batch: int,
    timing: Timing,
    reporter: Reporter,
    warnings: list[str],
) -> dict[str, SweepPoint]:
    """Return name -> what one setting gives, of the models that can be called so."""
    predictors, images = {}, {}
    for one in candidates:
        if rows[one.name].latency_p50_ms is None:  # it does not run at all, and its row says so
            continue
        noise_NCHW = _noise(one, batch)
        try:
            predictor = _reopened(one, threads)
            predictor.predict(noise_NCHW)
        except Exception as error:
            warnings.append(f"{one.name}: {threads} threads, batch {batch}: {error}")
            continue
        predictors[one.name], images[one.name] = predictor, noise_NCHW
    found = measure_latency(predictors, images, timing, reporter)
    return {
        name: SweepPoint(
            threads=threads,
            batch=batch,
            latency_p50_ms=one.p50_ms,
            latency_p50_ci95_ms=one.ci95_ms.get(50),
            throughput_ips=one.throughput_ips,
        )
        for name, one in found.items()
    }


def _concurrent(
    one: OpenedModel, row: Row, callers: Sequence[int], reporter: Reporter, warnings: list[str]
) -> tuple[ConcurrentPoint, ...]:
    """Return what several callers get: they share an ONNX Runtime session, and have a LiteRT interpreter each."""
    if not callers or row.latency_p50_ms is None:
        return ()
    if one.predictor.format is Format.TORCH:
        warnings.append(f"{one.name}: a torch model is not called by several at once; export it")
        return ()
    images_NCHW = _noise(one, row.batch or 1)
    is_shared = one.predictor.format is Format.ONNX
    found = []
    with reporter.progress("callers", len(callers)) as advance:
        for count in callers:
            try:
                own = [one.predictor if is_shared else _reopened(one, one.predictor.threads) for _ in range(count)]
                times_ns, took_ns = _call_at_once([predictor.prepared(images_NCHW) for predictor in own])
            except Exception as error:
                warnings.append(f"{one.name}: {count} callers: {error}")
                continue
            found.append(
                ConcurrentPoint(
                    callers=count,
                    throughput_ips=len(times_ns) * len(images_NCHW) / took_ns * _NS_PER_S,
                    latency_p50_ms=float(np.percentile(times_ns, 50)) / _NS_PER_MS,
                    latency_p99_ms=float(np.percentile(times_ns, 99)) / _NS_PER_MS,
                )
            )
            advance(1, one.name)
    return tuple(found)


def _call_at_once(calls: Sequence[Call]) -> tuple[list[int], int]:
    """Return the nanoseconds of every call of all callers, and from the first call's start to the last one's end."""
    together = Barrier(len(calls))

    def repeat(call: Call) -> tuple[list[int], int, int]:
        try:
            call()
        except BaseException:
            together.abort()  # or the others would wait for this one for ever
            raise
        together.wait()
        began = now = perf_counter_ns()
        times_ns: list[int] = []
        while now - began < _CALLERS_S * _NS_PER_S or not times_ns:
            start = now
            call()
            now = perf_counter_ns()
            times_ns.append(now - start)
        return times_ns, began, now

    with ThreadPoolExecutor(len(calls)) as pool:
        callers = [pool.submit(repeat, call) for call in calls]
    failures = [error for one in callers if (error := one.exception()) is not None]
    if failures:  # the one that failed, not those that no longer waited for it
        raise next((error for error in failures if not isinstance(error, BrokenBarrierError)), failures[0])
    each = [one.result() for one in callers]
    took_ns = max(end for _, _, end in each) - min(began for _, began, _ in each)
    return [time_ns for times_ns, _, _ in each for time_ns in times_ns], took_ns


def _reopened(one: OpenedModel, threads: int) -> Predictor | Detector:
    return open_model(one.predictor.path, threads=threads, preprocess=one.predictor.spec.preprocess)


def _noise(one: OpenedModel, batch: int) -> Floats:
    return np.random.default_rng(0).standard_normal((batch, *one.predictor.spec.input_chw), dtype=np.float32)
