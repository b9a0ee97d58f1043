"""The benchmark stage: models in, `bench.json` out. Its times differ from run to run, and so do its bytes."""

from __future__ import annotations

from pathlib import Path

from compress.benchmark.bench_file import ANSWERS_NAME
from compress.benchmark.config import ROLE_PREFIX, BenchmarkConfig
from compress.benchmark.measure import OpenedModel, Setting, measure, timing_of
from compress.benchmark.profiles import with_profiles
from compress.benchmark.sweep import Sweep, with_sweeps
from compress.core.artifact import Artifact, Metrics, StageOutput
from compress.core.dataset import Task
from compress.core.formats import Format
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import write_json
from compress.data.dataset import Dataset, evenly_spread, load_dataset
from compress.engine.allocator import keep_freed_memory
from compress.errors import StageError, UsageError
from compress.runtime.open import open_model

FILE_NAME = "bench.json"


def run(config: BenchmarkConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Measure every input on the same images and write one row for each, in the order of the inputs."""
    keep_freed_memory()  # as the training stages of the same run did, so that latency does not depend on them
    artifacts = {role.removeprefix(ROLE_PREFIX): artifact for role, artifact in inputs.items()}
    baseline = _baseline(config, artifacts)
    dataset = _dataset(config, ctx, _task_of(artifacts))
    split = evenly_spread(dataset.splits[config.split], config.limit)
    candidates = [
        OpenedModel(
            name=name,
            path=_shown_path(artifact.path, ctx.stage_dir),
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            predictor=open_model(artifact.path, threads=config.threads),
        )
        for name, artifact in artifacts.items()
    ]
    timing = timing_of(config)
    found = measure(candidates, baseline, split, dataset.labels, Setting(config.batch, timing), ctx.reporter)
    bench = with_profiles(found.bench, candidates, ctx.reporter) if config.profile else found.bench
    bench = with_sweeps(bench, candidates, _sweep(config), timing, ctx.reporter)
    if found.answers is not None:
        write_json(ctx.stage_dir / ANSWERS_NAME, found.answers.model_dump(mode="json"))
    write_json(ctx.stage_dir / FILE_NAME, bench.model_dump(mode="json"))
    metrics: Metrics = {"models": len(candidates), "n_images": len(split.paths), "baseline": baseline}
    return StageOutput(file_name=FILE_NAME, format=Format.BENCH, spec=None, metrics=metrics)


def _baseline(config: BenchmarkConfig, artifacts: dict[str, Artifact]) -> str:
    if not artifacts:
        raise StageError("there is no model to measure", hint="put the benchmark below a stage that makes a model")
    baseline = config.baseline or next(iter(artifacts))
    if baseline not in artifacts:
        raise StageError(f"baseline '{baseline}' is not among the measured models: {', '.join(artifacts)}")
    return baseline


def _sweep(config: BenchmarkConfig) -> Sweep:
    asked = config.sweep
    if not asked.threads and not asked.batch:
        return Sweep(callers=asked.callers)
    return Sweep(asked.threads or (config.threads,), asked.batch or (config.batch,), asked.callers)


def _task_of(artifacts: dict[str, Artifact]) -> Task:
    """Return what the models do.

    Raises:
        UsageError: some name images and others find boxes.
    """
    tasks = {name: one.spec.task if one.spec else "classify" for name, one in artifacts.items()}
    first, *others = tasks
    if odd := [name for name in others if tasks[name] != tasks[first]]:
        raise UsageError(
            f"{first} and {odd[0]} do not do the same: one names images, the other finds boxes",
            hint="measure them apart: --set models=[ID]",
        )
    return tasks[first]


def _dataset(config: BenchmarkConfig, ctx: RunContext, task: Task) -> Dataset:
    if ctx.data is None:
        raise StageError("benchmark needs images", hint="add a `data:` block to the recipe or pass --data DIR")
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter, task=task)
    if not dataset.splits[config.split].paths:
        name = config.split
        raise StageError(f"the data has no {name} images", hint=f"add a {name} folder, or raise `data.split.{name}`")
    return dataset


def _shown_path(path: Path, stage_dir: Path) -> str:
    """Return the path relative to the run's folder where it lies in it; work in progress is one folder deeper."""
    run_dir = stage_dir.parent.parent if stage_dir.parent.name == ".partial" else stage_dir.parent
    return (path.relative_to(run_dir) if path.is_relative_to(run_dir) else path).as_posix()
