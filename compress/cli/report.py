"""`imgc report`: the results of a run as a table, as JSON, and as files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import RUNS, AsJson, Junit, RunsDir
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.report.json_report import Report


def report(
    run: Annotated[str | None, typer.Argument(help="Name of the run. Default: the latest.")] = None,
    other: Annotated[str | None, typer.Argument(help="A run to compare it with: what changed from RUN to it.")] = None,
    add: Annotated[
        Path | None,
        typer.Option("--add", metavar="BENCH_JSON", help="Keep a measurement of the run's files on another machine."),
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown on stdout instead, for the summary of a CI job.")
    ] = False,
    junit: Junit = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Show a run's results, and write its report files anew; or compare two runs."""
    from compress.errors import UsageError
    from compress.pipeline.current import current_run

    run_dir = current_run(runs_dir, run)
    if other is None:
        if add:
            add_remote_benchmark(run_dir, add)
        show_report(run_dir, as_json=as_json, as_markdown=as_markdown, junit=junit)
        return
    if add or junit:
        raise UsageError("--add and --junit are of one run", hint="imgc benchmark compare has limits for two")
    from compress.cli.compare import show_comparison
    from compress.report.compare_runs import compare_runs

    found = compare_runs(run_dir, current_run(runs_dir, other))
    show_comparison(f"run {run} -> {other}", found, as_json=as_json, as_markdown=as_markdown)


def add_remote_benchmark(run_dir: Path, path: Path) -> None:
    """Keep a measurement of another machine in the run's folder and say so."""
    from compress.report.remote_benchmarks import add_bench
    from compress.report.table import host_text

    bench = add_bench(run_dir, path)
    names = ", ".join(row.stage for row in bench.rows)
    echo(f"added {names} on {host_text(bench.host)}", err=True)


def show_report(run_dir: Path, *, as_json: bool, as_markdown: bool = False, junit: Path | None = None) -> None:
    """Write a run's reports and print them: the table and the gates, report.md, or the JSON of report.json."""
    from compress.cli.output import print_json
    from compress.core.storage import write_text
    from compress.report.junit import gate_cases, junit_xml
    from compress.report.markdown import to_markdown
    from compress.report.write import write_report

    found = write_report(run_dir)
    if junit:
        write_text(junit, junit_xml(f"imgc run {found.run}", gate_cases(found.gates)))
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif as_markdown:
        echo(to_markdown(found), nl=False)
    else:
        _print_report(run_dir, found)


def _print_report(run_dir: Path, found: Report) -> None:
    from compress.cli.output import print_table
    from compress.cli.run_files import short_path
    from compress.report.html import NO_CHARTS, has_charts
    from compress.report.siblings import sibling_line
    from compress.report.table import (
        LATENCY_COLUMNS,
        TEXT_COLUMNS,
        columns,
        host_text,
        latency_cells,
        rows_text,
        setting_text,
        table_rows,
    )
    from compress.report.write import HTML_NAME, MARKDOWN_NAME

    print_table(f"run {found.run}", columns(found.rows), table_rows(found.rows), left=TEXT_COLUMNS)
    if any(row.latency_calls for row in found.rows):
        print_table("latency", LATENCY_COLUMNS, [latency_cells(row) for row in found.rows], left=1)
    if setting := setting_text(found):
        echo(setting)
        echo(host_text(found.host))
    for sibling in found.siblings:
        echo(sibling_line(sibling))
    for bench in found.elsewhere:
        title = f"on another machine: {host_text(bench.host)}"
        print_table(title, columns(bench.rows), table_rows(bench.rows), left=TEXT_COLUMNS)
        echo(rows_text(bench.rows, bench.baseline, bench.split))
    for gate in found.gates:
        value = "not measured" if gate.value is None else f"{gate.value:.10g}"
        verdict = "holds" if gate.passed else "BROKEN"
        echo(f"gate {gate.metric} at {gate.at}: {value}, limit {gate.limit:.10g}: {verdict}")
    if found.ship:
        echo(f"ship: {' '.join(found.ship.facts)}")
        for command in found.ship.commands:
            echo(f"  {command}")
    echo(f"report: {short_path(run_dir / MARKDOWN_NAME)}")
    echo(f"page: {short_path(run_dir / HTML_NAME)}")
    if not has_charts():
        echo(NO_CHARTS)
