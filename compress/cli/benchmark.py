"""`imgc benchmark`: the measurements of a run's models as one more stage, and two measurements side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import RUNS, AsJson, Data, Device, Junit, Run, RunsDir, Set, reporter_of


def benchmark(
    ctx: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(help="A folder that `imgc bundle` packed. Default: the run.")] = None,
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
    out: Annotated[Path, typer.Option(help="For a bundle: file to write.")] = Path("bench.json"),
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
        from compress.errors import UsageError

        raise UsageError("--fail-on and --junit belong to --compare", hint="imgc benchmark --compare OLD NEW ...")
    if bundle is not None:
        from compress.benchmark.config import BenchmarkConfig
        from compress.cli.bundle import benchmark_bundle
        from compress.runtime.latency import Timing

        usual = BenchmarkConfig()
        timing = Timing(warmup=usual.warmup, repeats=usual.repeats, budget_s=usual.budget_s)
        reporter = reporter_of(ctx)
        benchmark_bundle(bundle, out, threads=threads or 1, batch=1, timing=timing, reporter=reporter, as_json=as_json)
        return
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    knobs = {"baseline": baseline, "threads": threads}
    add_stage(ctx, StageRequest("benchmark", knobs, None, sets or [], run, data, runs_dir, device), as_json=as_json)
