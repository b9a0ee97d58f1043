"""Results on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

KIB = 1024


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print a JSON value; NaN is refused, since JSON has none."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> None:
    """Print a table; the first `left` columns are text, the others are numbers and stand right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row))
    width = None if sys.stdout.isatty() else 160  # a pipe has no width: do not fold at 80
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)


def size_text(size_bytes: int) -> str:
    """Return a size in bytes, KiB or MiB with three digits or so."""
    if size_bytes < KIB:
        return f"{size_bytes} B"
    if size_bytes < KIB * KIB:
        return f"{size_bytes / KIB:.1f} KiB"
    return f"{size_bytes / KIB / KIB:.2f} MiB"


def count_text(count: int) -> str:
    """Return a count with thousands separated, or a dash for an unknown one."""
    return f"{count:,}" if count else "-"
