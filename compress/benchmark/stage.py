"""The benchmark stage: models in, `bench.json` out. Its times differ from run to run, and so do its bytes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from compress.benchmark.accuracy import Accuracy, measure_accuracy
from compress.benchmark.config import ROLE_PREFIX, BenchmarkConfig
from compress.benchmark.memory import peak_rss_bytes
from compress.benchmark.schema import Bench, Row
from compress.core.artifact import Artifact, Metrics, StageOutput
from compress.core.formats import Format
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import write_json
from compress.data.dataset import Dataset, Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.engine.allocator import keep_freed_memory
from compress.errors import StageError
from compress.runtime.host import host
from compress.runtime.latency import Latency, Timing, measure_latency
from compress.runtime.predictor import Floats, Predictor, open_predictor

FILE_NAME = "bench.json"
_BUSY = 1.5  # load for each core; a training stage just before leaves about 1


def run(config: BenchmarkConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Measure every input on the test split and write one row for each, in the order of the inputs."""
    keep_freed_memory()  # as the training stages of the same run did, so that latency does not depend on them
    artifacts = {role.removeprefix(ROLE_PREFIX): artifact for role, artifact in inputs.items()}
    baseline = _baseline(config, artifacts)
    machine = host()  # before our own work loads it
    _warn_if_busy(machine, ctx)
    dataset = _dataset(ctx)
    split = _limited(dataset.splits["test"], config.limit)
    predictors = {name: _open(artifact, dataset, config.threads) for name, artifact in artifacts.items()}
    accuracy = measure_accuracy(
        predictors,
        baseline,
        lambda preprocess: evaluation_pixels(split, preprocess, ctx.reporter),
        split.labels_N,
        ctx.reporter,
    )
    images = {name: _images(predictor, split, config.batch, ctx) for name, predictor in predictors.items()}
    timing = Timing(warmup=config.warmup, repeats=config.repeats, budget_s=config.budget_s)
    latency = measure_latency(predictors, images, timing, ctx.reporter)
    rows = []
    with ctx.reporter.progress("memory", len(artifacts)) as advance:
        for name, artifact in artifacts.items():
            peak = peak_rss_bytes(artifact.path, threads=config.threads, batch=config.batch)
            where = _shown_path(artifact.path, ctx.stage_dir)
            rows.append(
                _row(name, artifact, where, predictors[name], accuracy[name], latency[name], config.batch, peak)
            )
            advance(1, name)
    bench = Bench(host=machine, baseline=baseline, rows=tuple(rows))
    write_json(ctx.stage_dir / FILE_NAME, bench.model_dump(mode="json"))
    metrics: Metrics = {"models": len(rows), "n_images": len(split.paths), "baseline": baseline}
    return StageOutput(file_name=FILE_NAME, format=Format.BENCH, spec=None, metrics=metrics)


def _baseline(config: BenchmarkConfig, artifacts: dict[str, Artifact]) -> str:
    if not artifacts:
        raise StageError("there is no model to measure", hint="put the benchmark below a stage that makes a model")
    baseline = config.baseline or next(iter(artifacts))
    if baseline not in artifacts:
        raise StageError(f"baseline '{baseline}' is not among the measured models: {', '.join(artifacts)}")
    return baseline


def _warn_if_busy(machine: dict[str, Any], ctx: RunContext) -> None:
    load, cores = machine["load_1min"], machine["cores"]
    if load is not None and load > _BUSY * cores:
        ctx.reporter.warn(f"this machine is busy (load {load} on {cores} cores): the times will be too long and noisy")


def _dataset(ctx: RunContext) -> Dataset:
    if ctx.data is None:
        raise StageError("benchmark needs photographs", hint="add a `data:` block to the recipe or pass --data DIR")
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
    if not dataset.splits["test"].paths:
        raise StageError("the data has no test pictures", hint="add a test folder, or raise `data.split.test` above 0")
    return dataset


def _limited(split: Split, limit: int | None) -> Split:
    """Return at most `limit` pictures, evenly spread: a split is sorted by class, so its head would be one class."""
    count = len(split.paths)
    if limit is None or limit >= count:
        return split
    chosen = [int(index) for index in np.linspace(0, count, limit, endpoint=False)]
    return Split(
        name=split.name,
        paths=tuple(split.paths[index] for index in chosen),
        labels_N=tuple(split.labels_N[index] for index in chosen),
    )


def _open(artifact: Artifact, dataset: Dataset, threads: int) -> Predictor:
    predictor = open_predictor(artifact.path, threads=threads)
    if predictor.spec.labels != dataset.labels:
        raise StageError(
            f"{artifact.path}: has the classes {', '.join(predictor.spec.labels)},"
            f" the photographs have {', '.join(dataset.labels)}",
            hint="measure it with the photographs it was trained on",
        )
    return predictor


def _images(predictor: Predictor, split: Split, batch: int, ctx: RunContext) -> Floats:
    """Return one prepared batch; a split with fewer pictures is repeated."""
    pixels_NHWC = evaluation_pixels(split, predictor.spec.preprocess, ctx.reporter)
    chosen = np.arange(batch) % len(pixels_NHWC)
    return normalize(np.ascontiguousarray(pixels_NHWC[chosen]), predictor.spec.preprocess)


def _shown_path(path: Path, stage_dir: Path) -> str:
    """Return the path relative to the run's folder where it lies in it; work in progress is one folder deeper."""
    run_dir = stage_dir.parent.parent if stage_dir.parent.name == ".partial" else stage_dir.parent
    return (path.relative_to(run_dir) if path.is_relative_to(run_dir) else path).as_posix()


def _row(
    name: str,
    artifact: Artifact,
    path: str,
    predictor: Predictor,
    accuracy: Accuracy,
    latency: Latency,
    batch: int,
    peak: int,
) -> Row:
    spec = predictor.spec
    return Row(
        stage=name,
        format=artifact.format,
        precision=spec.precision,
        path=path,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        params=spec.params or None,
        macs=spec.macs or None,
        **asdict(accuracy),
        runtime=predictor.runtime,
        threads=predictor.threads,
        batch=batch,
        latency_p50_ms=latency.p50_ms,
        latency_p95_ms=latency.p95_ms,
        throughput_ips=latency.throughput_ips,
        peak_rss_bytes=peak,
    )
