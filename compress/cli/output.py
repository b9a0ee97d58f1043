"""Results on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

KIB = 1024
PIPE_WIDTH = 160


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a line or a page, in which no text from outside can be more than text."""
    from compress.core.visible import visible

    typer.echo(visible(text, keep="\n\t"), err=err, nl=nl)


def print_json(value: object) -> None:
    """Print a JSON value; NaN is refused, since JSON has none."""
    echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> None:
    """Print a table; the first `left` columns are text, the others are numbers and stand right."""
    from rich import box
    from rich.table import Table

    from compress.core.visible import visible

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*("-" if cell is None else visible(str(cell), keep="\n") for cell in row))
    print_block(table)


def print_facts(title: str, facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    from rich.table import Table

    from compress.core.visible import visible

    table = Table(title=title or None, title_justify="left", box=None, show_header=False)
    for name, value in facts:
        table.add_row(visible(name), visible(str(value), keep="\n"))
    print_block(table)


def print_block(block: RenderableType) -> None:
    """Print something of rich's without its padding at the line ends; a pipe is 160 columns wide."""
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(file=stream, width=width, markup=False, highlight=False, emoji=False).print(block)
    typer.echo("\n".join(line.rstrip() for line in stream.getvalue().rstrip().split("\n")))


def size_text(size_bytes: int) -> str:
    """Return a size in bytes, KiB or MiB with three digits or so."""
    if size_bytes < KIB:
        return f"{size_bytes} B"
    if size_bytes < KIB * KIB:
        return f"{size_bytes / KIB:.1f} KiB"
    return f"{size_bytes / KIB / KIB:.2f} MiB"
