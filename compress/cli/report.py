"""`imgc report`: the results of a run as a table, as JSON, and as files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import RUNS, AsJson, RunsDir


def report(
    run: Annotated[str | None, typer.Argument(help="Name of the run. Default: the latest.")] = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Show a run's results, and write its report files anew."""
    from compress.pipeline.current import current_run

    show_report(current_run(runs_dir, run), as_json=as_json)


def show_report(run_dir: Path, *, as_json: bool) -> None:
    """Write a run's reports and print them: the table and the gates, or the JSON of report.json."""
    from compress.cli.output import print_json, print_table
    from compress.cli.run_files import shown
    from compress.report.html import NO_CHARTS, has_charts
    from compress.report.siblings import sibling_line
    from compress.report.table import COLUMNS, TEXT_COLUMNS, host_text, setting_text, table_rows
    from compress.report.write import HTML_NAME, MARKDOWN_NAME, write_report

    found = write_report(run_dir)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_table(f"run {found.run}", COLUMNS, table_rows(found), left=TEXT_COLUMNS)
    if setting := setting_text(found):
        typer.echo(setting)
        typer.echo(host_text(found.host))
    for sibling in found.siblings:
        typer.echo(sibling_line(sibling))
    for gate in found.gates:
        value = "not measured" if gate.value is None else f"{gate.value:.10g}"
        verdict = "holds" if gate.passed else "BROKEN"
        typer.echo(f"gate {gate.metric} at {gate.at}: {value}, limit {gate.limit:.10g}: {verdict}")
    typer.echo(f"report: {shown(run_dir / MARKDOWN_NAME)}")
    typer.echo(f"page: {shown(run_dir / HTML_NAME)}")
    if not has_charts():
        typer.echo(NO_CHARTS)
