"""`imgc benchmark`: the measurements of a run's models as one more stage, and two measurements side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import RUNS, AsJson, Data, Device, Junit, Run, RunsDir, Set, reporter_of
from compress.cli.scenarios import P99, Out, ScenarioName, ScenarioOptions, Seconds, Url, run_scenarios
from compress.errors import UsageError


def benchmark(
    ctx: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A folder that `imgc bundle` packed, or with --scenario a model file. Default: the run.",
        ),
    ] = None,
    scenario: ScenarioName = None,
    p99_ms: P99 = 100,
    seconds: Seconds = 10,
    url: Url = None,
    out: Out = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Stage that drops are measured against.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each runtime.")] = None,
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
    """Measure accuracy, size, latency and memory of a run's models."""
    if compare is not None:
        from compress.cli.compare import compare_files

        compare_files(*compare, fail_on or [], junit=junit, as_json=as_json)
        return
    if fail_on or junit:
        raise UsageError("--fail-on and --junit belong to --compare", hint="imgc benchmark --compare OLD NEW ...")
    if scenario is not None:
        options = ScenarioOptions(scenario, models or [], data, p99_ms, seconds, url, threads or 1, out)
        run_scenarios(ctx, options, as_json=as_json)
        return
    if models:
        _bundle(ctx, Path(models[0]), out or Path("bench.json"), threads or 1, as_json=as_json)
        return
    if url or out:
        given = "--url" if url else "--out"
        raise UsageError(f"{given}: goes with --scenario", hint="imgc benchmark MODEL --scenario all")
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    knobs = {"baseline": baseline, "threads": threads}
    add_stage(ctx, StageRequest("benchmark", knobs, None, sets or [], run, data, runs_dir, device), as_json=as_json)


def _bundle(ctx: typer.Context, folder: Path, out: Path, threads: int, *, as_json: bool) -> None:
    from compress.benchmark.config import BenchmarkConfig
    from compress.cli.bundle import benchmark_bundle
    from compress.runtime.latency import Timing

    usual = BenchmarkConfig()
    timing = Timing(warmup=usual.warmup, repeats=usual.repeats, budget_s=usual.budget_s)
    benchmark_bundle(folder, out, threads=threads, batch=1, timing=timing, reporter=reporter_of(ctx), as_json=as_json)
