"""`imgc benchmark`: the measurements of a run's models as one more stage."""

from __future__ import annotations

from typing import Annotated

import typer

from compress.cli.options import RUNS, AsJson, Data, Device, Run, RunsDir, Set
from compress.cli.scenarios import P99, Out, ScenarioName, ScenarioOptions, Seconds, Url, run_scenarios
from compress.errors import UsageError


def benchmark(
    ctx: typer.Context,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]", help="With --scenario: the model file.")
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
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy, size, latency and memory of a run's models."""
    if scenario is not None:
        options = ScenarioOptions(scenario, models or [], data, p99_ms, seconds, url, threads or 1, out)
        run_scenarios(ctx, options, as_json=as_json)
        return
    if models or url or out:
        given = models[0] if models else "--url" if url else "--out"
        raise UsageError(f"{given}: goes with --scenario", hint="imgc benchmark MODEL --scenario all")
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    knobs = {"baseline": baseline, "threads": threads}
    add_stage(ctx, StageRequest("benchmark", knobs, None, sets or [], run, data, runs_dir, device), as_json=as_json)
