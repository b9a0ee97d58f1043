"""What `import compress` offers to programs: thin functions over what the command line uses, with the same answers.

Light to import: what computes is imported by the functions that need it. What stages say goes to the log `compress`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.classifier import Model, as_preprocess, load
from compress.errors import UsageError
from compress.results import BenchmarkResult, BenchmarkRow, EvaluationResult, GateResult, RunResult, StageResult

if TYPE_CHECKING:
    from compress.pipeline.lock import LockedStage

__all__ = ["Model", "benchmark", "evaluate", "load", "run"]


def evaluate(
    file: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str],
    baseline: str | os.PathLike[str] | None = None,
    threads: int = 1,
    device: str = "cpu",
    preprocess: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    """Return the accuracy of a model file on labelled images, as `imgc evaluate` does.

    Args:
        file: as for `load`.
        data: a folder of class folders (its `test` split, if it has splits), or a CSV with the columns path,label. Of
            the images that the file's own run was made from only the test images are asked.
        baseline: another model file of the same classes, asked the same images.
        threads: as for `load`.
        device: as for `load`.
        preprocess: as for `load`; for both files.

    Raises:
        DataError: the images cannot be used, or have labels the model does not know.
        ModelFileError: a file cannot be opened.
        StageError: a file lies in a run and is not what was sealed there.
        BackendMissingError: the library for a format is not installed.
        UsageError: the two files have another number of classes.
    """
    from compress.core.log_reporter import LogReporter
    from compress.pipeline.given import vouch
    from compress.pipeline.own_images import own_test_split
    from compress.runtime.evaluate_file import as_json_data, evaluate_file

    for one in (file, *([] if baseline is None else [baseline])):
        vouch(Path(one))
    own = own_test_split(Path(file), Path(data), LogReporter())
    found = evaluate_file(
        Path(file),
        Path(baseline) if baseline is not None else None,
        Path(data),
        threads=threads,
        device=device,
        preprocess=as_preprocess(preprocess),
        split=own.split if own else None,
        reporter=LogReporter(),
    )
    numbers = as_json_data(found)
    return EvaluationResult(**{**numbers, "top1_ci95_pct": tuple(numbers["top1_ci95_pct"])})


def run(
    recipe: str | os.PathLike[str],
    *,
    name: str | None = None,
    overrides: Sequence[str] = (),
    runs_dir: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    deterministic: bool = False,
    require_gates: bool = True,
) -> RunResult:
    """Carry out a recipe and write its report, as `imgc run` does; stages that are sealed already are not done again.

    Args:
        recipe: a YAML file.
        name: of the run, instead of the recipe's.
        overrides: values to change, as after `--set`: "stages.prune.keep=0.5".
        runs_dir: folder of all runs.
        device: where torch computes: "cpu", "cuda" or "cuda:N".
        deterministic: whether torch refuses operations that may give other bits each time.
        require_gates: whether a broken gate raises, when everything is written.

    Raises:
        RecipeError: the recipe cannot be read or planned.
        DataError: its images cannot be used.
        StageError: a stage failed; the sealed ones stay and are reused next time.
        GateError: a gate does not hold.
        BackendMissingError: a stage needs a library that is not installed.
        UsageError: another process writes the run, or the folder cannot be written.
    """
    from compress.core.log_reporter import LogReporter
    from compress.pipeline import gates, runner
    from compress.recipe.load import load_recipe
    from compress.report.write import write_report

    found = runner.run_recipe(
        load_recipe(Path(recipe), overrides),
        runs_dir=Path(runs_dir),
        name=name,
        reporter=LogReporter(),
        device=device,
        deterministic=deterministic,
    )
    write_report(found.run_dir, found.gates)
    if require_gates:
        gates.require_gates(found.gates)
    stages = (_stage_result(stage, found.run_dir, stage.id in found.reused) for stage in found.lock.stages)
    return RunResult(found.run_dir, tuple(stages), tuple(GateResult(**gate) for gate in found.gates))


def benchmark(
    *models: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    baseline: str | os.PathLike[str] | None = None,
    threads: int = 1,
    batch: int = 1,
    repeats: int | None = None,
    budget_s: float | None = None,
    quick: bool = False,
    preprocess: Mapping[str, Any] | None = None,
) -> BenchmarkResult:
    """Return accuracy, size, latency and memory of model files side by side, as `imgc benchmark FILE...` does.

    A model that fails is told in the result, and the others are measured.

    Args:
        models: files of any tool, or `timm:NAME` and `torchvision:NAME`, which are built with random weights.
        data: labelled images as for `evaluate`; without them nothing is said of accuracy.
        baseline: one of `models` that the others are compared with. Default: the first.
        threads: of one call.
        batch: images in one call.
        repeats: timed calls of each model. Default: as many as the benchmark stage makes.
        budget_s: seconds for them, of each model. Default: as the benchmark stage.
        quick: at most 50 calls and 0.4 s of each model, and nothing of memory and starts.
        preprocess: as for `load`.

    Raises:
        StageError: none of the models can be measured, or not the baseline.
        DataError: the images cannot be used.
        UsageError: no model is given, the baseline is none of them, or a number that cannot be.
    """
    from pydantic import ValidationError

    from compress.benchmark.config import BenchmarkConfig
    from compress.benchmark.measure import timing_of
    from compress.benchmark.measure_files import FilesOptions, measure_files
    from compress.core.fact import first_fault
    from compress.core.log_reporter import LogReporter
    from compress.pipeline.given import vouch

    if not models:
        raise UsageError("no model to measure", hint='compress.benchmark("model.onnx", "model.tflite")')
    given = {"threads": threads, "batch": batch, "repeats": repeats, "budget_s": budget_s, "quick": quick}
    try:
        config = BenchmarkConfig.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise UsageError(first_fault(error)) from None
    options = FilesOptions(
        models=[os.fspath(one) for one in models],
        data=Path(data) if data is not None else None,
        baseline=os.fspath(baseline) if baseline is not None else None,
        threads=(config.threads,),
        batches=(config.batch,),
        callers=(),
        timing=timing_of(config),
        preprocess=as_preprocess(preprocess),
        profile=False,
    )
    bench = measure_files(options, LogReporter(), vouch).bench
    names = [field.name for field in fields(BenchmarkRow) if field.name != "name"]
    rows = (BenchmarkRow(name=row.stage, **{name: getattr(row, name) for name in names}) for row in bench.rows)
    failed = {one.path: one.error for one in bench.failed}
    return BenchmarkResult(tuple(rows), bench.baseline, bench.warnings, failed, bench.model_dump(mode="json"))


def _stage_result(stage: LockedStage, run_dir: Path, reused: bool) -> StageResult:
    made = stage.artifact
    return StageResult(
        id=stage.id,
        kind=stage.kind,
        path=run_dir / made.path,
        sha256=made.sha256,
        size_bytes=made.size_bytes,
        seconds=stage.seconds,
        reused=reused,
        metrics=dict(made.metrics),
    )
