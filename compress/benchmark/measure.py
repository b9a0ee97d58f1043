"""Models in, `Bench` out: one way to measure for the stage of a recipe and for files named on the command line."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.accuracies import accuracies_of
from compress.benchmark.asked import Accuracies, Pixels
from compress.benchmark.box_answers import BoxAnswers
from compress.benchmark.config import BenchmarkConfig
from compress.benchmark.memory import Fresh, measure_fresh
from compress.benchmark.schema import Answers, Bench, Row
from compress.core.formats import Format
from compress.core.names import few
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.errors import StageError
from compress.measure.interference import counters, interference, load_doubt
from compress.measure.latency import Latency, Timing, measure_latency, unstable_text
from compress.measure.machine_speed import FULL_RATIO
from compress.runtime.detector import Detector
from compress.runtime.host import host
from compress.runtime.predictor import Floats, Predictor

_DRIFT_RATIO = 1.05  # between the medians of two moments
_LATER_SHARE = 0.25  # of the time budget, for the second moment
_RETAKES = 2
_QUICK_REPEATS, _QUICK_BUDGET_S = 50, 0.4
_FRESH_S = {Format.TORCH: 5.0}  # of processes that import the library and open a model; others:
_LIGHT_FRESH_S = 1.5


@dataclass(frozen=True)
class OpenedModel:
    """A model to measure, opened.

    Attributes:
        name: of its row.
        path: as its row shall show it.
        sha256: of the file.
        size_bytes: of the file.
        predictor: the model, with the threads that its calls may use.
        unasked: why it cannot be asked what it sees, where that is so; its speed is measured all the same.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    predictor: Predictor | Detector
    unasked: str | None = None


@dataclass(frozen=True)
class Setting:
    """How to measure: images in one timed call, and how often."""

    batch: int
    timing: Timing


@dataclass(frozen=True)
class Measured:
    """The numbers, and the answers behind them; None without images."""

    bench: Bench
    answers: Answers | BoxAnswers | None


@dataclass
class _Errors:
    """Model -> what could not be measured of it."""

    texts: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        known = self.texts.setdefault(name, [])
        if text not in known:
            known.append(text)

    def of(self, name: str) -> str | None:
        return "; ".join(self.texts.get(name, [])) or None


def timing_of(config: BenchmarkConfig) -> Timing:
    """Return how the calls of a benchmark are timed."""
    if config.quick:
        repeats, budget_s = min(config.repeats, _QUICK_REPEATS), min(config.budget_s, _QUICK_BUDGET_S)
        return Timing(config.warmup, repeats, budget_s, quick=True)
    return Timing(config.warmup, config.repeats, config.budget_s, retakes=_RETAKES)


def measure(
    candidates: Sequence[OpenedModel],
    baseline: str,
    split: Split | None,
    labels: tuple[str, ...] | None,
    setting: Setting,
    reporter: Reporter,
) -> Measured:
    """Return one row for each model, in their order. A part that one of them fails is `error` in its row, not the end.

    Args:
        candidates: the models, at least one.
        baseline: name of the one that the others are compared with.
        split: labelled images, at least one; without them nothing is said of accuracy, and noise is timed.
        labels: names of the classes that the split's labels count.
        setting: how to measure.
        reporter: shows progress, and is told what makes the numbers doubtful.

    Raises:
        StageError: the baseline cannot answer the images.
    """
    machine = host()  # before our own work loads it
    warnings = load_doubt(machine["load_1min"], machine["cores"])
    predictors = {one.name: one.predictor for one in candidates}
    pixels = _pixels(split, setting.batch, reporter)
    accuracies = Accuracies()
    errors = _Errors()
    if split is not None and labels is not None:
        asked = {one.name: one.predictor for one in candidates if one.unasked is None}
        accuracies = accuracies_of(asked, baseline, pixels, split, labels, reporter)
        for one in candidates:
            if one.unasked is not None:
                errors.add(one.name, one.unasked)
    for name, text in accuracies.errors.items():
        errors.add(name, text)
    images = {name: _images(one, pixels, setting.batch) for name, one in predictors.items()}
    running = {name: one for name, one in predictors.items() if _answers_at_all(name, one, images[name], errors)}
    reporter.info(_duration_text(running, images, setting.timing))
    before = counters()
    latency = measure_latency(running, images, setting.timing, reporter)
    warnings += interference(before, counters())
    warnings += _unstable(latency)
    fresh: dict[str, Fresh] = {}
    if not setting.timing.quick:
        fresh = _fresh(candidates, setting, errors, reporter)
        warnings += _drifts(latency, measure_latency(running, images, _later(setting.timing), reporter))
    warnings += [f"{name}: {error}" for name in predictors if (error := errors.of(name))]
    for text in warnings:
        reporter.warn(text)
    rows = tuple(_row(one, accuracies, latency, setting.batch, fresh, errors) for one in candidates)
    bench = Bench(
        host=machine,
        baseline=baseline,
        rows=rows,
        split=split.name if split is not None else None,
        warnings=tuple(warnings),
    )
    return Measured(bench, accuracies.answers)


def _duration_text(predictors: Mapping[str, Predictor | Detector], images: Mapping[str, Floats], timing: Timing) -> str:
    """Return how long the measuring will take, from one call of each model."""
    calls_s = 0.0
    for name, predictor in predictors.items():
        began = perf_counter()
        predictor.predict(images[name])
        calls_s += min(timing.budget_s, timing.repeats * (perf_counter() - began))
    models = f"measuring {len(predictors)} models"
    if timing.quick:
        return f"{models} quickly, about {max(1.0, calls_s):.0f} s: no memory, no start, no second take"
    fresh_s = sum(_FRESH_S.get(one.format, _LIGHT_FRESH_S) for one in predictors.values())
    quiet_s = calls_s * (1 + _LATER_SHARE) + fresh_s
    busy_s = len(predictors) * timing.budget_s * (1 + _RETAKES + _LATER_SHARE) + fresh_s
    return (
        f"{models} takes about {quiet_s:.0f} s on a quiet machine, at most {max(quiet_s, busy_s):.0f} s on a busy one"
    )


def _later(timing: Timing) -> Timing:
    return replace(timing, retakes=0, budget_s=timing.budget_s * _LATER_SHARE)


def _unstable(latency: Mapping[str, Latency]) -> list[str]:
    """Return one sentence for the models that a slower machine made unstable, and one for each other such model."""
    slowed = {name: one for name, one in latency.items() if one.slowdown > FULL_RATIO}
    others = [f"{name}: {unstable_text(one)}" for name, one in latency.items() if name not in slowed and not one.stable]
    if not slowed:
        return others
    worst = max(slowed.values(), key=lambda one: one.slowdown)
    return [f"{few(list(slowed))}: {unstable_text(worst)}", *others]


def _drifts(before: Mapping[str, Latency], later: Mapping[str, Latency]) -> list[str]:
    """Return one sentence for each model whose time, a few seconds later, is another one.

    A virtual machine may be slower for seconds or minutes without a sign in its counters, and then each call is as slow
    as the others.
    """
    texts = []
    for name, first in before.items():
        pair = first.p50_ms, later[name].p50_ms
        if max(pair) > _DRIFT_RATIO * min(pair):
            texts.append(
                f"{name}: drifted: its median was {pair[0]:.3g} ms, and {pair[1]:.3g} ms after its memory was measured"
            )
    return texts


def _pixels(split: Split | None, batch: int, reporter: Reporter) -> Pixels:
    """Return what gives the images for a preprocessing: u8 [N,crop_px,crop_px,3]; one batch of noise without any."""
    if split is not None:
        return lambda preprocess: evaluation_pixels(split, preprocess, reporter)

    def noise(preprocess: Preprocess) -> NDArray[np.uint8]:
        shape = (batch, preprocess.crop_px, preprocess.crop_px, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    return noise


def _images(predictor: Predictor | Detector, pixels: Pixels, batch: int) -> Floats:
    """Return one prepared batch; a split with fewer images is repeated."""
    pixels_NHWC = pixels(predictor.spec.preprocess)
    chosen = np.arange(batch) % len(pixels_NHWC)
    return normalize(np.ascontiguousarray(pixels_NHWC[chosen]), predictor.spec.preprocess)


def _answers_at_all(name: str, predictor: Predictor | Detector, images_NCHW: Floats, errors: _Errors) -> bool:
    try:
        predictor.predict(images_NCHW)
    except Exception as error:  # each runtime has exceptions of its own
        errors.add(name, str(error).strip() or type(error).__name__)
        return False
    return True


def _fresh(
    candidates: Sequence[OpenedModel], setting: Setting, errors: _Errors, reporter: Reporter
) -> dict[str, Fresh]:
    found = {}
    with reporter.progress("memory", len(candidates)) as advance:
        for one in candidates:
            path, threads = Path(one.predictor.path), one.predictor.threads
            try:
                found[one.name] = measure_fresh(
                    path, threads=threads, batch=setting.batch, preprocess=one.predictor.spec.preprocess
                )
            except StageError as error:
                errors.add(one.name, error.message)
            advance(1, one.name)
    return found


def _row(
    one: OpenedModel,
    accuracies: Accuracies,
    latency: Mapping[str, Latency],
    batch: int,
    fresh: Mapping[str, Fresh],
    errors: _Errors,
) -> Row:
    spec = one.predictor.spec
    accuracy, times, process = accuracies.found.get(one.name), latency.get(one.name), fresh.get(one.name)
    return Row(
        stage=one.name,
        format=one.predictor.format,
        precision=spec.precision,
        path=one.path,
        sha256=one.sha256,
        size_bytes=one.size_bytes,
        params=spec.params or None,
        macs=spec.macs or None,
        **(asdict(accuracy) if accuracy else {}),
        runtime=one.predictor.runtime,
        threads=one.predictor.threads,
        batch=batch,
        **_times(times) if times else {},
        **(asdict(process) if process else {}),
        gzip_bytes=len(gzip.compress(Path(one.predictor.path).read_bytes())),
        task=spec.task,
        error=errors.of(one.name),
    )


def _times(latency: Latency) -> dict[str, Any]:
    fields: dict[str, Any] = {f"latency_p{rank}_ms": value for rank, value in latency.percentiles_ms.items()}
    fields |= {f"latency_p{rank}_ci95_ms": interval for rank, interval in latency.ci95_ms.items()}
    return fields | {
        "latency_calls": latency.calls,
        "latency_windows_ms": latency.windows_ms,
        "latency_left_out": latency.left_out,
        "slowdown": latency.slowdown,
        "stable": latency.stable,
        "cpu_ms": latency.cpu_ms,
        "throughput_ips": latency.throughput_ips,
    }
