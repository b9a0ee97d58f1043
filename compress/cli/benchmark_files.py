"""`imgc benchmark files FILE...`: models named on the command line, measured side by side without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.knobs import checked, given_knobs
from compress.cli.options import AsJson, Labels, Out, PreprocessText, parse_preprocess, reporter_of
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.benchmark.measure_files import FilesOptions
    from compress.benchmark.schema import Bench
    from compress.core.stage import Reporter
    from compress.measure.latency import Timing

_SLOWEST = 10  # operators in the table of a profile
_MOST = 256  # threads, images in a call, callers


def files(
    ctx: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Files (.onnx, .tflite, .safetensors) of any tool, timm:NAME or torchvision:NAME (random weights).",
        ),
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Labelled images: class folders, or a CSV.")] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model that drops are measured against. Default: the first.")
    ] = None,
    threads: Annotated[
        str, typer.Option(metavar="N[,N...]", help="Threads of a call; several: the rest are a sweep.")
    ] = "1",
    batch: Annotated[
        str, typer.Option(metavar="N[,N...]", help="Images in a call; several: the rest are a sweep.")
    ] = "1",
    callers: Annotated[
        str, typer.Option(metavar="N[,N...]", help="Threads that call at once, for their throughput.")
    ] = "",
    preprocess: PreprocessText = None,
    labels: Labels = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also what each operator takes, and which are not delegated.")
    ] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Measure any model files side by side, without a run."""
    numbers = numbers_in("--threads", threads), numbers_in("--batch", batch), numbers_in("--callers", callers)
    from compress.benchmark.measure_files import FilesOptions
    from compress.core.labels import labels_in
    from compress.pipeline.own_images import own_test_split

    names = labels_in(labels) if labels else None
    timing = timing_of(given_knobs(ctx))
    prepare = parse_preprocess(preprocess)
    own = own_test_split(Path(models[0]), data, reporter_of(ctx)) if data else None
    asked = FilesOptions(models, data, baseline, *numbers, timing, prepare, profile, names, own)
    benchmark_files(asked, out, reporter_of(ctx), as_json=as_json)


def timing_of(given: dict[str, Any]) -> Timing:
    """Return how the calls are timed: what the command line says, else as the stage does by default.

    Raises:
        UsageError: a value that cannot be.
    """
    from compress.benchmark import measure
    from compress.benchmark.config import BenchmarkConfig

    return measure.timing_of(checked(BenchmarkConfig, given))


def numbers_in(option: str, text: str) -> tuple[int, ...]:
    """Return the numbers of "1,2,4", each once; of "" none.

    Raises:
        UsageError: no numbers, or one that cannot be.
    """
    from compress.errors import UsageError

    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= _MOST for part in parts):
        raise UsageError(f"{option} {text}: give numbers from 1 to {_MOST}, such as 1,2,4")
    return tuple(dict.fromkeys(int(part) for part in parts))


def benchmark_files(options: FilesOptions, out: Path | None, reporter: Reporter, *, as_json: bool) -> None:
    """Measure, print and write; a model that fails is told at the end, and the others still come.

    Raises:
        UsageError: the baseline is not one of the models.
        DataError: the images cannot be used.
        StageError: none, or not all of the models could be measured.
    """
    from compress.benchmark.bench_file import ANSWERS_NAME
    from compress.benchmark.measure_files import measure_files
    from compress.cli.output import print_json
    from compress.core.storage import write_json
    from compress.pipeline.given import vouch

    found = measure_files(options, reporter, vouch)
    bench = found.bench
    if out:
        if found.answers:
            write_json(out.with_name(ANSWERS_NAME), found.answers.model_dump(mode="json"))
        write_json(out, bench.model_dump(mode="json"))
    if as_json:
        print_json(bench.model_dump(mode="json"))
    else:
        _print(bench, out)
    _complain(bench)


def _print(bench: Bench, out: Path | None) -> None:
    from compress.cli.output import print_table
    from compress.cli.run_files import short_path
    from compress.report.ops_table import NODE_COLUMNS, TYPE_COLUMNS, node_cells, sum_text, type_cells
    from compress.report.sweep_table import CALLERS_COLUMNS, SWEEP_COLUMNS, callers_cells, sweep_cells
    from compress.report.table import (
        LATENCY_COLUMNS,
        TEXT_COLUMNS,
        columns,
        host_text,
        latency_cells,
        rows_text,
        table_rows,
    )

    print_table("benchmark", columns(bench.rows), table_rows(bench.rows), left=TEXT_COLUMNS)
    print_table("latency", LATENCY_COLUMNS, [latency_cells(row) for row in bench.rows], left=1)
    if setting := rows_text(bench.rows, bench.baseline, bench.split):
        echo(setting)
    echo(host_text(bench.host))
    if cells := sweep_cells(bench.rows):
        print_table("threads and images in a call", SWEEP_COLUMNS, cells)
    if cells := callers_cells(bench.rows):
        print_table("callers at once", CALLERS_COLUMNS, cells)
    for row in bench.rows:
        if row.ops:
            print_table(f"{row.stage}: operators by type", TYPE_COLUMNS, type_cells(row.ops))
            echo(sum_text(row))
            print_table(f"{row.stage}: the slowest operators", NODE_COLUMNS, node_cells(row.ops, _SLOWEST), left=2)
    if out:
        echo(f"wrote {short_path(out)}")


def _complain(bench: Bench) -> None:
    """Raise StageError naming the models that failed, wholly or in part."""
    from compress.benchmark.measure_files import faults
    from compress.errors import StageError

    if found := faults(bench):
        count, reasons = len(bench.rows) + len(bench.failed), "".join(f"\n  {text}" for text in found)
        raise StageError(f"{len(found)} of {count} models could not be measured, or not wholly:{reasons}")
