"""Models in, `Bench` out: one way to measure for the stage of a recipe and for files named on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.benchmark.accuracy import Accuracy, measure_accuracy
from compress.benchmark.memory import peak_rss_bytes
from compress.benchmark.schema import Answers, Bench, Row
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.runtime.host import host
from compress.runtime.latency import Latency, Timing, measure_latency
from compress.runtime.predictor import Floats, Predictor

_BUSY = 1.5  # load for each core; a training stage just before leaves about 1


@dataclass(frozen=True)
class Candidate:
    """A model to measure, opened.

    Attributes:
        name: of its row.
        path: as its row shall show it.
        sha256: of the file.
        size_bytes: of the file.
        predictor: the model, with the threads that its calls may use.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    predictor: Predictor


@dataclass(frozen=True)
class Setting:
    """How to measure: images in one timed call, and how often."""

    batch: int
    timing: Timing


@dataclass(frozen=True)
class Measured:
    """The numbers, and the answers behind them."""

    bench: Bench
    answers: Answers


def measure(
    candidates: Sequence[Candidate],
    baseline: str,
    split: Split,
    labels: tuple[str, ...],
    setting: Setting,
    reporter: Reporter,
) -> Measured:
    """Return one row for each model, in their order.

    Args:
        candidates: the models, at least one.
        baseline: name of the one that the others are compared with.
        split: labelled pictures, at least one.
        labels: names of the classes that the split's labels count.
        setting: how to measure.
        reporter: shows progress, and is told what makes the times doubtful.

    Raises:
        StageError: a model answers NaN or infinity, or cannot be measured.
    """
    machine = host()  # before our own work loads it
    warnings = _doubts(machine)
    for text in warnings:
        reporter.warn(text)
    predictors = {one.name: one.predictor for one in candidates}
    accuracy, answers = measure_accuracy(
        predictors,
        baseline,
        lambda preprocess: evaluation_pixels(split, preprocess, reporter),
        split,
        labels,
        reporter,
    )
    images = {name: _images(predictor, split, setting.batch, reporter) for name, predictor in predictors.items()}
    latency = measure_latency(predictors, images, setting.timing, reporter)
    peaks = _peaks(candidates, setting, reporter)
    rows = tuple(_row(one, accuracy[one.name], latency[one.name], setting.batch, peaks[one.name]) for one in candidates)
    bench = Bench(host=machine, baseline=baseline, rows=rows, split=split.name, warnings=tuple(warnings))
    return Measured(bench, answers)


def _doubts(machine: Mapping[str, Any]) -> list[str]:
    load, cores = machine["load_1min"], machine["cores"]
    if load is None or load <= _BUSY * cores:
        return []
    return [f"this machine is busy (load {load} on {cores} cores): the times will be too long and noisy"]


def _images(predictor: Predictor, split: Split, batch: int, reporter: Reporter) -> Floats:
    """Return one prepared batch; a split with fewer pictures is repeated."""
    pixels_NHWC = evaluation_pixels(split, predictor.spec.preprocess, reporter)
    chosen = np.arange(batch) % len(pixels_NHWC)
    return normalize(np.ascontiguousarray(pixels_NHWC[chosen]), predictor.spec.preprocess)


def _peaks(candidates: Sequence[Candidate], setting: Setting, reporter: Reporter) -> dict[str, int]:
    peaks = {}
    with reporter.progress("memory", len(candidates)) as advance:
        for one in candidates:
            path, threads = Path(one.predictor.path), one.predictor.threads
            peaks[one.name] = peak_rss_bytes(path, threads=threads, batch=setting.batch)
            advance(1, one.name)
    return peaks


def _row(one: Candidate, accuracy: Accuracy, latency: Latency, batch: int, peak: int) -> Row:
    spec = one.predictor.spec
    return Row(
        stage=one.name,
        format=one.predictor.format,
        precision=spec.precision,
        path=one.path,
        sha256=one.sha256,
        size_bytes=one.size_bytes,
        params=spec.params or None,
        macs=spec.macs or None,
        **asdict(accuracy),
        runtime=one.predictor.runtime,
        threads=one.predictor.threads,
        batch=batch,
        latency_p50_ms=latency.p50_ms,
        latency_p95_ms=latency.p95_ms,
        throughput_ips=latency.throughput_ips,
        peak_rss_bytes=peak,
    )
