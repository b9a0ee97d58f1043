"""`imgc bundle`: a run packed for another machine; and `imgc benchmark bundle`, which measures such a folder there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.benchmark_files import timing_of
from compress.cli.knobs import given_knobs
from compress.cli.options import RUNS, AsJson, RunsDir, Threads, reporter_of
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.core.stage import Reporter
    from compress.measure.latency import Timing


def bundle(
    ctx: typer.Context,
    run: Annotated[str | None, typer.Argument(help="Name of the run. Default: the latest.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: ./RUN-bundle.")] = None,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Test images to take along.")] = 50,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Pack a run's ONNX and TFLite files with some test images, to measure them on another machine without torch."""
    from compress.cli.output import print_json, size_text
    from compress.cli.run_files import short_path
    from compress.pipeline.current import current_run
    from compress.report.bundle_writer import write_bundle

    run_dir = current_run(runs_dir, run)
    folder = out or Path(f"{run_dir.name}-bundle")
    manifest = write_bundle(run_dir, folder, images, reporter_of(ctx))
    if as_json:
        print_json({"out": str(folder), **manifest.model_dump(mode="json")})
        return
    names = ", ".join(model.name for model in manifest.models)
    size = size_text(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    echo(f"wrote {short_path(folder)}: {names} and {len(manifest.images)} images, {size}")
    echo(f"copy it to the other machine; {short_path(folder / 'README.md')} says what to do there")


def benchmark(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `imgc bundle` packed.")],
    threads: Threads = 1,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Images in a call.")] = 1,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")] = Path("bench.json"),
    as_json: AsJson = False,
) -> None:
    """Measure the models of a bundle on its images, on this machine."""
    timing = timing_of(given_knobs(ctx))
    benchmark_bundle(
        folder, out, threads=threads, batch=batch, timing=timing, reporter=reporter_of(ctx), as_json=as_json
    )


def benchmark_bundle(
    folder: Path, out: Path, *, threads: int, batch: int, timing: Timing, reporter: Reporter, as_json: bool
) -> None:
    """Measure a bundle's models on its images, write `out` and answers.json beside it, and show the table.

    Raises:
        UsageError: the folder is no bundle, or not as it was packed.
        ModelFileError: a model cannot be opened here.
    """
    from compress.benchmark.bench_file import ANSWERS_NAME
    from compress.benchmark.bundle_file import open_bundle, other_answers
    from compress.benchmark.measure import Setting, measure
    from compress.benchmark.schema import Answers
    from compress.cli.output import print_json, print_table
    from compress.core.storage import write_json
    from compress.report.table import TEXT_COLUMNS, columns, host_text, rows_text, table_rows

    opened = open_bundle(folder, threads=threads)
    manifest, setting = opened.manifest, Setting(batch, timing)
    found = measure(opened.candidates, manifest.baseline, opened.split, manifest.labels, setting, reporter)
    doubts = other_answers(manifest, found.answers) if isinstance(found.answers, Answers) else []
    for text in doubts:
        reporter.warn(text)
    bench = found.bench.model_copy(update={"warnings": (*found.bench.warnings, *doubts)})
    if found.answers:
        write_json(out.with_name(ANSWERS_NAME), found.answers.model_dump(mode="json"))
    write_json(out, bench.model_dump(mode="json"))
    if as_json:
        print_json(bench.model_dump(mode="json"))
        return
    print_table(f"bundle of {manifest.run}", columns(bench.rows), table_rows(bench.rows), left=TEXT_COLUMNS)
    echo(f"{rows_text(bench.rows, bench.baseline, bench.split)}\n{host_text(bench.host)}")
    echo(f"wrote {out}; where the run is: imgc report {manifest.run} --add {out.name}")
