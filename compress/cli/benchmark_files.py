"""`imgc benchmark FILE...`: models named on the command line, measured side by side without a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.benchmark.files import Opened
    from compress.benchmark.measure import Measured, OpenedModel
    from compress.benchmark.schema import Bench
    from compress.core.preprocess import Preprocess
    from compress.core.stage import Reporter
    from compress.measure.latency import Timing

_SLOWEST = 10  # operators in the table of a profile


@dataclass(frozen=True)
class FilesOptions:
    """What the command line says; fields as the options.

    Attributes:
        models: files and names of architectures.
        data: labelled images; without them nothing is said of accuracy.
        baseline: one of `models`, as given; default the first that can be asked.
        threads: of a call; the first for the rows, all of them for a sweep where there are several.
        batches: images in a call, likewise.
        callers: threads that call at once.
        timing: how the calls are timed.
        preprocess: for the files that do not say how their images are prepared.
        out: file to write, None for none.
    """

    models: Sequence[str]
    data: Path | None
    baseline: str | None
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    callers: tuple[int, ...]
    timing: Timing
    preprocess: Preprocess | None
    profile: bool
    out: Path | None


def benchmark_files(options: FilesOptions, reporter: Reporter, *, as_json: bool) -> None:
    """Measure, print and write; a model that fails is told at the end, and the others still come.

    Raises:
        UsageError: the baseline is not one of the models.
        DataError: the images cannot be used.
        StageError: none, or not all of the models could be measured.
    """
    from compress.benchmark.bench_file import ANSWERS_NAME
    from compress.benchmark.files import is_architecture, open_models
    from compress.cli.output import print_json
    from compress.core.storage import write_json

    with TemporaryDirectory(prefix="imgc-benchmark-") as folder:
        opened = open_models(options.models, Path(folder), threads=options.threads[0], preprocess=options.preprocess)
        _some(opened)
        found = _measure(opened, options, reporter)
    bench = found.bench
    if options.out:
        if found.answers:
            write_json(options.out.with_name(ANSWERS_NAME), found.answers.model_dump(mode="json"))
        write_json(options.out, bench.model_dump(mode="json"))
    if as_json:
        print_json(bench.model_dump(mode="json"))
    else:
        _print(bench, options.out)
    _complain(bench, {one.name for one in opened.candidates if is_architecture(one.path)})


def _measure(opened: Opened, options: FilesOptions, reporter: Reporter) -> Measured:
    from dataclasses import replace

    from compress.benchmark.files import labels_of
    from compress.benchmark.measure import Setting, measure
    from compress.benchmark.profiles import with_profiles
    from compress.benchmark.sweep import Sweep, with_sweeps
    from compress.data.labelled import load_labelled_folder
    from compress.engine.allocator import keep_freed_memory

    baseline = _baseline(opened, options)
    split = labels = None
    if options.data is not None:
        labels, named = labels_of(_askable(opened), baseline)
        split = load_labelled_folder(options.data, labels, named=named, reporter=reporter)
    keep_freed_memory()
    found = measure(opened.candidates, baseline, split, labels, Setting(options.batches[0], options.timing), reporter)
    bench = found.bench.model_copy(update={"failed": opened.failed})
    if options.profile:
        bench = with_profiles(bench, opened.candidates, reporter)
    several = len(options.threads) > 1 or len(options.batches) > 1
    sweep = Sweep(options.threads, options.batches, options.callers) if several else Sweep(callers=options.callers)
    return replace(found, bench=with_sweeps(bench, opened.candidates, sweep, options.timing, reporter))


def _some(opened: Opened) -> None:
    from compress.errors import StageError

    if not opened.candidates:
        reasons = "".join(f"\n  {one.error}" for one in opened.failed)
        raise StageError(f"none of the models can be measured:{reasons}", hint="imgc inspect FILE")


def _askable(opened: Opened) -> list[OpenedModel]:
    from compress.errors import StageError

    found = [one for one in opened.candidates if one.unasked is None]
    if not found:
        reasons = "".join(f"\n  {one.unasked}" for one in opened.candidates)
        raise StageError(f"none of the models can be short_path the images:{reasons}", hint="leave --data out")
    return found


def _baseline(opened: Opened, options: FilesOptions) -> str:
    from compress.errors import StageError, UsageError

    able = _askable(opened) if options.data is not None else list(opened.candidates)
    if options.baseline is None:
        return able[0].name
    named = next((one for one in able if options.baseline in (one.path, one.name)), None)
    if named is not None:
        return named.name
    broken = next((one for one in opened.failed if options.baseline in (one.path, one.name)), None)
    if broken is not None:
        raise StageError(f"the baseline cannot be measured: {broken.error}")
    names = ", ".join(one.name for one in able)
    raise UsageError(f"--baseline {options.baseline}: not one of the models: {names}", hint="name it as a model too")


def _print(bench: Bench, out: Path | None) -> None:
    from compress.cli.output import print_table
    from compress.cli.run_files import short_path
    from compress.report.ops_table import NODE_COLUMNS, TYPE_COLUMNS, node_cells, sum_text, type_cells
    from compress.report.sweep_table import CALLERS_COLUMNS, SWEEP_COLUMNS, callers_cells, sweep_cells
    from compress.report.table import (
        COLUMNS,
        LATENCY_COLUMNS,
        TEXT_COLUMNS,
        host_text,
        latency_cells,
        row_cells,
        rows_text,
    )

    print_table("benchmark", COLUMNS, [row_cells(row) for row in bench.rows], left=TEXT_COLUMNS)
    print_table("latency", LATENCY_COLUMNS, [latency_cells(row) for row in bench.rows], left=1)
    if setting := rows_text(bench.rows, bench.baseline, bench.split):
        typer.echo(setting)
    typer.echo(host_text(bench.host))
    if cells := sweep_cells(bench.rows):
        print_table("threads and images in a call", SWEEP_COLUMNS, cells)
    if cells := callers_cells(bench.rows):
        print_table("callers at once", CALLERS_COLUMNS, cells)
    for row in bench.rows:
        if row.ops:
            print_table(f"{row.stage}: operators by type", TYPE_COLUMNS, type_cells(row.ops))
            typer.echo(sum_text(row))
            print_table(f"{row.stage}: the slowest operators", NODE_COLUMNS, node_cells(row.ops, _SLOWEST), left=2)
    if out:
        typer.echo(f"wrote {short_path(out)}")


def _complain(bench: Bench, untrained: set[str]) -> None:
    """Raise StageError naming the models that failed, wholly or in part; without weights none can have an accuracy."""
    from compress.errors import StageError

    reasons = [f"\n  {one.error}" for one in bench.failed]
    reasons += [f"\n  {row.stage}: {row.error}" for row in bench.rows if row.error and row.stage not in untrained]
    if reasons:
        count = len(bench.rows) + len(bench.failed)
        raise StageError(f"{len(reasons)} of {count} models could not be measured, or not wholly:{''.join(reasons)}")
