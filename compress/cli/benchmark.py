"""`imgc benchmark`: of a run's models as one more stage, of files, of a bundle; and two measurements side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import (
    RUNS,
    AsJson,
    Data,
    Device,
    Junit,
    PreprocessText,
    Run,
    RunsDir,
    Set,
    parse_preprocess,
    reporter_of,
)
from compress.cli.scenarios import P99, Out, ScenarioName, ScenarioOptions, Seconds, Url, run_scenarios
from compress.errors import UsageError

if TYPE_CHECKING:
    from compress.measure.latency import Timing

# What is measured decides which options mean something; any other one is refused, never silently ignored.
_OPTIONS = {
    "--compare": {"compare", "fail_on", "junit"},
    "--scenario": {"models", "scenario", "p99_ms", "seconds", "url", "data", "threads", "out"},
    "a bundle": {"models", "threads", "batch", "repeats", "budget_s", "out"},
    "files": {
        *{"models", "data", "baseline", "threads", "batch", "callers", "repeats", "budget_s"},
        *{"preprocess", "profile", "out"},
    },
    "a run": {"run", "data", "sets", "device", "runs_dir", "baseline", "threads", "repeats", "budget_s"},
}
_MOST = 256  # threads, images in a call, callers
_HINTS = {
    "--compare": "imgc benchmark --compare OLD NEW --fail-on latency_p50_ms:+5%",
    "--scenario": "imgc benchmark MODEL --scenario all",
    "a bundle": "imgc benchmark BUNDLE --out bench.json",
    "files": "imgc benchmark FILE... --data IMAGES --out bench.json",
    "a run": "imgc benchmark --run NAME; other options are set by: --set KEY=VALUE",
}


def benchmark(
    ctx: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Files (.onnx, .tflite, .safetensors) of any tool, timm:NAME or torchvision:NAME (random weights); or "
            "one folder that `imgc bundle` packed. Default: the models of the run.",
        ),
    ] = None,
    scenario: ScenarioName = None,
    p99_ms: P99 = 100,
    seconds: Seconds = 10,
    url: Url = None,
    out: Out = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Stage or file that drops are measured against.")
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help="Threads of a call; of files several: the rest are a sweep.")
    ] = None,
    batch: Annotated[
        str, typer.Option(metavar="N[,N...]", help="For files: images in a call; several: the rest are a sweep.")
    ] = "1",
    callers: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help="For files: threads that call at once, their throughput.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=5, max=100_000, help="Timed calls of each model.  [default: 200]")
    ] = None,
    budget_s: Annotated[
        float | None, typer.Option(min=0.01, max=600, help="Seconds for them, of each model.  [default: 2]")
    ] = None,
    preprocess: PreprocessText = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="For files: what each operator takes, and which are not delegated.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="OLD NEW", help="Measure nothing: compare two bench.json files."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:LIMIT",
            help="With --compare: how much worse it may get, e.g. latency_p50_ms:+5% or top1_pct:-0.5. Repeatable.",
        ),
    ] = None,
    junit: Junit = None,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy, size, latency and memory: of a run's models, of any files, or of a bundle; or compare two."""
    mode = _mode(compare, scenario, models)
    _refuse_others(ctx, mode)
    if mode == "--compare" and compare is not None:
        from compress.cli.compare import compare_files

        compare_files(*compare, fail_on or [], junit=junit, as_json=as_json)
    elif mode == "--scenario" and scenario is not None:
        options = ScenarioOptions(
            scenario, models or [], data, p99_ms, seconds, url, _one("--threads", threads) or 1, out
        )
        run_scenarios(ctx, options, as_json=as_json)
    elif mode == "a bundle" and models:
        if len(models) > 1:
            raise UsageError(f"{models[1]}: a folder is measured alone", hint=_HINTS[mode])
        chosen = _one("--threads", threads) or 1, _one("--batch", batch) or 1
        timing = _timing(repeats, budget_s)
        _bundle(ctx, Path(models[0]), out or Path("bench.json"), *chosen, timing, as_json=as_json)
    elif mode == "files" and models:
        from compress.benchmark.measure_files import FilesOptions
        from compress.cli.benchmark_files import benchmark_files

        prepare = parse_preprocess(preprocess)
        numbers = (
            _numbers("--threads", threads or "1"),
            _numbers("--batch", batch),
            _numbers("--callers", callers or ""),
        )
        asked = FilesOptions(models, data, baseline, *numbers, _timing(repeats, budget_s), prepare, profile)
        benchmark_files(asked, out, reporter_of(ctx), as_json=as_json)
    else:
        from compress.cli.execute import add_stage
        from compress.cli.one_stage import StageRequest

        knobs = {
            **{"baseline": baseline, "threads": _one("--threads", threads)},
            **{"repeats": repeats, "budget_s": budget_s},
        }
        add_stage(ctx, StageRequest("benchmark", knobs, None, sets or [], run, data, runs_dir, device), as_json=as_json)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the numbers of "1,2,4", each once; of "" none."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= _MOST for part in parts):
        raise UsageError(f"{option} {text}: give numbers from 1 to {_MOST}, such as 1,2,4")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _one(option: str, text: str | None) -> int | None:
    numbers = _numbers(option, text or "")
    if len(numbers) > 1:
        raise UsageError(f"{option} {text}: several are for files", hint=_HINTS["files"])
    return numbers[0] if numbers else None


def _mode(compare: object, scenario: object, models: list[str] | None) -> str:
    if compare is not None:
        return "--compare"
    if scenario is not None:
        return "--scenario"
    if not models:
        return "a run"
    return "a bundle" if Path(models[0]).is_dir() else "files"


def _refuse_others(ctx: typer.Context, mode: str) -> None:
    """Raise UsageError for an option on the command line that means nothing to what is measured."""
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if given and option.name not in (*_OPTIONS[mode], "as_json"):
            owners = [owner for owner, names in _OPTIONS.items() if option.name in names]
            raise UsageError(
                f"{option.opts[0]} does not go with {mode}; it belongs to {' or '.join(owners)}", hint=_HINTS[owners[0]]
            )


def _timing(repeats: int | None, budget_s: float | None) -> Timing:
    """Return how the calls are timed: what the command line says, else as the stage does by default."""
    from compress.benchmark.config import BenchmarkConfig
    from compress.measure.latency import Timing

    usual = BenchmarkConfig()
    return Timing(usual.warmup, repeats or usual.repeats, budget_s or usual.budget_s)


def _bundle(
    ctx: typer.Context, folder: Path, out: Path, threads: int, batch: int, timing: Timing, *, as_json: bool
) -> None:
    from compress.cli.bundle import benchmark_bundle

    benchmark_bundle(
        folder, out, threads=threads, batch=batch, timing=timing, reporter=reporter_of(ctx), as_json=as_json
    )
