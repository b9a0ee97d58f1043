"""`imgc benchmark scenarios MODEL`: single-stream, offline and server, in the manner of MLPerf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import AsJson, Out, Threads, reporter_of
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.benchmark.scenario_schema import Scenario
    from compress.core.stage import Reporter

ALL = "all"
_NAMES = ("single-stream", "offline", "server", ALL)


def _known(value: str) -> str:
    if value not in _NAMES:
        raise typer.BadParameter(f"{value}: give one of {', '.join(_NAMES)}")
    return value


def scenarios(
    ctx: typer.Context,
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="One .onnx, .tflite or .safetensors file; with --url none.")
    ] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="|".join(_NAMES), callback=_known, help="Which of them.")
    ] = ALL,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of images to ask about. Default: generated.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=600, help="Time of each, and of each rate of server.")
    ] = 10,
    p99_ms: Annotated[
        float, typer.Option("--p99-ms", min=1, max=5000, help="Scenario server: bound that the p99 keeps.")
    ] = 100,
    url: Annotated[
        str | None, typer.Option("--url", help="Scenario server: a running one. Default: the model is served for it.")
    ] = None,
    threads: Threads = 1,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure one model file in the scenarios of MLPerf; not a submission.

    In the manner of Reddi et al. 2020. single-stream: p90 of one query after the other; offline: images per second;
    server: the greatest rate of random arrivals that a server stands.
    """
    run_scenarios(ctx, ScenarioOptions(scenario, model, data, p99_ms, seconds, url, threads, out), as_json=as_json)


@dataclass(frozen=True)
class ScenarioOptions:
    """What the command line says of the scenarios; fields as the options."""

    name: str
    model: Path | None
    data: Path | None
    p99_ms: float
    seconds: float
    url: str | None
    threads: int
    out: Path | None


def run_scenarios(ctx: typer.Context, options: ScenarioOptions, *, as_json: bool) -> None:
    """Measure, print and write the scenarios.

    Raises:
        UsageError: no model file, one that cannot be served, or no such address.
        DataError: the images cannot be used.
        StageError: the server does not start, or does not answer.
    """
    from compress.benchmark.http_client import parse_address
    from compress.benchmark.scenarios import KINDS, ScenarioRequest, check, measure_scenarios
    from compress.benchmark.schema import Bench
    from compress.cli.output import print_json
    from compress.cli.run_files import given_model
    from compress.core.storage import write_json
    from compress.runtime.host import host

    reporter = reporter_of(ctx)
    model = given_model(options.model) if options.model else None
    address = parse_address(options.url) if options.url else None
    kinds = KINDS if options.name == ALL else (options.name,)
    check(kinds, model, address)
    asked = ScenarioRequest(kinds, _images(options.data, reporter), options.seconds, options.p99_ms, options.threads)
    machine = host()  # before our own work loads it
    found = measure_scenarios(model, address, asked, reporter)
    bench = Bench(host=machine, baseline=found[0].model, rows=(), scenarios=found).model_dump(mode="json")
    if options.out:
        write_json(options.out, bench)
    if as_json:
        print_json(bench)
    else:
        _print(found, reporter)


def _images(data: Path | None, reporter: Reporter) -> list[bytes]:
    from compress.benchmark.images import generated, images

    if data is not None:
        return images(data)
    bodies = generated()
    reporter.warn(f"no --data: asking about {len(bodies)} generated images of 500 x 400 pixels")
    return bodies


def _print(found: tuple[Scenario, ...], reporter: Reporter) -> None:
    from compress.cli.output import print_table

    columns = ("scenario", "cache", "figure", "p50 ms", "p90 ms", "p99 ms", "threads", "batch", "n")
    print_table(f"{found[0].model}, {found[0].images} images", columns, map(_row, found), left=3)
    echo("In the manner of MLPerf (Reddi et al. 2020), not a submission.")
    for one in found:
        for text in one.warnings:
            reporter.warn(f"{one.scenario}{f', cache {one.cache}' if one.cache else ''}: {text}")


def _row(one: Scenario) -> tuple[object, ...]:
    times = (one.latency_p50_ms, one.latency_p90_ms, one.latency_p99_ms)
    shown = ["-" if time is None else f"{time:.2f}" for time in times]
    return one.scenario, one.cache, _figure(one), *shown, one.threads, one.batch, one.n


def _figure(one: Scenario) -> str:
    if one.throughput_ips is not None:
        return f"{one.throughput_ips:.1f} images/s"
    if one.p99_bound_ms is not None:
        peak = "no rate" if one.peak_per_s is None else f"{one.peak_per_s:.1f} queries/s"
        return f"{peak} at p99 <= {one.p99_bound_ms:g} ms"
    interval = one.latency_p90_ci95_ms
    text = f"p90 {one.latency_p90_ms:.2f} ms"
    return f"{text} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else text
