"""`imgc benchmark compare OLD NEW` as a gate, and `imgc report A B`: two measurements side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import AsJson, Junit
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.benchmark.compare import Comparison


def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A bench.json file.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one, measured later.")],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:LIMIT",
            help="How much worse it may get, e.g. latency_p50_ms:+5% or top1_pct:-0.5. Repeatable.",
        ),
    ] = None,
    junit: Junit = None,
    as_json: AsJson = False,
) -> None:
    """Compare two measurements, and fail (exit 5) where one is worse than a limit; nothing is measured."""
    compare_files(old, new, fail_on or [], junit=junit, as_json=as_json)


def compare_files(old: Path, new: Path, fail_on: list[str], *, junit: Path | None, as_json: bool) -> None:
    """Compare two bench.json files, say what changed, and fail when a limit is broken.

    Raises:
        UsageError: a file is no bench.json, or a limit cannot be read.
        GateError: a limit is broken, or none of them could be held against anything.
    """
    from compress.benchmark.bench_file import read_answers, read_bench
    from compress.benchmark.compare import compare
    from compress.benchmark.limits import parse_limits
    from compress.core.storage import write_text
    from compress.report.junit import junit_xml, limit_cases

    limits = parse_limits(fail_on)
    found = compare(read_bench(old), read_bench(new), limits, (read_answers(old), read_answers(new)))
    if junit:
        write_text(junit, junit_xml("imgc benchmark", limit_cases(found.changes)))
    show_comparison(f"{old} -> {new}", found, as_json=as_json)
    if limits:
        require_limits(found)


def show_comparison(title: str, found: Comparison, *, as_json: bool, as_markdown: bool = False) -> None:
    """Print a comparison: as JSON, as Markdown, or as a table."""
    from compress.cli.output import print_json, print_table
    from compress.report.compared import COLUMNS, TEXT_COLUMNS, change_rows, comparison_markdown, remarks

    for text in found.warnings:
        echo(f"warning: {text}", err=True)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    if as_markdown:
        echo(comparison_markdown(title, found), nl=False)
        return
    print_table(title, COLUMNS, change_rows(found), left=TEXT_COLUMNS)
    for line in remarks(found):
        echo(line)


def require_limits(found: Comparison) -> None:
    """Raise when a limit is broken, or when none could be held against anything.

    Raises:
        GateError: with the numbers.
    """
    from compress.errors import GateError
    from compress.report.junit import change_text

    if found.broken:
        lines = [f"limit broken: {change_text(change)}" for change in found.broken]
        raise GateError("\n".join(lines), hint="the table shows every change; measure both again to be sure")
    if not found.judged:
        raise GateError(
            "no limit could be held against anything: nothing in the two files is comparable",
            hint="measure both on one machine, with the same threads, batch and images",
        )
